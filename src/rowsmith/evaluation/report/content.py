"""The report as plain data: every table row, sentence and drawing, before a template arranges them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rowsmith.evaluation.report import charts
from rowsmith.evaluation.report.origin import NOTHING, columns_of, findings_of, leaderboard_of, lineage_of, recipe_of
from rowsmith.evaluation.report.svg import Axis, bar, percent_text, shorten, strip, tick_text
from rowsmith.evaluation.summary import figure, percent, summarise
from rowsmith.types import JsonObject, Task

MODEL = "model"
HEATS = 10
SLICES_SHOWN = 12
IMPORTANT = 15
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
        "findings": findings_of(document.get("findings") or []),
        "columns": columns_of(document.get("schema") or {}),
        "leaderboard": leaderboard_of(document.get("leaderboard") or []),
        "lineage": lineage_of(document.get("lineage") or {}),
        "packages": sorted(((document.get("lineage") or {}).get("packages") or {}).items()),
        "recipe": recipe_of(document.get("recipe") or {}),
    }


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
