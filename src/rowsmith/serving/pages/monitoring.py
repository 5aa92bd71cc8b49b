"""How the champion fares: the report of `rowsmith monitor` as a page."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template

from rowsmith.registry.versions import Version
from rowsmith.serving.champion import Served
from rowsmith.serving.pages.layout import DASH, label, percent
from rowsmith.serving.services import services
from rowsmith.storage.audit import lines
from rowsmith.types import JsonObject
from rowsmith.workflows.project import Project

if TYPE_CHECKING:
    from rowsmith.monitoring.report import MonitorReport

blueprint = Blueprint("monitoring", __name__)

KEPT_SECONDS = 10.0
MAX_GAPS = 5
GAP_ACTION = "log.gap"
SPARK_HEIGHT = 32.0
LEVELS = {
    "ok": ("good", "All is well"),
    "warn": ("warn", "Something has changed"),
    "act": ("bad", "Something has to be done"),
}

TOO_EARLY = ("", "Too early to tell")


@dataclass(frozen=True, slots=True)
class SparkBar:
    """A bin of the little histogram in units of its drawing: training behind, the window in front."""

    x: int
    training: float
    window: float


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One thing that was watched, in the newest window."""

    name: str
    part: str
    state: str
    tone: str
    effect: str
    sentence: str
    missing: str
    unseen: str
    bars: tuple[SparkBar, ...]


