"""Scores of a version as a page shows them: a figure with its interval, and the simple models beside it on one line."""

from __future__ import annotations

from dataclasses import dataclass

from rowsmith.serving.pages.layout import score
from rowsmith.types import JsonObject

PADDING = 0.08
NAMES = {"model": "this model", "linear": "linear model", "dummy": "no model"}


@dataclass(frozen=True, slots=True)
class Point:
    """A system on the line; `at`, `low` and `high` are percent from the left, where better is further right."""

    name: str
    value: str
    interval: str
    at: float
    low: float | None
    high: float | None
    is_model: bool


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """The main metric of a version on the sealed test part. `points` come worst first."""

    title: str
    rows: int
    confidence: float
    greater_is_better: bool
    model: Point
    points: tuple[Point, ...]


def score_line(evaluation: JsonObject) -> ScoreLine | None:
    """None where nothing was sealed away, or the metric is not defined there."""
    metric = evaluation.get("metric")
    systems = {
        name: scores[metric]
        for name, scores in evaluation.get("scores", {}).items()
        if scores[metric]["value"] is not None
    }
    if "model" not in systems:
        return None
    described = next(item for item in evaluation["metrics"] if item["name"] == metric)
    greater = bool(described["greater_is_better"])
    ends = [x for item in systems.values() for x in (item["value"], item["low"], item["high"]) if x is not None]
    points = [_point(name, item, min(ends), max(ends), greater) for name, item in systems.items()]
    points.sort(key=lambda point: point.at)
    return ScoreLine(
        title=described["title"],
        rows=evaluation["rows"],
        confidence=evaluation["confidence"],
        greater_is_better=greater,
        model=next(point for point in points if point.is_model),
        points=tuple(points),
    )


def _point(name: str, item: JsonObject, least: float, most: float, greater: bool) -> Point:
    def place(value: float | None) -> float | None:
        if value is None:
            return None
        share = (value - least) / (most - least) if most > least else 0.5
        share = share if greater else 1 - share
        return round(100 * (PADDING + (1 - 2 * PADDING) * share), 2)

    low, high = place(item["low"]), place(item["high"])
    if low is not None and high is not None and low > high:
        low, high = high, low
    at = place(item["value"])
    assert at is not None
    return Point(NAMES.get(name, name), score(item["value"]), interval_text(item), at, low, high, name == "model")


def interval_text(item: JsonObject) -> str:
    """0.912 to 0.928; empty where there is no interval."""
    if item.get("low") is None or item.get("high") is None:
        return ""
    return f"{score(item['low'])} to {score(item['high'])}"
