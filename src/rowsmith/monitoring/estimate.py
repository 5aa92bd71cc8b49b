"""The score estimated before labels come, from what the model itself says about its errors.

Classification: confidence-based performance estimation. A calibrated probability says how often a label is true, so
every row counts once for each label, weighted by that label's probability (Garg et al. 2022, arXiv:2201.04234, and
NannyML's CBPE are of this family). Regression: a simple direct loss estimation. Residuals of the sealed test part, kept
by the size of the prediction, stand for the errors of rows predicted alike.

Both see that rows have become harder, and neither can see that the same rows now have other answers (concept drift):
only labels show that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rowsmith.monitoring.resampling import percentile_interval, score
from rowsmith.types import Array, Interval, JsonObject, Metric, Rows, Scores2D, Vector

ASSUMPTION = "the same rows still have the same answers (no concept drift); only labels can show otherwise"
DRAWS = 60
MAX_DRAWN = 3000
MAX_WEIGHED = 100_000
"""Rows times plausible truths that one estimate looks at; of more rows a sample is taken."""
RESIDUAL_BINS = 10
MIN_ROWS_OF_BIN = 30
# Finer towards the ends: few large errors make up most of a squared error.
RESIDUAL_STEPS = (0.0, 0.005, 0.01, 0.02, 0.05, *np.arange(0.1, 0.95, 0.1).tolist(), 0.95, 0.98, 0.99, 0.995, 1.0)


@dataclass(frozen=True, slots=True)
class Residuals:
    """How far off the numbers were. Predictions above `edges[i-1]` and up to `edges[i]` have the residuals `values[i]`.

    Each is the mean of one slice of truth - prediction, `shares[i]` says how large the slice was. `low` and `high`
    bound the truths that were seen.
    """

    edges: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    low: float
    high: float

    def plausible(self, predicted: Vector) -> tuple[Vector, Vector]:
        """Truths that each prediction may turn out to have and how likely each is, both of shape (rows, slices)."""
        bins = np.minimum(np.searchsorted(np.array(self.edges), predicted), len(self.values) - 1)
        truths = predicted[:, None] + np.array(self.values)[bins]
        return np.clip(truths, self.low, self.high), np.array(self.shares)[bins]

    def to_dict(self) -> JsonObject:
        return {
            "edges": list(self.edges),
            "values": [list(slices) for slices in self.values],
            "shares": [list(slices) for slices in self.shares],
            "low": self.low,
            "high": self.high,
        }

    @classmethod
    def from_dict(cls, data: JsonObject) -> Residuals:
        return cls(
            edges=tuple(data["edges"]),
            values=tuple(tuple(slices) for slices in data["values"]),
            shares=tuple(tuple(slices) for slices in data["shares"]),
            low=data["low"],
            high=data["high"],
        )


def fit_residuals(predicted: Vector, truth: Vector) -> Residuals | None:
    """None for fewer than 30 rows. Bins hold about equally many rows, and at least 30."""
    if len(truth) < MIN_ROWS_OF_BIN:
        return None
    count = min(RESIDUAL_BINS, len(truth) // MIN_ROWS_OF_BIN)
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, count + 1)[1:]))
    bins = np.searchsorted(edges, predicted)
    # Ties may leave a bin between two quantiles empty; the next one takes its place.
    filled = [i for i in range(len(edges)) if (bins == i).any()]
    slices = [_slices(np.sort((truth - predicted)[bins == i])) for i in filled]
    return Residuals(
        edges=tuple(edges[filled].tolist()),
        values=tuple(values for values, _ in slices),
        shares=tuple(shares for _, shares in slices),
        low=float(truth.min()),
        high=float(truth.max()),
    )


def _slices(residuals: Vector) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and sizes of the slices of sorted residuals; a slice without a row of its own weighs nothing."""
    ends = np.round(np.array(RESIDUAL_STEPS) * len(residuals)).astype(np.int64)
    pairs = list(pairwise(ends.tolist()))
    means = tuple(float(residuals[a:b].mean()) if b > a else 0.0 for a, b in pairs)
    return means, tuple(float((b - a) / len(residuals)) for a, b in pairs)


@dataclass(frozen=True, slots=True)
class Plausible:
    """Truths that rows may turn out to have (class codes or numbers) and how likely each is; shape (rows, truths)."""

    truths: Array
    chances: Vector

    @classmethod
    def of_classes(cls, probabilities: Scores2D) -> Plausible:
        rows, classes = probabilities.shape
        return cls(np.broadcast_to(np.arange(classes, dtype=np.int64), (rows, classes)), probabilities)

    @classmethod
    def of_numbers(cls, predicted: Vector, residuals: Residuals) -> Plausible:
        return cls(*residuals.plausible(predicted))

    def __len__(self) -> int:
        return len(self.chances)

    def rows(self, rows: Rows) -> Plausible:
        return Plausible(self.truths[rows], self.chances[rows])


@dataclass(frozen=True, slots=True)
class Estimated:
    """A score that nobody has measured. `deviation` is the standard deviation of what labels would bring."""

    value: float
    interval: Interval | None
    deviation: float


class Outlook:
    """Rows whose truth is not known yet, prepared once for every metric."""

    def __init__(self, plausible: Plausible, rng: np.random.Generator) -> None:
        truths = plausible.chances.shape[1]
        self._rows = len(plausible)
        self._weighed = _sample(self._rows, max(MAX_WEIGHED // truths, 1), rng)
        self._drawn = _sample(self._rows, MAX_DRAWN, rng)
        kept = plausible.rows(self._weighed)
        possible = kept.chances.ravel() > 0
        self._places = np.repeat(self._weighed, truths)[possible]
        self._truths = kept.truths.ravel()[possible]
        self._chances = kept.chances.ravel()[possible]
        self._draws = _draw(plausible.rows(self._drawn), rng)

    def expected(self, metric: Metric, predicted: Array) -> float:
        """The score over all plausible truths at once, each weighted by its chance; NaN where it is not defined."""
        return score(metric, self._truths, predicted[self._places], self._chances)

    def estimate(self, metric: Metric, predicted: Array) -> Estimated | None:
        """The expected score, and the range in which 95 % of true scores would fall. None where it is not defined."""
        value = self.expected(metric, predicted)
        if not math.isfinite(value):
            return None
        drawn = np.array([score(metric, truth, predicted[self._drawn]) for truth in self._draws])
        drawn = drawn[np.isfinite(drawn)]
        if not len(drawn):
            return Estimated(value, None, 0.0)
        deviations = (drawn - drawn.mean()) * math.sqrt(len(self._drawn) / self._rows)
        return Estimated(value, percentile_interval(value, deviations), float(deviations.std()))


def _draw(plausible: Plausible, rng: np.random.Generator) -> list[Array]:
    """One truth for each row, again and again, by its chance."""
    limits = np.cumsum(plausible.chances, axis=1)
    rows, last = np.arange(len(plausible)), limits.shape[1] - 1
    draws: list[Array] = []
    for _ in range(DRAWS):
        chosen = (rng.random((len(rows), 1)) * limits[:, -1:] > limits).sum(axis=1)
        draws.append(plausible.truths[rows, np.minimum(chosen, last)])
    return draws


def _sample(rows: int, most: int, rng: np.random.Generator) -> Rows:
    return np.arange(rows) if rows <= most else np.sort(rng.choice(rows, most, replace=False))
