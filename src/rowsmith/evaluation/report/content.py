"""The report as plain data: every table row, sentence and drawing, before a template arranges them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rowsmith.evaluation.report import charts
from rowsmith.evaluation.report.svg import Axis, bar, percent_text, shorten, strip, tick_text
from rowsmith.evaluation.segments import show_number
from rowsmith.evaluation.summary import figure, percent, summarise
from rowsmith.recipe import Recipe
from rowsmith.types import ColumnKind, JsonObject, Task

MODEL = "model"
NOTHING = "\N{EN DASH}"
TRIALS = 100
HEATS = 10
SLICES_SHOWN = 12
IMPORTANT = 15
MAX_LEVELS = 100
SYSTEMS = {"model": "This model", "dummy": "Same answer for every row"}
TASKS = {"binary": "Two classes", "multiclass": "Several classes", "regression": "A number"}
GATES = {
    "no_error_finding": "Data without errors",
    "better_than_baseline": "Better than simple models",
    "not_worse_than_champion": "Not worse than the champion",
    "group_gap": "Groups treated alike",
}
GAPS = {
    "score": "Main score",
    "demographic_parity": "Selection rate (demographic parity)",
    "equal_opportunity": "True positive rate (equal opportunity)",
    "equalized_odds": "Errors (equalized odds)",
    "accuracy": "Accuracy",
    "mean_error": "Mean error",
    "mean_absolute_error": "Mean absolute error",
}
FIGURES = {
    "selection_rate": "Selected",
    "true_positive_rate": "True positives",
    "false_positive_rate": "False positives",
    "accuracy": "Accuracy",
    "mean_error": "Mean error",
    "mean_absolute_error": "Mean absolute error",
}
SEVERITIES = ("error", "warning", "info")


def content_of(document: Mapping[str, Any]) -> JsonObject:
    """Everything that the template shows. Parts that the document lacks are empty."""
    evaluation = document["evaluation"]
    tested = evaluation["rows"] > 0
    return {
        "title": document["title"],
        "facts": _facts(document),
        "summary": summarise(evaluation),
        "gates": _gates(document.get("gates")),
        "champion": document.get("champion") or {},
        "tested": tested,
        "rows": evaluation["rows"],
        "confidence": percent(evaluation["confidence"]),
        "cards": _cards(evaluation) if tested else [],
        "metric_title": _metric(evaluation)["title"],
        "systems": _systems(evaluation) if tested else [],
        "scores": _scores(evaluation) if tested else [],
        "confusion": _confusion(evaluation),
        "charts": _charts(evaluation) if tested else [],
        "coverage": _coverage(evaluation),
        "importance": _importance(evaluation),
        "dependence": [_dependence(evaluation, item) for item in evaluation["partial_dependence"]],
        "slices": _slices(evaluation) if tested else {},
        "fairness": [_fairness(evaluation, item) for item in evaluation["fairness"]],
        "meanings": _meanings(evaluation),
        "findings": _findings(document.get("findings") or []),
        "columns": _columns(document.get("schema") or {}),
        "leaderboard": _leaderboard(document.get("leaderboard") or []),
        "lineage": _lineage(document.get("lineage") or {}),
        "packages": sorted(((document.get("lineage") or {}).get("packages") or {}).items()),
        "recipe": _recipe(document.get("recipe") or {}),
    }


def plain_text(value: Any) -> str:
    """Any JSON value in a cell."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return figure(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain_text(item) for item in value) or NOTHING
    return str(value)


def _metric(evaluation: Mapping[str, Any]) -> JsonObject:
    return next(item for item in evaluation["metrics"] if item["name"] == evaluation["metric"])


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    evaluation, lineage = document["evaluation"], document.get("lineage") or {}
    facts = [
        ("Predicts", evaluation["target"]),
        ("Task", TASKS.get(evaluation["task"], evaluation["task"])),
        ("Chosen by", _metric(evaluation)["title"]),
        ("Trained on", f"{lineage['rows_trained']:,} rows" if "rows_trained" in lineage else None),
        ("Tested on", f"{evaluation['rows']:,} rows"),
        ("Made", str(lineage["created"])[:10] if lineage.get("created") else None),
    ]
    return [(name, value) for name, value in facts if value]


def _gates(gates: Mapping[str, Any] | None) -> JsonObject:
    if not gates:
        return {}
    results = [
        {"title": GATES.get(item["code"], item["code"]), "passed": item["passed"], "message": item["message"]}
        for item in gates["results"]
    ]
    return {"passed": gates["passed"], "results": results}


