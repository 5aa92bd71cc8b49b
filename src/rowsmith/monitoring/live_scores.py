"""Live scores: how good the answers really were, of the rows whose outcome is known by now."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rowsmith.monitoring.correction import benjamini_hochberg
from rowsmith.monitoring.estimate import ASSUMPTION, Outlook
from rowsmith.monitoring.reference import ReferenceScore
from rowsmith.monitoring.resampling import Bootstrap, percentile_interval, score
from rowsmith.types import Array, Interval, JsonObject, Metric

ALPHA = 0.01


@dataclass(frozen=True, slots=True)
class WindowScore:
    """A score of one window beside that of the sealed test part; `estimated` tells which of the two kinds it is.

    `p_value` is how likely a score at least this much worse would be if nothing had changed (one-sided, normal
    approximation with the bootstrap's deviations of both); `worse` says that this is below 0.01 after correction for
    the other metrics of the window. `assumption` is what an estimate takes for granted.
    """

    metric: str
    estimated: bool
    value: float
    interval: Interval | None
    rows: int
    reference: float | None
    p_value: float | None
    worse: bool = False
    assumption: str = ""

    def to_dict(self) -> JsonObject:
        interval = [self.interval.low, self.interval.high] if self.interval else None
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "interval": interval}

    @classmethod
    def from_dict(cls, data: JsonObject) -> WindowScore:
        return cls(**{**data, "interval": Interval(*data["interval"]) if data["interval"] else None})


def live_score(
    metric: Metric, truth: Array, predicted: Array, reference: ReferenceScore | None, bootstrap: Bootstrap
) -> WindowScore | None:
    """The score of labelled rows; None where it is not defined (no rows, or one class only)."""
    value = score(metric, truth, predicted)
    if not math.isfinite(value):
        return None
    deviations = bootstrap.deviations(metric, truth, predicted)
    before = reference.score.value if reference else None
    spread = math.hypot(float(deviations.std()) if len(deviations) else 0.0, reference.deviation if reference else 0.0)
    p_value = chance_of_worse(metric, value, before, spread)
    interval = percentile_interval(value, deviations)
    return WindowScore(metric.name, False, value, interval, len(truth), before, p_value)


def estimated_score(
    metric: Metric, predicted: Array, outlook: Outlook, reference: ReferenceScore | None
) -> WindowScore | None:
    """The score that labels are expected to show, compared with what the same estimate said of the test part."""
    found = outlook.estimate(metric, predicted)
    if found is None:
        return None
    before = reference.estimated if reference else None
    spread = math.hypot(found.deviation, reference.deviation if reference else 0.0)
    p_value = chance_of_worse(metric, found.value, before, spread)
    rows = len(predicted)
    return WindowScore(metric.name, True, found.value, found.interval, rows, before, p_value, assumption=ASSUMPTION)


def with_verdicts(scores: Sequence[WindowScore]) -> tuple[WindowScore, ...]:
    """The scores of one window, each with its `worse` (Benjamini and Hochberg over those that can be compared)."""
    known = np.array([score.p_value for score in scores if score.p_value is not None], dtype=np.float64)
    corrected = iter(benjamini_hochberg(known).tolist())
    return tuple(score if score.p_value is None else replace(score, worse=next(corrected) < ALPHA) for score in scores)


def chance_of_worse(metric: Metric, value: float, before: float | None, deviation: float) -> float | None:
    """None where there is nothing to compare with."""
    if before is None or deviation <= 0:
        return None
    worse_by = metric.error(value) - metric.error(before)
    return math.erfc(worse_by / deviation / math.sqrt(2)) / 2
