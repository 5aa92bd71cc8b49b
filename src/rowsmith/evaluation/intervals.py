"""How sure a figure is: bootstrap over rows (or whole groups of rows), and Wilson's interval for a share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rowsmith.types import Array, Interval, Metric, Rows, Vector

CONFIDENCE = 0.95
MAX_RESAMPLES = 500
MIN_RESAMPLES = 100
# Work of one bootstrap, in rows times resamples, and times classes where there are more than two: about half a
# second for every system compared. A resample costs as much as LEAST rows, however few there are.
WORK = 5_000_000
LEAST = 4_000
MAX_ROWS = 25_000
MIN_ROWS = 2_000

Statistic = Callable[[Vector], float]


def plain(value: float) -> float | None:
    """For JSON, which has no NaN: a figure that is not defined is None."""
    return float(value) if math.isfinite(value) else None


def statistic(metric: Metric, truth: Array, predicted: Array) -> Statistic:
    """The score as a function of the row weights."""
    if metric.prepare is not None:
        return metric.prepare(truth, predicted)
    return lambda weights: metric.function(truth, predicted, weights)


@dataclass(frozen=True)
class Bootstrap:
    """Resamples of the rows at `rows`, the same for every statistic that is asked, so differences are paired.

    A long table is represented by a part of its rows, drawn once without replacement; deviations are then
    shrunk by `scale`, the root of the share of rows (or groups) that were kept, as the spread of a mean is
    (Politis, Romano and Wolf 1999, Subsampling, chapter 2). With groups, whole groups are drawn (cluster
    bootstrap; Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x).
    """

    rows: Rows
    scale: float
    resamples: int
    seed: int
    weights: Vector | None = None
    groups: Array | None = None

    @classmethod
    def over(
        cls,
        rows: int,
        *,
        classes: int = 2,
        weights: Vector | None = None,
        groups: Array | None = None,
        resamples: int | None = None,
        max_rows: int | None = None,
        seed: int = 0,
    ) -> Bootstrap:
        """`weights` and `groups` (any codes) are None or of shape (rows,). The work is bounded by `WORK`."""
        share = classes if classes > 2 else 1
        limit = max_rows or max(MAX_ROWS // share, MIN_ROWS)
        kept, scale = _part(rows, groups, limit, np.random.default_rng([seed, 1]))
        if resamples is None:
            work = max(len(kept), LEAST) * share
            resamples = int(np.clip(WORK // work, MIN_RESAMPLES, MAX_RESAMPLES))
        return cls(
            rows=kept,
            scale=scale,
            resamples=resamples,
            seed=seed,
            weights=None if weights is None else weights[kept],
            groups=None if groups is None else np.unique(groups[kept], return_inverse=True)[1],
        )

    @property
    def base(self) -> Vector:
        """The weights without resampling."""
        return np.ones(len(self.rows)) if self.weights is None else self.weights

    def draws(self) -> Iterator[Vector]:
        """Weights of one resample after the other, shape (len(rows),)."""
        random = np.random.default_rng([self.seed, 2])
        units = len(self.rows) if self.groups is None else int(self.groups.max(initial=-1)) + 1
        for _ in range(self.resamples if units else 0):
            counts = np.bincount(random.integers(0, units, units), minlength=units).astype(np.float64)
            if self.groups is not None:
                counts = counts[self.groups]
            yield counts if self.weights is None else counts * self.weights

    def ask(self, statistics: Sequence[Statistic]) -> Array:
        """Each statistic's deviation from its own value in each resample, shape (resamples, statistics)."""
        found = np.array([[ask(weights) for ask in statistics] for weights in self.draws()])
        centre = np.array([ask(self.base) for ask in statistics])
        deviations: Array = (found.reshape(-1, len(statistics)) - centre) * self.scale
        return deviations


def percentile_interval(value: float, deviations: Vector, confidence: float = CONFIDENCE) -> Interval | None:
    """Percentile interval; None when the statistic is not defined in half of the resamples.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    defined = deviations[np.isfinite(deviations)]
    if not math.isfinite(value) or len(defined) == 0 or len(defined) < len(deviations) / 2:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(value + defined, [tail, 1 - tail])
    return Interval(float(low), float(high))


def wilson(share: float, rows: float, confidence: float = CONFIDENCE) -> Interval | None:
    """Interval of a share seen in so many rows. Source: Wilson 1927, doi:10.1080/01621459.1927.10502953."""
    if rows <= 0 or not math.isfinite(share):
        return None
    from statistics import NormalDist

    share = min(max(share, 0.0), 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    # Rounding may not push an end past the share itself, nor out of the unit.
    return Interval(min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share))


def effective_rows(weights: Vector | None, rows: int) -> float:
    """How many equal rows weighted ones are worth. Source: Kish 1965, Survey Sampling, section 11.2."""
    if weights is None:
        return float(rows)
    squares = float(np.dot(weights, weights))
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def _part(rows: int, groups: Array | None, limit: int, random: np.random.Generator) -> tuple[Rows, float]:
    """At most about `limit` rows in their order, and the root of the share kept."""
    if rows <= limit:
        return np.arange(rows, dtype=np.int64), 1.0
    if groups is None:
        return np.sort(random.choice(rows, limit, replace=False)).astype(np.int64), math.sqrt(limit / rows)
    codes = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(codes)
    order = random.permutation(len(sizes))
    taken = order[: max(int(np.searchsorted(np.cumsum(sizes[order]), limit)), 2)]
    return np.flatnonzero(np.isin(codes, taken)).astype(np.int64), math.sqrt(len(taken) / len(sizes))
