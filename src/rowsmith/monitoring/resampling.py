"""The bootstrap of a score: what it would have been with other rows from the same place."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np

from rowsmith.types import Array, Interval, Metric, Vector

DRAWS = 100
MIN_DRAWS = 25
MAX_ROWS = 5000
"""Of more rows a sample is resampled, and the spread scaled to all: it shrinks with the root of the rows."""
LEVEL = 0.95


def score(metric: Metric, truth: Array, predicted: Array, weights: Vector | None = None) -> float:
    """The score, or NaN where it is not defined (one class only, no rows)."""
    if not len(truth):
        return math.nan
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return float(metric.function(truth, predicted, weights))


class Bootstrap:
    """Resampled weights of some rows, drawn once and used for every metric.

    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile interval).
    """

    def __init__(self, rows: int, rng: np.random.Generator) -> None:
        self._rows = rows
        self._kept = rng.choice(rows, MAX_ROWS, replace=False) if rows > MAX_ROWS else np.arange(rows)
        size = len(self._kept)
        draws = DRAWS if size > 1 else 0
        self._weights = [np.bincount(rng.integers(size, size=size), minlength=size) for _ in range(draws)]

    def deviations(self, metric: Metric, truth: Array, predicted: Array) -> Vector:
        """Resampled scores less the score, shape (draws or fewer,): those not defined are left out."""
        truth, predicted = truth[self._kept], predicted[self._kept]
        centre = score(metric, truth, predicted)
        weighted = metric.prepare(truth, predicted) if metric.prepare else _plain(metric, truth, predicted)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            drawn = np.array([weighted(weights.astype(np.float64)) for weights in self._weights])
        deviations: Vector = (drawn - centre)[np.isfinite(drawn)] * math.sqrt(len(self._kept) / max(self._rows, 1))
        return deviations


def percentile_interval(value: float, deviations: Vector, level: float = LEVEL) -> Interval | None:
    """None where too few resamples gave a score."""
    if not math.isfinite(value) or len(deviations) < MIN_DRAWS:
        return None
    low, high = np.quantile(deviations, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value + float(low), value + float(high))


def _plain(metric: Metric, truth: Array, predicted: Array) -> Callable[[Vector], float]:
    return lambda weights: float(metric.function(truth, predicted, weights))
