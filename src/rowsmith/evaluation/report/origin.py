"""The parts of the report that are not figures: data, trials, origin, as plain rows of tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rowsmith.evaluation.segments import show_number
from rowsmith.evaluation.summary import figure, percent
from rowsmith.recipe import Recipe
from rowsmith.types import ColumnKind, JsonObject

NOTHING = "\N{EN DASH}"
TRIALS = 100
TRIALS_SHOWN = 10
MAX_LEVELS = 100
SEVERITIES = ("error", "warning", "info")


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


def findings_of(findings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Errors first, then warnings, then information."""
    return sorted(findings, key=lambda item: SEVERITIES.index(item["severity"]))


def columns_of(schema: Mapping[str, Any]) -> list[JsonObject]:
    """A row per column of the schema."""
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


def leaderboard_of(trials: Sequence[Mapping[str, Any]]) -> JsonObject:
    """The first hundred trials, and how many there are. What is not in the model, nor near the top, is folded away."""
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
    shown = [row for row in rows if row["weight"] or row["place"] <= TRIALS_SHOWN]
    others = [row for row in rows if not row["weight"] and row["place"] > TRIALS_SHOWN]
    return {"rows": shown, "others": others, "left_out": max(len(trials) - TRIALS, 0), "count": len(trials)}


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _score_text(score: float | None) -> str:
    return "" if score is None or not math.isfinite(score) else figure(score)


def _fold_spread(scores: Iterable[float | None]) -> str:
    known = [score for score in scores if score is not None and math.isfinite(score)]
    return f"{figure(min(known))} to {figure(max(known))}" if len(known) > 1 else ""


def lineage_of(lineage: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every fact but the packages, which have a table of their own."""
    return [
        (key.replace("_", " "), plain_text(value))
        for key, value in lineage.items()
        if key != "packages" and value not in (None, "")
    ]


def recipe_of(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
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
