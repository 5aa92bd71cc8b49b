"""The bootstrap of a score: what it would have been with other rows from the same place."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np

from rowsmith.types import Array, Interval, Metric, Vector

DRAWS = 200
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


def bootstrap(metric: Metric, truth: Array, predicted: Array, rng: np.random.Generator, draws: int = DRAWS) -> Vector:
    """Deviations of resampled scores from the score, shape (draws or fewer,): those not defined are left out.

    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile interval).
    """
    rows = len(truth)
    if rows > MAX_ROWS:
        kept = rng.choice(rows, MAX_ROWS, replace=False)
        truth, predicted = truth[kept], predicted[kept]
    size = len(truth)
    if size < 2:
        return np.zeros(0)
    weighted = metric.prepare(truth, predicted) if metric.prepare else _plain(metric, truth, predicted)
    centre = score(metric, truth, predicted)
    even = np.full(size, 1 / size)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        drawn = np.array([weighted(rng.multinomial(size, even).astype(np.float64)) for _ in range(draws)])
    deviations: Vector = (drawn - centre)[np.isfinite(drawn)] * math.sqrt(size / rows)
    return deviations


def percentile_interval(value: float, deviations: Vector, level: float = LEVEL) -> Interval | None:
    """None where too few resamples gave a score."""
    if not math.isfinite(value) or len(deviations) < DRAWS // 4:
        return None
    low, high = np.quantile(deviations, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value + float(low), value + float(high))


def _plain(metric: Metric, truth: Array, predicted: Array) -> Callable[[Vector], float]:
    return lambda weights: float(metric.function(truth, predicted, weights))
