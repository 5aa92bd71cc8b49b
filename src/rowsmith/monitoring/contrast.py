"""The contrast of two arms: how much more a challenger loses than the champion, as outcomes come in.

A shadow answers the rows that the champion answers: the difference of their losses on a row is one value. In a canary
or a split a unit is answered by one of the two, by a coin of known weight: the value is then the augmented inverse
probability estimate of the difference for that unit, with the means of the arms so far (Robins, Rotnitzky and Zhao
1994; its confidence sequence is section 3 of Waudby-Smith et al. 2024, arXiv:2103.06476). Its expectation is the true
difference whatever those means are, and they make it as certain as the data allow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np

from rowsmith.monitoring.sequential import MeanSequence
from rowsmith.types import Array, JsonObject, Vector

MIN_UNITS = 50
"""In each arm, before anything is claimed: the interval rests on the central limit theorem."""
POINTS = 120


@dataclass(frozen=True, slots=True)
class Point:
    """What was known when so many units had an outcome; `time` is ISO 8601."""

    time: str
    units: int
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """`difference` is the challenger's mean loss less the champion's: below 0 the challenger is better.

    `low` to `high` holds the true difference at all times together with probability 1 - alpha: it is what the intervals
    of all looks have in common, so that what was once shown stays shown. `p_value` (two-sided) is
    the smallest so far. All are None while an arm has too few units. `units_needed` would show the difference seen
    now, if it is the true one. `path` is what earlier looks saw.
    """

    loss: str
    alpha: float
    units: int
    champion_mean: float | None
    challenger_mean: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    units_needed: int | None = None
    path: tuple[Point, ...] = ()

    @property
    def better(self) -> bool | None:
        """Whether the challenger is better; None while the evidence does not suffice."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return None
        return self.high < 0

    def to_dict(self) -> JsonObject:
        return asdict(self) | {"better": self.better, "path": [asdict(point) for point in self.path]}


def contrast_of_pairs(
    times: Sequence[datetime], units: Sequence[str], champion: Vector, challenger: Vector, *, loss: str, alpha: float
) -> Contrast:
    """Both arms lost on the same rows. A unit counts once, with its first row. Losses are NaN where not known."""
    kept = _firsts(units, np.isfinite(champion) & np.isfinite(challenger))
    differences = challenger[kept] - champion[kept]
    steps = ((times[i], value) for i, value in zip(kept, differences.tolist(), strict=True))
    means = (_mean(champion[kept]), _mean(challenger[kept]))
    return _follow(steps, MIN_UNITS, len(kept), means, loss, alpha)


def contrast_of_arms(
    times: Sequence[datetime],
    units: Sequence[str],
    is_challenger: Array,
    losses: Vector,
    *,
    share: float,
    loss: str,
    alpha: float,
) -> Contrast:
    """Each unit is one arm's, the challenger's with the chance `share`. Shapes (rows,), in the order of outcomes."""
    kept = _firsts(units, np.isfinite(losses))
    arms, values = is_challenger[kept], losses[kept]
    means = (_mean(values[~arms]), _mean(values[arms]))
    both = np.minimum(np.cumsum(arms), np.cumsum(~arms))
    start = int(np.searchsorted(both, MIN_UNITS))  # where the smaller arm has enough
    contrasts = _weighted(arms.tolist(), values.tolist(), share)
    steps = ((times[i], value) for i, value in zip(kept, contrasts, strict=True) if value is not None)
    skipped = next((i for i, n in enumerate(both.tolist()) if n >= 1), len(kept))
    return _follow(steps, start - skipped, len(kept), means, loss, alpha)


def _weighted(arms: Sequence[bool], values: Sequence[float], share: float) -> Iterator[float | None]:
    """One value for a unit; None for those before both arms have one, which only begin the means."""
    sums, counts = [0.0, 0.0], [0, 0]
    for arm, value in zip(arms, values, strict=True):
        if all(counts):
            champion, challenger = sums[0] / counts[0], sums[1] / counts[1]
            step = (value - challenger) / share if arm else (champion - value) / (1 - share)
            yield challenger - champion + step
        else:
            yield None
        sums[arm] += value
        counts[arm] += 1


def _follow(
    steps: Iterator[tuple[datetime, float]],
    start: int,
    units: int,
    means: tuple[float | None, float | None],
    loss: str,
    alpha: float,
) -> Contrast:
    """Look after every step from `start` on."""
    sequence = MeanSequence(alpha)
    p_value, low, high = 1.0, -math.inf, math.inf
    points: list[Point] = []
    every = max(1, units // POINTS)
    last: datetime | None = None
    for last, value in steps:
        sequence.add(value)
        if sequence.count < max(start, 2):
            continue
        p_value = min(p_value, sequence.p_value())
        now = sequence.mean - sequence.half_width, sequence.mean + sequence.half_width
        low, high = max(low, now[0]), min(high, now[1])
        if low > high:  # the difference is another than it was: what earlier looks saw holds no longer
            low, high = now
        if sequence.count % every == 0 and math.isfinite(low):
            points.append(Point(last.isoformat(), sequence.count, sequence.mean, low, high))
    if sequence.count < max(start, 2) or not units or last is None:
        return Contrast(loss, alpha, units, *means)
    if math.isfinite(low) and (not points or points[-1].units != sequence.count):
        points.append(Point(last.isoformat(), sequence.count, sequence.mean, low, high))
    return Contrast(
        loss=loss,
        alpha=alpha,
        units=units,
        champion_mean=means[0],
        challenger_mean=means[1],
        difference=sequence.mean,
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        p_value=p_value,
        units_needed=sequence.values_needed(),
        path=tuple(points),
    )


def _firsts(units: Sequence[str], known: Array) -> list[int]:
    """The first row of each unit whose loss is known."""
    places: dict[str, int] = {}
    for place, unit in enumerate(units):
        if known[place]:
            places.setdefault(unit, place)
    return list(places.values())


def _mean(values: Vector) -> float | None:
    return float(values.mean()) if len(values) else None