def _interval(item: Mapping[str, Any]) -> str:
    if item.get("low") is None or item["low"] == item["high"]:
        return ""
    return f"{figure(item['low'])} to {figure(item['high'])}"


def _cards(evaluation: Mapping[str, Any]) -> list[JsonObject]:
    """The main score and three more."""
    names = [evaluation["metric"]]
    wanted = {
        Task.BINARY: ("roc_auc", "accuracy", "average_precision", "f1", "log_loss"),
        Task.MULTICLASS: ("log_loss", "accuracy", "balanced_accuracy", "roc_auc"),
        Task.REGRESSION: ("rmse", "mae", "r2", "median_ae"),
    }[Task(evaluation["task"])]
    names += [name for name in wanted if name not in names]
    titles = {item["name"]: item for item in evaluation["metrics"]}
    return [
        {
            "title": titles[name]["title"],
            "value": figure(evaluation["scores"][MODEL][name]["value"]),
            "interval": _interval(evaluation["scores"][MODEL][name]),
            "direction": "higher is better" if titles[name]["greater_is_better"] else "lower is better",
        }
        for name in names[:4]
    ]


def _name_of(system: str) -> str:
    return SYSTEMS.get(system, f"Simple {system} model")


def _order(evaluation: Mapping[str, Any]) -> list[str]:
    return [MODEL, *sorted((name for name in evaluation["scores"] if name != MODEL), reverse=True)]


def _systems(evaluation: Mapping[str, Any]) -> list[JsonObject]:
    """The main score of each system on one scale."""
    items = [(system, evaluation["scores"][system][evaluation["metric"]]) for system in _order(evaluation)]
    axis = Axis.over([v for _, i in items for v in (i["value"], i["low"], i["high"]) if v is not None], "")
    return [
        {
            "name": _name_of(system),
            "value": figure(item["value"]),
            "interval": _interval(item),
            "strip": strip(item["value"], item["low"], item["high"], axis, style="s1" if system == MODEL else "s0"),
        }
        for system, item in items
    ]


def _scores(evaluation: Mapping[str, Any]) -> JsonObject:
    systems = _order(evaluation)
    rows = [
        {
            "title": metric["title"],
            "main": metric["name"] == evaluation["metric"],
            "direction": "higher" if metric["greater_is_better"] else "lower",
            "cells": [
                {
                    "value": figure(evaluation["scores"][system][metric["name"]]["value"]),
                    "interval": _interval(evaluation["scores"][system][metric["name"]]),
                }
                for system in systems
            ],
        }
        for metric in evaluation["metrics"]
    ]
    return {"systems": [_name_of(system) for system in systems], "rows": rows}


def _confusion(evaluation: Mapping[str, Any]) -> JsonObject:
    found = evaluation["charts"].get("confusion")
    if not found:
        return {}
    rows = []
    for place, (label, counts) in enumerate(zip(found["labels"], found["counts"], strict=True)):
        total = sum(counts)
        shares = [count / total if total else 0.0 for count in counts]
        cells = [
            {
                "count": f"{count:,}",
                "share": percent(share),
                "heat": min(round(share * HEATS), HEATS),
                "right": place == other,
            }
            for other, (count, share) in enumerate(zip(counts, shares, strict=True))
        ]
        rows.append({"label": label, "cells": cells, "total": f"{total:,}"})
    binary = evaluation["task"] == Task.BINARY
    return {
        "labels": found["labels"],
        "rows": rows,
        "compact": len(found["labels"]) > 6,
        "threshold": figure(evaluation["threshold"]) if binary else "",
        "event": evaluation["labels"][1] if binary else "",
    }


def _charts(evaluation: Mapping[str, Any]) -> list[charts.Chart]:
    drawn = [
        charts.calibration(evaluation),
        charts.distribution(evaluation),
        charts.curves(evaluation, "roc"),
        charts.curves(evaluation, "precision_recall"),
        charts.predicted_against_true(evaluation),
        charts.residual_histogram(evaluation),
        charts.residuals_by_prediction(evaluation),
    ]
    return [chart for chart in drawn if chart is not None]


def _coverage(evaluation: Mapping[str, Any]) -> str:
    found = evaluation["charts"].get("coverage")
    if not found:
        return ""
    ends = f" (between {percent(found['low'])} and {percent(found['high'])})" if found["low"] is not None else ""
    return (
        f"Prediction intervals are {tick_text(found['width'])} wide and promise to hold {percent(found['promised'])} "
        f"of the true values. On the test rows they hold {percent(found['observed'])}{ends}."
    )


