"""Drift: how far a window's values have moved away from the reference, column by column.

The effect decides and chance has a veto: a column has drifted when the effect of a deciding test is above its
threshold and its p-value, corrected for all the columns looked at in the window (Benjamini and Hochberg 1995), is
below 0.01. Other tests are shown beside it. A window with few rows is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from rowsmith.monitoring.correction import benjamini_hochberg
from rowsmith.monitoring.drift_tests import DRIFT_TESTS
from rowsmith.monitoring.drift_tests.bins import common_bins
from rowsmith.monitoring.drift_tests.population_stability import POPULATION_STABILITY
from rowsmith.monitoring.reference import Watched
from rowsmith.monitoring.sketch import Sketch
from rowsmith.monitoring.wording import bin_label, bounds, heading, movement, too_few
from rowsmith.types import ColumnKind, JsonObject

ALPHA = 0.01
Part: TypeAlias = Literal["feature", "prediction", "label"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one drift test said. `adjusted` is the p-value corrected for the other columns of the window."""

    test: str
    effect: float
    threshold: float
    p_value: float | None
    decides: bool
    adjusted: float | None = None

    @property
    def above(self) -> bool:
        return self.effect > self.threshold

    @property
    def is_drift(self) -> bool:
        return self.decides and self.above and (self.adjusted is None or self.adjusted < ALPHA)


@dataclass(frozen=True, slots=True)
class Bar:
    """A bin of the little histogram: shares of the rows that have a value, 0 to 1.

    It holds the values from `low` to `high`; None for an open end, and for levels.
    """

    label: str
    reference: float
    window: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing watched of one column in one window.

    `effect`, `threshold` and `p_value` (corrected) are those of the test that speaks loudest; None where none applied.
    `missing`, `unseen` and `invalid` are shares of the rows, 0 to 1. `natural` marks dates, which move by themselves.
    """

    column: str
    part: Part
    kind: ColumnKind
    aspect: str
    rows: int
    judged: bool
    drifted: bool
    test: str | None
    effect: float | None
    threshold: float | None
    p_value: float | None
    sentence: str
    missing: float
    missing_reference: float
    unseen: float
    invalid: float
    natural: bool
    tests: tuple[Measured, ...]
    bars: tuple[Bar, ...]

    def to_dict(self) -> JsonObject:
        lists = {"tests": [asdict(test) for test in self.tests], "bars": [asdict(bar) for bar in self.bars]}
        return {**asdict(self), "kind": self.kind.value, **lists}

    @classmethod
    def from_dict(cls, data: JsonObject) -> Drift:
        return cls(
            **{
                **data,
                "kind": ColumnKind(data["kind"]),
                "tests": tuple(Measured(**item) for item in data["tests"]),
                "bars": tuple(Bar(**item) for item in data["bars"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """A window's sketch of something that is watched; `invalid` rows held what cannot be read, and count as missing."""

    watched: Watched
    part: Part
    sketch: Sketch
    invalid: int = 0


def judge_window(seen: Sequence[Seen], *, threshold: float, min_rows: int) -> tuple[Drift, ...]:
    """Everything watched in one window, in the order given. `threshold` is that of the population stability index."""
    measured = [_measure(item, threshold) if item.sketch.rows >= min_rows else () for item in seen]
    decisive = [test.p_value for tests in measured for test in tests if test.decides and test.p_value is not None]
    corrected = iter(benjamini_hochberg(np.array(decisive)).tolist())
    return tuple(
        _drift(item, tuple(_with_adjusted(test, corrected) for test in tests), min_rows)
        for item, tests in zip(seen, measured, strict=True)
    )


def _measure(item: Seen, threshold: float) -> tuple[Measured, ...]:
    reference, window = item.watched.sketch, item.sketch
    there = reference.present > 0 and window.present > 0
    tests: list[Measured] = []
    for test in DRIFT_TESTS:
        if item.watched.kind not in test.kinds or (test.needs_values and not there):
            continue
        outcome = test.function(reference, window)
        if outcome is not None:
            limit = threshold if test is POPULATION_STABILITY else test.threshold
            tests.append(Measured(test.name, outcome.effect, limit, outcome.p_value, test.decides))
    return tuple(tests)


def _with_adjusted(test: Measured, corrected: Iterator[float]) -> Measured:
    return replace(test, adjusted=next(corrected)) if test.decides and test.p_value is not None else test


def _drift(item: Seen, tests: tuple[Measured, ...], min_rows: int) -> Drift:
    window, reference = item.sketch, item.watched.sketch
    deciding = [test for test in tests if test.decides]
    # A test that calls drift speaks before one that does not, then the one furthest above its threshold.
    loudest = max(deciding, key=lambda test: (test.is_drift, test.effect / test.threshold), default=None)
    judged = window.rows >= min_rows
    drifted = loudest is not None and loudest.is_drift
    return Drift(
        column=item.watched.column,
        part=item.part,
        kind=item.watched.kind,
        aspect=item.watched.aspect,
        rows=window.rows,
        judged=judged,
        drifted=drifted,
        test=loudest.test if loudest else None,
        effect=loudest.effect if loudest else None,
        threshold=loudest.threshold if loudest else None,
        p_value=loudest.adjusted if loudest else None,
        sentence=_sentence(item, loudest) if judged else too_few(item.watched, window.rows, min_rows),
        missing=window.missing_share,
        missing_reference=reference.missing_share,
        unseen=window.unseen / max(window.rows, 1),
        invalid=item.invalid / max(window.rows, 1),
        natural=item.watched.kind is ColumnKind.DATETIME,
        tests=tests,
        bars=_bars(item),
    )


def _sentence(item: Seen, loudest: Measured | None) -> str:
    if loudest is None:
        return f"{heading(item.watched)}: nothing to compare"
    title = next(test.short for test in DRIFT_TESTS if test.name == loudest.test)
    start = f"{heading(item.watched)}: {title} {loudest.effect:.2f}"
    if not loudest.above:
        return f"{start}, not above {loudest.threshold:g}"
    if not loudest.is_drift:
        return f"{start}, above {loudest.threshold:g} but not beyond chance"
    return f"{start}, above {loudest.threshold:g}: {movement(item.watched, item.sketch, loudest.test)}"


def _bars(item: Seen) -> tuple[Bar, ...]:
    """The very bins that the population stability index is computed on."""
    reference, window = item.watched.sketch, item.sketch
    if not reference.present or not window.present:
        return ()
    bins = common_bins(reference, window)
    expected, seen = bins.reference / reference.present, bins.window / window.present
    bars: list[Bar] = []
    for i, (first, last) in enumerate(zip(bins.first, bins.last, strict=True)):
        low, high = bounds(reference, first, last)
        label = bin_label(item.watched, first, last)
        bars.append(Bar(label, float(expected[i]), float(seen[i]), low, high))
    return tuple(bars)
