"""The evaluation in sentences, for a reader who does not know the metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from rowsmith.types import JsonObject, Task

BADLY_CALIBRATED = 0.05
WIDE_PARITY_GAP = 0.2
COVERAGE_SLACK = 0.02
DOMINATED = 0.8
TOO_GOOD = 0.995
MAX_SLICES = 3
MAX_NAME = 60
MODEL = "model"
DUMMY = "dummy"
BOUNDED = frozenset({"roc_auc", "average_precision", "accuracy", "balanced_accuracy", "f1", "mcc", "r2"})


def figure(value: float | None) -> str:
    """A score as a person reads it: three or four digits, thousands apart."""
    if value is None or not math.isfinite(value):
        return "not defined"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 0.1 and value != 0:
        return f"{value:.3g}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def percent(share: float) -> str:
    """A share in per cent, with a decimal only where whole ones would hide it."""
    return f"{share:.1%}" if 0 < share < 0.02 or 0.98 < share < 1 else f"{share:.0%}"


def quoted(name: str) -> str:
    """A column or a label inside a sentence; a long one is cut."""
    return f"“{name}”" if len(name) <= MAX_NAME else f"“{name[: MAX_NAME - 1]}…”"


def summarise(evaluation: Mapping[str, Any]) -> JsonObject:
    """Four lists of sentences: `good` (how good), `compared` (with what), `sure` (how sure), `watch` (what to mind).

    Takes an `Evaluation` as JSON, so what is stored can be told again.
    """
    if evaluation["rows"] == 0:
        return {"good": [], "compared": [], "sure": [], "watch": list(evaluation["notes"])}
    return {
        "good": _good(evaluation),
        "compared": _compared(evaluation),
        "sure": _sure(evaluation),
        "watch": _watch(evaluation),
    }


def _value(evaluation: Mapping[str, Any], metric: str, system: str = MODEL) -> float | None:
    item = evaluation["scores"][system].get(metric)
    return None if item is None else item["value"]


def _title(evaluation: Mapping[str, Any]) -> str:
    return next(str(item["title"]) for item in evaluation["metrics"] if item["name"] == evaluation["metric"])


def _good(evaluation: Mapping[str, Any]) -> list[str]:
    main = evaluation["metric"]
    sides = ("median_ae", "r2") if evaluation["task"] == Task.REGRESSION else ("accuracy",)
    found = [_meaning(evaluation, name) for name in (main, *(side for side in sides if side != main))]
    return [sentence for sentence in found if sentence]


def _meaning(evaluation: Mapping[str, Any], metric: str) -> str:
    value = _value(evaluation, metric)
    if value is None:
        title = next(str(item["title"]) for item in evaluation["metrics"] if item["name"] == metric)
        return f"{title} is not defined on these rows."
    say = MEANINGS.get(metric)
    return say(value, evaluation) if say else f"{_title(evaluation)} is {figure(value)}."


def _roc_auc(value: float, evaluation: Mapping[str, Any]) -> str:
    times = f"{100 * value:.0f} times out of 100" if value < TOO_GOOD else "practically every time"
    if evaluation["task"] != Task.BINARY:
        return f"Shown a row of a class and one of another, the model tells which is which {times}, on average."
    event, other = evaluation["labels"][1], evaluation["labels"][0]
    return f"Shown a row of {quoted(event)} and a row of {quoted(other)}, the model ranks the first higher {times}."


def _accuracy(value: float, evaluation: Mapping[str, Any]) -> str:
    sentence = f"It answers {percent(value)} of the test rows rightly"
    matrix = evaluation["charts"].get("confusion")
    if not matrix or evaluation["weighted"]:
        return sentence + "."
    totals = [sum(row) for row in matrix["counts"]]
    most = max(range(len(totals)), key=lambda place: totals[place])
    share = percent(totals[most] / max(sum(totals), 1))
    return f"{sentence}; always answering {quoted(matrix['labels'][most])} would be right for {share}."


def _unit(value: float, evaluation: Mapping[str, Any]) -> str:
    return f"{figure(value)} (in the unit of {quoted(evaluation['target'])})"


MEANINGS: Mapping[str, Callable[[float, Mapping[str, Any]], str]] = {
    "roc_auc": _roc_auc,
    "accuracy": _accuracy,
    "log_loss": lambda value, _: (
        f"The class that is true gets a probability of {percent(math.exp(-value))}, typically."
    ),
    "brier": lambda value, _: f"The mean squared distance between probability and outcome is {figure(value)}.",
    "balanced_accuracy": lambda value, _: f"On average over the classes, {percent(value)} of a class are recognised.",
    "rmse": lambda value, e: f"Answers are off by {_unit(value, e)}, large misses counting more.",
    "mae": lambda value, e: f"Answers are off by {_unit(value, e)} on average.",
    "median_ae": lambda value, e: f"Half of the answers are closer to the truth than {_unit(value, e)}.",
    "r2": lambda value, e: f"It explains {percent(max(value, 0.0))} of the variation of {quoted(e['target'])}.",
    "mape": lambda value, _: f"Answers are off by {percent(value)} of the true value on average.",
}


def _compared(evaluation: Mapping[str, Any]) -> list[str]:
    found = []
    for name, against in evaluation["against"].items():
        value, improvement = _value(evaluation, evaluation["metric"], name), against["improvement"]
        who = "Knowing nothing (the same answer for every row)" if name == DUMMY else f"A simple {name} model"
        if value is None or improvement is None:
            continue
        found.append(f"{who} reaches {figure(value)}: {_verdict(against)}.")
    return found


def _verdict(against: Mapping[str, Any]) -> str:
    size, low, high = abs(against["improvement"]), against["low"], against["high"]
    if low is None or low <= 0 <= high:
        return "the difference is within chance"
    side, ends = ("better", (low, high)) if low > 0 else ("worse", (-high, -low))
    return f"the model is {side} by {figure(size)} (between {figure(ends[0])} and {figure(ends[1])})"


def _sure(evaluation: Mapping[str, Any]) -> list[str]:
    item = evaluation["scores"][MODEL][evaluation["metric"]]
    rows = f"{evaluation['rows']:,} rows that the model had never seen"
    if item["low"] is None:
        return [f"Measured once, on {rows}; too few to say how sure the figure is."]
    return [
        f"Measured once, on {rows}. {_title(evaluation)} is {figure(item['value'])}; on other rows of the same kind it "
        f"would likely lie between {figure(item['low'])} and {figure(item['high'])} "
        f"({percent(evaluation['confidence'])} interval, {evaluation['resamples']:,} bootstrap resamples)."
    ]


def _watch(evaluation: Mapping[str, Any]) -> list[str]:
    return [
        *_too_good(evaluation),
        *_not_better(evaluation),
        *_weak_slices(evaluation),
        *_probabilities(evaluation),
        *_coverage(evaluation),
        *_groups(evaluation),
        *evaluation["notes"],
    ]


def _too_good(evaluation: Mapping[str, Any]) -> list[str]:
    drops = [item for item in evaluation["importance"] if item["drop"] is not None and item["drop"] > 0]
    value, total = _value(evaluation, evaluation["metric"]), sum(item["drop"] for item in drops)
    if value is not None and evaluation["metric"] in BOUNDED and value >= TOO_GOOD:
        return ["The score is almost perfect. Make sure that no column is known only after the fact."]
    if len(drops) > 1 and drops[0]["drop"] > DOMINATED * total:
        column = quoted(drops[0]["column"])
        return [f"The model leans on {column} for most of its quality. Is it known when predicting?"]
    return []


def _not_better(evaluation: Mapping[str, Any]) -> list[str]:
    simple = [
        name
        for name, against in evaluation["against"].items()
        if name != DUMMY and against["low"] is not None and against["low"] <= 0
    ]
    return [
        f"It is not clearly better than a simple {name} model, which would be easier to explain." for name in simple
    ]


def _weak_slices(evaluation: Mapping[str, Any]) -> list[str]:
    flagged = [item for item in evaluation["slices"] if item["flagged"]]
    if not flagged:
        return []
    overall = _value(evaluation, evaluation["metric"]) or 0.0
    flagged.sort(key=lambda item: -abs(item["score"] - overall))
    named = [
        f"{quoted(item['column'])} = {quoted(item['label'])} ({figure(item['score'])}, {item['rows']:,} rows)"
        for item in flagged[:MAX_SLICES]
    ]
    more = f" and {len(flagged) - MAX_SLICES} more" if len(flagged) > MAX_SLICES else ""
    return [f"It is weaker than its overall {figure(overall)}, beyond chance, for {'; '.join(named)}{more}."]


def _probabilities(evaluation: Mapping[str, Any]) -> list[str]:
    error = evaluation["charts"].get("calibration", {}).get("error")
    if error is None or error < BADLY_CALIBRATED:
        return []
    return [f"Its probabilities are off by {100 * error:.0f} percentage points on average: read them as a ranking."]


def _coverage(evaluation: Mapping[str, Any]) -> list[str]:
    found = evaluation["charts"].get("coverage")
    if not found or found["high"] is None or found["high"] >= found["promised"] - COVERAGE_SLACK:
        return []
    promised, observed = percent(found["promised"]), percent(found["observed"])
    return [f"Prediction intervals promise to hold {promised} of the true values and hold {observed}."]


def _groups(evaluation: Mapping[str, Any]) -> list[str]:
    gaps = [
        (gap, item["column"])
        for item in evaluation["fairness"]
        for gap in item["gaps"]
        if gap["name"] == "demographic_parity" and gap["difference"] > WIDE_PARITY_GAP
    ]
    event = quoted(evaluation["labels"][1]) if gaps else ""
    return [
        f"Groups of {quoted(column)} are treated differently: {event} is answered {100 * gap['difference']:.0f} "
        f"percentage points more often for {quoted(gap['highest'])} than for {quoted(gap['lowest'])}."
        for gap, column in sorted(gaps, key=lambda pair: -pair[0]["difference"])
    ]
