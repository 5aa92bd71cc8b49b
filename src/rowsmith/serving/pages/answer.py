"""An answer as a page shows it: plain data first, drawn in _answer.html."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rowsmith.evaluation.explain import Explanation
from rowsmith.model import TrainedModel
from rowsmith.schema import Schema
from rowsmith.serving.champion import Served
from rowsmith.serving.pages.layout import figure, percent
from rowsmith.types import Prediction, Task

MAX_BARS = 10
MAX_DRIVERS = 8
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Bar:
    """`share` is 0 to 1."""

    label: str
    share: float
    chosen: bool


@dataclass(frozen=True, slots=True)
class Driver:
    """A column's push: `start` and `width` are percent of the drawing, whose middle is no push at all."""

    label: str
    value: str
    amount: str
    raises: bool
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class RangeBar:
    """A number and its interval on the range that the target had in training; all but the ends are percent of it."""

    least: str
    most: str
    start: float
    width: float
    at: float


@dataclass(frozen=True, slots=True)
class AnswerView:
    headline: str
    under: str
    bars: tuple[Bar, ...]
    more_bars: int
    low: str
    high: str
    coverage: str
    range: RangeBar | None
    drivers: tuple[Driver, ...]
    explained: str
    base: str
    warnings: tuple[str, ...]
    figure: float
    change: str
    id: str
    version: int


def view_of(
    served: Served, prediction: Prediction, row: dict[str, Any], *, id: str = "", asked: float | None = None
) -> AnswerView:
    """`asked` is the figure of the answer that was last asked for, which a what-if is compared with."""
    model = served.model
    values = served.deployed.row(row).row
    explanation = None if served.explainer is None else served.explainer.explain(values)
    now = explained_figure(model, prediction)
    bars = _bars(prediction)
    return AnswerView(
        headline=prediction.value if isinstance(prediction.value, str) else figure(prediction.value, 5),
        under=_under(model, prediction),
        bars=tuple(bars[:MAX_BARS]),
        more_bars=max(len(bars) - MAX_BARS, 0),
        low=figure(prediction.interval.low, 5) if prediction.interval else "",
        high=figure(prediction.interval.high, 5) if prediction.interval else "",
        coverage=percent(model.recipe.train.interval, 0),
        range=_range(prediction, model.schema),
        drivers=_drivers(explanation, values | row, model.schema) if explanation else (),
        explained=explanation.label or "" if explanation else "",
        base=_amount(explanation.base, model) if explanation else "",
        warnings=prediction.warnings,
        figure=now,
        change=_change(model, now, asked),
        id=id,
        version=served.version.number,
    )


def explained_figure(model: TrainedModel, prediction: Prediction) -> float:
    """The one figure that a what-if moves: the probability of the event, or of the class given, or the number."""
    if prediction.probabilities is None:
        return float(prediction.value)
    return prediction.probabilities[model.labels[1] if model.task is Task.BINARY else str(prediction.value)]


def _under(model: TrainedModel, prediction: Prediction) -> str:
    if prediction.probabilities is None:
        return ""
    text = f"with a probability of {percent(prediction.probabilities[str(prediction.value)])}"
    if model.task is Task.BINARY:
        text += f"; “{model.labels[1]}” is answered from {percent(model.threshold)} on"
    return text


def _bars(prediction: Prediction) -> list[Bar]:
    shares = prediction.probabilities or {}
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return [Bar(label, share, label == prediction.value) for label, share in ordered]


def _range(prediction: Prediction, schema: Schema) -> RangeBar | None:
    target, interval = schema.target, prediction.interval
    if interval is None or target is None or target.minimum is None or target.maximum is None:
        return None
    least, span = target.minimum, target.maximum - target.minimum
    if span <= 0:
        return None
    start, end, at = (
        round(100 * min(max((value - least) / span, 0.0), 1.0), 2)
        for value in (interval.low, interval.high, float(prediction.value))
    )
    return RangeBar(figure(target.minimum), figure(target.maximum), start, round(end - start, 2), at)


def _drivers(explanation: Explanation, row: dict[str, Any], schema: Schema) -> tuple[Driver, ...]:
    shown = [item for item in explanation.contributions if item.column][:MAX_DRIVERS]
    shown = [item for item in shown if item.amount]
    largest = max((abs(item.amount) for item in shown), default=0.0) or 1.0
    found = []
    for item in shown:
        width = 50 * abs(item.amount) / largest
        sign = "+" if item.amount > 0 else MINUS
        size = abs(item.amount)
        text = f"{sign}{100 * size:.1f} points" if schema.labels else f"{sign}{figure(size, 3)}"
        start = 50.0 if item.amount > 0 else 50 - width
        found.append(
            Driver(item.column, _shown(row.get(item.column)), text, item.amount > 0, round(start, 2), round(width, 2))
        )
    return tuple(found)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "missing" if value is None else str(value)


def _amount(value: float, model: TrainedModel) -> str:
    return percent(value) if model.labels else figure(value, 5)


def _change(model: TrainedModel, now: float, asked: float | None) -> str:
    if asked is None or now == asked:
        return ""
    sign = "+" if now > asked else MINUS
    size = abs(now - asked)
    return f"{sign}{100 * size:.1f} points" if model.labels else f"{sign}{figure(size, 4)}"
