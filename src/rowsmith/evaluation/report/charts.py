"""The charts of the report: from evaluation data to drawings. A chart without data is None."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from rowsmith.evaluation.report.svg import Axis, Plot, nice_ticks, percent_text, tick_text
from rowsmith.evaluation.segments import EPOCH
from rowsmith.evaluation.summary import figure, percent

MAX_LINES = 8
MAX_DATES = 5
FIRST_SECOND = (datetime.min.replace(tzinfo=EPOCH.tzinfo) - EPOCH).total_seconds()
LAST_SECOND = (datetime(9999, 12, 31, tzinfo=EPOCH.tzinfo) - EPOCH).total_seconds()


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, its title, what to see in it, and its legend (label and colour number)."""

    title: str
    svg: Markup
    caption: str = ""
    legend: tuple[tuple[str, int], ...] = ()


def curves(evaluation: Mapping[str, Any], kind: str) -> Chart | None:
    """ROC (`roc`) or precision over recall (`precision_recall`)."""
    found = evaluation["charts"].get(kind)
    if not found:
        return None
    roc = kind == "roc"
    event = len(evaluation["labels"]) == 2
    x_title, y_title = ("False positive rate", "True positive rate") if roc else ("Recall", "Precision")
    title = "ROC curve" if roc else "Precision and recall"
    plot = Plot(Axis(0, 1, x_title, percent_text), Axis(0, 1, y_title, percent_text), title)
    if roc:
        plot.line([0, 1], [0, 1], "reference")
    elif event:
        plot.line([0, 1], [found[0]["share"]] * 2, "reference")
    for place, item in enumerate(found[:MAX_LINES]):
        plot.line(item["x"], item["y"], f"s{place + 1}")
    if roc:
        caption = "How many of the class are found (upwards) for so many false alarms (to the right). Dashed: guessing."
    else:
        caption = "How many of those announced are right (upwards) when so many of the class are found (to the right)."
        caption += f" Dashed: guessing, {percent(found[0]['share'])}." if event else ""
    legend = () if event else tuple((item["label"], place + 1) for place, item in enumerate(found[:MAX_LINES]))
    return Chart(title, plot.svg(), caption, legend)


def calibration(evaluation: Mapping[str, Any]) -> Chart | None:
    found = evaluation["charts"].get("calibration")
    if not found or not found["bins"]:
        return None
    bins = found["bins"]
    what = f"“{evaluation['labels'][1]}”" if found["of"] == "event" else "the answer being right"
    plot = Plot(
        Axis(0, 1, f"Promised probability of {what}", percent_text),
        Axis(0, 1, "Observed share", percent_text),
        "Calibration",
    )
    plot.line([0, 1], [0, 1], "reference")
    plot.whiskers(
        [item["promised"] for item in bins], [item["low"] for item in bins], [item["high"] for item in bins], "s1"
    )
    plot.line([item["promised"] for item in bins], [item["observed"] for item in bins], "s1 thin")
    plot.dots([item["promised"] for item in bins], [item["observed"] for item in bins], "s1", 4)
    caption = (
        f"On the dashed line, a promise of 70% comes true 70 times out of 100. The mean gap is "
        f"{100 * found['error']:.1f} percentage points (expected calibration error)."
    )
    return Chart("Calibration", plot.svg(), caption)


def distribution(evaluation: Mapping[str, Any]) -> Chart | None:
    found = evaluation["charts"].get("distribution")
    if not found:
        return None
    totals = [max(sum(series["counts"]), 1) for series in found["series"]]
    shares = [[count / total for count in s["counts"]] for s, total in zip(found["series"], totals, strict=True)]
    of_event = found["of"] == "event"
    x_title = f"Probability of “{evaluation['labels'][1]}”" if of_event else "Probability of the class answered"
    highest = max(max(row) for row in shares)
    plot = Plot(Axis(0, 1, x_title, percent_text), Axis(0, highest * 1.05, "Share of its rows", percent_text), "Scores")
    for place, row in enumerate(shares):
        plot.bars(found["edges"], row, f"s{place + 1} soft")
    if found["threshold"] is not None:
        plot.upright(found["threshold"], f"threshold {figure(found['threshold'])}")
    legend = tuple((series["label"], place + 1) for place, series in enumerate(found["series"]))
    caption = "The less the two overlap, the better the model tells them apart."
    return Chart("Probabilities by true label" if of_event else "How sure it was", plot.svg(), caption, legend)


def predicted_against_true(evaluation: Mapping[str, Any]) -> Chart | None:
    found = evaluation["charts"].get("predicted_against_true")
    if not found or not found["true"]:
        return None
    both = [*found["predicted"], *found["true"]]
    plot = Plot(Axis.over(both, "Predicted"), Axis.over(both, "True"), "Predicted against true")
    plot.line([min(both), max(both)], [min(both), max(both)], "reference")
    plot.dots(found["predicted"], found["true"], "s1 soft", 3)
    shown = len(found["true"])
    part = f"{shown} rows drawn at random. " if shown < evaluation["rows"] else ""
    return Chart("Predicted against true", plot.svg(), f"{part}On the dashed line, the answer was exact.")