def _importance(evaluation: Mapping[str, Any]) -> JsonObject:
    items = [item for item in evaluation["importance"] if item["drop"] is not None]
    highest = max((item["drop"] for item in items), default=0.0)
    text = (lambda value: f"{value:.4f}") if 0.005 < highest < 10 else figure
    scale = 0.9 / highest if highest > 0 else 0.0
    rows = [
        {
            "column": item["column"],
            "drop": text(item["drop"]),
            "spread": "" if item["standard_deviation"] is None else f"± {text(item['standard_deviation'])}",
            "bar": bar(scale * item["drop"], scale * (item["standard_deviation"] or 0.0), "s1"),
        }
        for item in items
    ]
    return {
        "rows": rows[:IMPORTANT],
        "more": rows[IMPORTANT:],
        "sample": items[0]["rows"] if items else 0,
        "repeats": items[0]["repeats"] if items else 0,
    }


def _dependence(evaluation: Mapping[str, Any], item: Mapping[str, Any]) -> JsonObject:
    """A line for numbers and dates, bars for levels (of several classes: a column each)."""
    if item["points"][0]["value"] is not None:
        return {"column": item["column"], "chart": charts.dependence(evaluation, item), "rows": []}
    several = len(evaluation["labels"]) > 2
    answers = [point["answers"] if several else [point["answers"][-1]] for point in item["points"]]
    text = percent_text if evaluation["labels"] else tick_text
    flat = [value for row in answers for value in row]
    low = 0.0 if evaluation["labels"] or min(flat) >= 0 else min(flat)
    high = max(flat) if max(flat) > low else low + 1.0
    rows = [
        {
            "label": point["label"],
            "share": percent(point["share"]),
            "values": [text(round(value, 3)) if evaluation["labels"] else figure(value) for value in row],
            "bar": bar(0.95 * (row[0] - low) / (high - low), style="s1") if not several else None,
        }
        for point, row in zip(item["points"], answers, strict=True)
    ]
    answer = f"P({shorten(evaluation['labels'][1])})" if len(evaluation["labels"]) == 2 else "Mean answer"
    labels = evaluation["labels"] if several else []
    return {"column": item["column"], "chart": None, "rows": rows, "labels": labels, "answer": answer}


def _slices(evaluation: Mapping[str, Any]) -> JsonObject:
    overall = evaluation["scores"][MODEL][evaluation["metric"]]["value"]
    items = evaluation["slices"]
    known = [item["score"] for item in items if item["score"] is not None]
    if not known or overall is None:
        return {}
    axis = Axis.over([*known, overall], "", margin=0.08)
    flagged = sorted((i for i in items if i["flagged"]), key=lambda i: -abs(i["score"] - overall))
    by_column: dict[str, list[JsonObject]] = {}
    for item in items:
        by_column.setdefault(item["column"], []).append(_slice(item, axis, overall))
    return {
        "overall": figure(overall),
        "flagged": [_slice(item, axis, overall) for item in flagged[:SLICES_SHOWN]],
        "flagged_count": len(flagged),
        "count": len(known),
        "by_column": by_column,
    }


def _slice(item: Mapping[str, Any], axis: Axis, overall: float) -> JsonObject:
    score, error = item["score"], item["standard_error"]
    known = score is not None and error is not None
    low, high = (score - 1.96 * error, score + 1.96 * error) if known else (None, None)
    return {
        "column": item["column"],
        "label": item["label"],
        "rows": f"{item['rows']:,}",
        "score": "too few rows" if score is None else figure(score),
        "error": f"± {figure(1.96 * error)}" if known else "",
        "flagged": item["flagged"],
        "strip": strip(score, low, high, axis, reference=overall, style="bad" if item["flagged"] else "s1"),
    }


def _fairness(evaluation: Mapping[str, Any], item: Mapping[str, Any]) -> JsonObject:
    names = list(item["groups"][0]["figures"])
    shares = evaluation["labels"] != []
    scores = [value for group in item["groups"] for value in group["score"].values() if value is not None]
    axis = Axis.over(scores, "", margin=0.05)
    groups = []
    for group in item["groups"]:
        score = group["score"]
        figures = [_group_figure(group["figures"][name], shares) for name in names]
        groups.append(
            {
                "label": group["label"],
                "rows": f"{group['rows']:,}",
                "small": group["small"],
                "score": "" if score["value"] is None else figure(score["value"]),
                "strip": strip(score["value"], score["low"], score["high"], axis, style="s1"),
                "figures": figures,
            }
        )
    gaps = [
        {
            "name": GAPS.get(gap["name"], gap["name"]),
            "difference": figure(gap["difference"]),
            "ratio": "" if gap["ratio"] is None else figure(gap["ratio"]),
            "highest": gap["highest"],
            "lowest": gap["lowest"],
        }
        for gap in item["gaps"]
    ]
    return {
        "column": item["column"],
        "binned": item["binned"],
        "names": [FIGURES.get(name, name) for name in names],
        "groups": groups,
        "gaps": gaps,
        "min_rows": item["min_rows"],
        "any_small": any(group["small"] for group in item["groups"]),
    }