class Recent:
    """The last report, kept for a few seconds: several people may look, and a look costs a pass over the log."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[str, int] | None = None
        self._until = 0.0
        self._report: MonitorReport | None = None

    def of(self, project: Project, served: Served) -> MonitorReport:
        from rowsmith.workflows.monitor import monitor  # here: its statistics would slow the start of the server

        key = (str(project.store), served.version.number)
        with self._lock:
            if self._report is None or self._key != key or time.monotonic() > self._until:
                self._report = monitor(project, ref=served.version.number)
                self._key, self._until = key, time.monotonic() + KEPT_SECONDS
            return self._report


RECENT = Recent()


@blueprint.get("/monitoring")
def monitoring() -> str:
    site = services()
    served = site.champion.peek()
    if served is None:
        return render_template("empty.html", title="Monitoring")
    report = RECENT.of(site.project, served).to_dict()
    return render_template(
        "monitoring.html",
        version=served.version,
        log_is_on=site.log is not None,
        gap_is_open=site.settings.log_failure == "go-on" and site.gap.is_open,
        gaps=lines(site.project.database, action=GAP_ACTION, limit=MAX_GAPS),
        **view_of(report, served.version),
    )


def view_of(report: JsonObject, version: Version) -> dict[str, Any]:
    """The report as the page draws it; `windows` is empty before the first prediction."""
    windows: list[JsonObject] = report["windows"]
    newest = windows[-1] if windows else None
    judged = next((window for window in reversed(windows) if window["judged"]), None)
    level = report["verdict"]["level"]
    tone, headline = TOO_EARLY if level == "ok" and judged is None else LEVELS[level]
    return {
        "verdict": report["verdict"],
        "tone": tone,
        "headline": headline,
        "windows": windows,
        "totals": _totals(windows),
        "latency": newest["latency_ms"] if newest else None,
        "charts": _charts(windows, version),
        "judged": judged,
        "drift": [_drift_row(item) for item in sorted(judged["drift"], key=_loudness, reverse=True)] if judged else [],
        "scores": judged["scores"] if judged else [],
        "metric_title": label(version.metric),
        "min_rows": report["min_rows"],
        "length": report["length"],
    }


def _totals(windows: list[JsonObject]) -> JsonObject:
    rows = sum(window["rows"] for window in windows)
    errors = sum(window["errors"] or 0 for window in windows)
    return {
        "rows": rows,
        "errors": errors,
        "error_share": errors / (rows + errors) if rows + errors else 0.0,
        "labelled": sum(window["labelled"] for window in windows),
    }


def _charts(windows: list[JsonObject], version: Version) -> list[JsonObject]:
    labels = [_window_name(window["start"]) for window in windows]
    charts: list[JsonObject] = [
        {
            "title": "Predictions and refused rows",
            "labels": labels,
            "series": [
                _series("answered", [w["rows"] for w in windows], "steel-mid", kind="bar", stack="all"),
                _series("refused", [w["errors"] or 0 for w in windows], "bad", kind="bar", stack="all"),
            ],
        }
    ]
    if any(window["latency_ms"] for window in windows):
        charts.append(
            {
                "title": "Latency in milliseconds",
                "labels": labels,
                "series": [
                    _series(title, [(w["latency_ms"] or {}).get(key) for w in windows], color)
                    for title, key, color in (
                        ("half of them", "p50", "steel-mid"),
                        ("95 %", "p95", "steel"),
                        ("99 %", "p99", "ember"),
                    )
                ],
            }
        )
    scores = _score_series(windows, version.metric, version.score)
    if scores:
        charts.append({"title": label(version.metric), "labels": labels, "series": scores, "scale": True})
    return charts


def _score_series(windows: list[JsonObject], metric: str, at_training: float | None) -> list[JsonObject]:
    """Measured and expected values of the main metric, beside the one on the sealed test part."""
    found: dict[bool, list[float | None]] = {False: [], True: []}
    for window in windows:
        scores = [score for score in window["scores"] if score["metric"] == metric]
        for estimated, values in found.items():
            values.append(next((score["value"] for score in scores if score["estimated"] is estimated), None))
    series = [
        _series(name, found[estimated], color, dashed=estimated)
        for name, estimated, color in (("measured", False, "ember"), ("expected", True, "steel"))
        if any(value is not None for value in found[estimated])
    ]
    if series and at_training is not None:
        series.append(_series("at training", [at_training] * len(windows), "edge", dashed=True))
    return series


def _series(name: str, values: list[Any], color: str, **more: Any) -> JsonObject:
    return {"name": name, "values": values, "color": color, **more}


def _window_name(start: str | None) -> str:
    if start is None:
        return "all rows"
    moment = datetime.fromisoformat(start)
    return f"{moment:%Y-%m-%d}" if (moment.hour, moment.minute) == (0, 0) else f"{moment:%m-%d %H:%M}"


def _loudness(item: JsonObject) -> tuple[bool, float]:
    effect, threshold = item["effect"], item["threshold"]
    return bool(item["drifted"]), effect / threshold if effect is not None and threshold else 0.0


def _drift_row(item: JsonObject) -> DriftRow:
    if not item["judged"]:
        state, tone = "too few rows", ""
    elif item["drifted"]:
        state, tone = ("moves on", "") if item["natural"] else ("drifted", "warn")
    else:
        state, tone = "steady", "good"
    aspect = "" if item["aspect"] == "value" else f" ({item['aspect'].replace('_', ' ')})"
    return DriftRow(
        name=f"{item['column']}{aspect}",
        part=item["part"],
        state=state,
        tone=tone,
        effect=_effect(item["effect"]),
        sentence=_without_name(item["sentence"], item["column"]),
        missing=percent(item["missing"]),
        unseen=percent(item["unseen"]),
        bars=_spark(item["bars"]),
    )


def _effect(size: float | None) -> str:
    """Sizes are read against thresholds from 0.05 on: digits beyond the third say nothing."""
    if size is None or not math.isfinite(size):
        return DASH
    return "<0.001" if 0 < size < 0.001 else f"{size:.3f}"


def _without_name(sentence: str, column: str) -> str:
    """The row is named already."""
    rest = sentence.removeprefix(column).partition(": ")[2] if sentence.startswith(column) else ""
    return rest or sentence


def _spark(bars: list[JsonObject]) -> tuple[SparkBar, ...]:
    most = max((share for bar in bars for share in (bar["reference"], bar["window"])), default=0.0) or 1.0
    return tuple(
        SparkBar(
            10 * place, round(SPARK_HEIGHT * bar["reference"] / most, 2), round(SPARK_HEIGHT * bar["window"] / most, 2)
        )
        for place, bar in enumerate(bars)
    )
