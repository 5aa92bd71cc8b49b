"""Traffic: who answers which share of the requests, what a challenger has shown, and what was done before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Blueprint, render_template

from rowsmith.serving.pages.layout import figure
from rowsmith.serving.services import services
from rowsmith.serving.shadows import COUNTER
from rowsmith.serving.traffic_report import RECENT
from rowsmith.types import JsonObject

blueprint = Blueprint("traffic", __name__)

TONES = {"better": "good", "worse": "bad", "broken": "bad", "undecided": ""}
TITLES = {
    "better": "The challenger is better",
    "worse": "The challenger is worse",
    "broken": "The split is not as it should be",
    "undecided": "The evidence does not suffice yet",
}


@blueprint.get("/traffic")
def traffic() -> str:
    site = services()
    served = site.champion.peek()
    if served is None:
        return render_template("empty.html", title="Traffic")
    report = RECENT.of(site, site.champion.name)
    evidence: JsonObject = report["evidence"] or {}
    return render_template(
        "traffic.html",
        name=report["name"],
        champion=report["champion"],
        rule=report["rule"],
        evidence=evidence,
        tone=TONES.get(evidence.get("state", ""), ""),
        headline=TITLES.get(evidence.get("state", ""), ""),
        chart=_chart(evidence.get("contrast")),
        shadows=_shadow_counts(site.meter.totals(), report),
        events=report["events"][::-1],
    )


def _chart(contrast: JsonObject | None) -> JsonObject | None:
    """The confidence sequence over the looks that were there; None before the first."""
    path: list[JsonObject] = contrast["path"] if contrast else []
    if not contrast or not path:
        return None

    def line(name: str, key: str, color: str, *, dashed: bool = False) -> JsonObject:
        return {"name": name, "values": [_short(p[key]) for p in path], "color": color, "dashed": dashed}

    level = f"{1 - contrast['alpha']:.0%}"
    return {
        "title": f"Difference in {contrast['loss']}, challenger less champion",
        "labels": [_label(point) for point in path],
        "scale": True,
        "series": [
            line("difference", "difference", "ember"),
            line(f"highest it may be ({level})", "high", "steel-mid"),
            line(f"lowest it may be ({level})", "low", "steel-mid"),
            {"name": "no difference", "values": [0] * len(path), "color": "edge", "dashed": True},
        ],
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _label(point: JsonObject) -> str:
    return f"{point['units']:,} ({datetime.fromisoformat(point['time']):%d %b})"


def _shadow_counts(totals: dict[Any, float], report: JsonObject) -> list[tuple[str, str]]:
    """Rows that the servers' shadows answered, failed at and dropped since the servers started."""
    if report["rule"] is None or report["rule"]["kind"] != "shadow":
        return []
    version = str(report["rule"]["challenger"])
    found = {key[3]: value for key, value in totals.items() if key[:3] == (COUNTER, report["name"], version)}
    return [(name, figure(found.get(name, 0.0))) for name in ("answered", "failed", "dropped")]