def _meanings(evaluation: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What each gap that occurs says."""
    found = {gap["name"]: gap["meaning"] for item in evaluation["fairness"] for gap in item["gaps"]}
    return [(GAPS.get(name, name), meaning) for name, meaning in found.items()]


def _group_figure(item: Mapping[str, Any], share: bool) -> JsonObject:
    value = item["value"]
    text = percent_text if share else tick_text
    if value is None:
        return {"value": NOTHING, "interval": ""}
    ends = "" if item["low"] is None else f"{text(round(item['low'], 3))} to {text(round(item['high'], 3))}"
    return {"value": text(round(value, 3)) if share else figure(value), "interval": ends}


def _findings(findings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(findings, key=lambda item: SEVERITIES.index(item["severity"]))


def _columns(schema: Mapping[str, Any]) -> list[JsonObject]:
    return [
        {
            "name": column["name"],
            "kind": column["kind"],
            "roles": ", ".join(role.replace("_", " ") for role in column.get("roles", ())),
            "missing": percent(column.get("missing", 0.0)) if column.get("missing") else NOTHING,
            "values": _values(column),
            "typical": _typical(column),
        }
        for column in schema.get("columns", ())
    ]


def _values(column: Mapping[str, Any]) -> str:
    kind = ColumnKind(column["kind"])
    if column.get("minimum") is not None and column.get("maximum") is not None:
        return f"{show_number(column['minimum'], kind)} to {show_number(column['maximum'], kind)}"
    if column.get("categories"):
        count = column.get("level_count", len(column["categories"]))
        # Levels that are almost one per row may be names of people: those are counted and not shown.
        first = ", ".join(column["categories"][:4]) if count <= MAX_LEVELS else ""
        return f"{count:,} levels{': ' if first else ''}{first}{', …' if first and count > 4 else ''}"
    return ""


def _typical(column: Mapping[str, Any]) -> str:
    value = column.get("typical")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return show_number(float(value), ColumnKind(column["kind"]))
    return "" if value is None else str(value)


def _leaderboard(trials: Sequence[Mapping[str, Any]]) -> JsonObject:
    rows = [
        {
            "place": place + 1,
            "family": trial.get("family", ""),
            "score": _score_text(trial.get("score")),
            "folds": _fold_spread(trial.get("fold_scores") or ()),
            "weight": trial.get("weight") or 0.0,
            "weight_text": percent(trial["weight"]) if trial.get("weight") else "",
            "seconds": "" if trial.get("seconds") is None else f"{trial['seconds']:.1f}",
            "status": str(trial.get("status", "")).replace("_", " "),
            "message": trial.get("message") or "",
            "params": ", ".join(f"{key}={_setting(value)}" for key, value in (trial.get("params") or {}).items()),
        }
        for place, trial in enumerate(trials[:TRIALS])
    ]
    return {"rows": rows, "left_out": max(len(trials) - TRIALS, 0), "count": len(trials)}


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _score_text(score: float | None) -> str:
    return "" if score is None or not math.isfinite(score) else figure(score)


def _fold_spread(scores: Iterable[float | None]) -> str:
    known = [score for score in scores if score is not None and math.isfinite(score)]
    return f"{figure(min(known))} to {figure(max(known))}" if len(known) > 1 else ""


def _lineage(lineage: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (key.replace("_", " "), plain_text(value))
        for key, value in lineage.items()
        if key != "packages" and value not in (None, "")
    ]


def _recipe(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What differs from the defaults."""
    default = Recipe().to_dict()
    found = []
    for section, value in recipe.items():
        pairs = value.items() if isinstance(value, Mapping) else [(None, value)]
        for key, item in pairs:
            usual = default.get(section) if key is None else (default.get(section) or {}).get(key)
            if item != usual:
                found.append((section if key is None else f"{section}.{key}", plain_text(item)))
    return found