def residual_histogram(evaluation: Mapping[str, Any]) -> Chart | None:
    found = evaluation["charts"].get("residuals")
    if not found or not found["counts"]:
        return None
    edges, counts = found["edges"], found["counts"]
    total = max(sum(counts), 1)
    plot = Plot(
        Axis(edges[0], edges[-1], "True minus predicted"),
        Axis(0, 1.05 * max(counts) / total, "Share of rows", percent_text),
        "Errors",
    )
    plot.bars(edges, [count / total for count in counts], "s1")
    if edges[0] < 0 < edges[-1]:
        plot.upright(0, "exact")
    q = found["quantiles"]
    caption = (
        f"Half of the errors lie between {tick_text(q['0.25'])} and {tick_text(q['0.75'])}, "
        f"nine in ten between {tick_text(q['0.05'])} and {tick_text(q['0.95'])}."
    )
    return Chart("Errors", plot.svg(), caption)


def residuals_by_prediction(evaluation: Mapping[str, Any]) -> Chart | None:
    found = (evaluation["charts"].get("residuals") or {}).get("by_prediction")
    if not found or len(found) < 2:
        return None
    x, low, high = ([item[key] for item in found] for key in ("predicted", "low", "high"))
    plot = Plot(
        Axis.over(x, "Predicted"), Axis.over([*low, *high, 0.0], "True minus predicted"), "Errors by prediction"
    )
    plot.band(x, low, high, "s1")
    plot.line([x[0], x[-1]], [0, 0], "reference")
    plot.line(x, [item["mean"] for item in found], "s1")
    plot.dots(x, [item["mean"] for item in found], "s1")
    caption = "Line: mean error by tenth of the predictions. Band: eight in ten errors. A line away from 0 is a bias."
    return Chart("Errors by prediction", plot.svg(), caption)


def dependence(evaluation: Mapping[str, Any], item: Mapping[str, Any]) -> Chart:
    """The mean answer along a column of numbers or dates."""
    points = item["points"]
    xs = [point["value"] for point in points]
    outputs = _outputs(evaluation)
    answers = [[point["answers"][output] for point in points] for output, _ in outputs]
    regression = not evaluation["labels"]
    y_title = "Mean answer" if regression else "Mean probability"
    everything = [value for row in answers for value in row]
    y = Axis.over(everything, y_title, margin=0.12) if regression else _probabilities_axis(everything, y_title)
    x = Axis.over(xs, item["column"])
    plot = Plot(date_axis(x) if item["kind"] == "datetime" else x, y, f"Dependence on {item['column']}")
    highest = max(point["share"] for point in points)
    for point in points:
        foot, top = y.low, y.low + (y.high - y.low) * 0.14 * point["share"] / max(highest, 1e-12)
        plot.whiskers([point["value"]], [foot], [top], "share")
    for place, row in enumerate(answers):
        plot.line(xs, row, f"s{place + 1}")
        plot.dots(xs, row, f"s{place + 1}", 2.6)
    legend = tuple((label, place + 1) for place, (_, label) in enumerate(outputs)) if len(outputs) > 1 else ()
    return Chart(item["column"], plot.svg(), "", legend)


def _outputs(evaluation: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Column of the answers and its label: the event of two classes, the first eight of more."""
    labels: Sequence[str] = evaluation["labels"]
    if not labels:
        return [(0, "")]
    return [(1, labels[1])] if len(labels) == 2 else list(enumerate(labels))[:MAX_LINES]


def _probabilities_axis(values: Sequence[float], title: str) -> Axis:
    room = max((max(values) - min(values)) * 0.12, 0.02)
    return Axis(max(min(values) - room, 0.0), min(max(values) + room, 1.0), title, percent_text)


def date_axis(axis: Axis) -> Axis:
    """An axis of seconds since 1970, marked at the first of years, of months, or at days."""
    # The margins of an axis may lie before year 1 or after year 9999.
    axis = replace(axis, low=max(axis.low, FIRST_SECOND), high=min(axis.high, LAST_SECOND))
    first, last = (EPOCH + timedelta(seconds=value) for value in (axis.low, axis.high))
    days = (last - first).days
    if days > 3 * 365:
        step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000, 5000) if days / 365 / step <= MAX_DATES)
        years = range(-(-(first.year + 1) // step) * step, last.year + 1, step)
        return replace(axis, ticks=_seconds((year, 1, 1) for year in years), text=_written("%Y"))
    if days > 60:
        step = next(step for step in (1, 2, 3, 6, 12) if days / 30 / step <= MAX_DATES)
        months = [
            month for month in range(first.year * 12 + first.month, last.year * 12 + last.month) if month % step == 0
        ]
        return replace(axis, ticks=_seconds((m // 12, m % 12 + 1, 1) for m in months), text=_written("%Y-%m"))
    ticks = [86400 * day for day in nice_ticks(axis.low / 86400, axis.high / 86400, MAX_DATES)]
    return replace(axis, ticks=tuple(ticks), text=_written("%m-%d" if days > MAX_DATES else "%m-%d %H:%M"))


def _seconds(dates: Iterable[tuple[int, int, int]]) -> tuple[float, ...]:
    return tuple((datetime(*date, tzinfo=EPOCH.tzinfo) - EPOCH).total_seconds() for date in dates)


def _written(pattern: str) -> Callable[[float], str]:
    return lambda seconds: (EPOCH + timedelta(seconds=seconds)).strftime(pattern)
