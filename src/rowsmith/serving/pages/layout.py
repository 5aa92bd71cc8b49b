"""What every page shares: addresses of static files, how figures and dates are written, the navigation."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, request, url_for

from rowsmith.serving.gate import CALLER, STRANGER
from rowsmith.serving.permissions import role_for
from rowsmith.serving.services import services
from rowsmith.version import __version__

DASH = "\N{EN DASH}"
STATIC = Path(__file__).parent.parent / "static"
NAVIGATION = (
    ("home.home", "Overview"),
    ("predict.form", "Predict"),
    ("batch.upload", "Batch"),
    ("versions.champion_report", "Report"),
    ("monitoring.monitoring", "Monitoring"),
    ("traffic.traffic", "Traffic"),
    ("data.snapshots", "Data"),
    ("reference.api", "API"),
)


def prepare(app: Flask) -> None:
    """Give the templates of an application their helpers."""
    app.jinja_env.globals.update(
        static_url=static_url,
        navigation=_navigation,
        signed_in=_signed_in,
        rowsmith_version=__version__,
        served=_served,
    )
    app.jinja_env.filters.update(
        figure=figure, score=score, percent=percent, when=when, whole=whole, plural=plural, label=label, size=size
    )
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True


def static_url(path: str) -> str:
    """The address of a static file, with a part of its hash: a new release is fetched anew, an old one never again."""
    return url_for("static", filename=path, v=_hash_of(path))


@cache
def _hash_of(path: str) -> str:
    return hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:12]


def _navigation() -> list[tuple[str, str]]:
    """The pages that whoever asks may open."""
    caller = request.environ.get(CALLER, STRANGER)
    return [
        (endpoint, name)
        for endpoint, name in NAVIGATION
        if caller is not STRANGER and caller.role >= (role_for(endpoint) or caller.role)
    ]


def _signed_in() -> bool:
    return bool(request.environ.get(CALLER, STRANGER).by_session)


def _served() -> Any:
    return services().champion.peek()


def figure(value: float | None, digits: int = 4) -> str:
    """A number to be read: 0.9274, 12,345, 1.2e-05; a dash for none."""
    if value is None or not math.isfinite(value):
        return DASH
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.{1 if abs(value) < 10**digits else 0}f}".removesuffix(".0")
    return f"{value:.{digits}g}" if abs(value) >= 1e-4 else f"{value:.2g}"


def score(value: float | None) -> str:
    """A score to be compared with others in a column: 0.9320 beside 0.9329."""
    return f"{value:.4f}" if value is not None and abs(value) < 10 else figure(value)


def percent(share: float | None, digits: int = 1) -> str:
    """0 and 1 are only said where they are exact."""
    if share is None or not math.isfinite(share):
        return DASH
    text = f"{share:.{digits}%}"
    if share < 1 and text.rstrip("0%").rstrip(".") == "100":
        return f">{1 - 10 ** -(digits + 2):.{digits}%}"
    if share > 0 and float(text[:-1]) == 0:
        return f"<{10 ** -(digits + 2):.{digits}%}"
    return text


def whole(number: float | None) -> str:
    return DASH if number is None else f"{number:,.0f}"


def size(count: float) -> str:
    """Bytes to be read: 30.8 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def when(moment: str | float | None) -> str:
    """An ISO 8601 text, or seconds since 1970, as 23 Nov 2026, 17:09 UTC."""
    if moment is None:
        return DASH
    time = datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC)
    if time.tzinfo is not None:
        time = time.astimezone(UTC)
    return f"{time.day} {time:%b %Y, %H:%M} UTC"


def plural(number: float, noun: str) -> str:
    """1 row, 2,000 rows."""
    return f"{number:,.0f} {noun}" if number == 1 else f"{number:,.0f} {noun}s"


def label(name: str) -> str:
    """A name of the code as people write it: roc_auc is ROC AUC."""
    spaced = name.replace("_", " ")
    return SPELLED.get(name, spaced[:1].upper() + spaced[1:])


SPELLED = {
    "roc_auc": "ROC AUC",
    "rmse": "RMSE",
    "rmsle": "RMSLE",
    "mae": "MAE",
    "mape": "MAPE",
    "r2": "R²",
    "f1": "F1",
    "mcc": "Matthews correlation",
}
