"""Coarse bins that a test can trust: enough rows are expected in each, and reference and window share them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rowsmith.monitoring.sketch import Sketch
from rowsmith.types import Array, Vector

MAX_BINS = 10
MAX_LEVEL_BINS = 20
MIN_EXPECTED = 5
"""Rows that a bin should expect of the window (Cochran 1954, doi:10.2307/3001616)."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Counts of both sides, shape (bins,), and for each bin the fine bins (`first` to `last`) it was made of."""

    reference: Array
    window: Array
    first: tuple[int, ...]
    last: tuple[int, ...]

    @property
    def shares(self) -> tuple[Vector, Vector]:
        """Shares of both sides, half a row added to every bin so that no logarithm meets a zero."""
        return _smoothed(self.reference), _smoothed(self.window)

    @property
    def noise(self) -> float:
        """(bins - 1)(1/n + 1/m): what chance alone adds to a sum of squared relative differences of shares."""
        return (len(self.window) - 1) * self.scale

    @property
    def scale(self) -> float:
        return 1 / max(int(self.window.sum()), 1) + 1 / max(int(self.reference.sum()), 1)


def common_bins(reference: Sketch, window: Sketch) -> Bins:
    """At most 10 bins of about equal share for ordered values; at most 20 levels, the rest together.

    Values outside the range of the reference have a bin of their own on either side once there are 5 of them.
    """
    least = MIN_EXPECTED / max(window.present, 1)
    if reference.is_ordered:
        groups = _even_groups(reference, window, max(1 / MAX_BINS, least))
    else:
        groups = _frequent_levels(reference, least)
    counts, seen = np.array(reference.counts), np.array(window.counts)
    first = tuple(group[0] for group in groups)
    last = tuple(group[1] for group in groups)
    spans = [slice(a, b + 1) for a, b in groups]
    return _without_empty(
        Bins(np.array([counts[s].sum() for s in spans]), np.array([seen[s].sum() for s in spans]), first, last)
    )


def _even_groups(reference: Sketch, window: Sketch, share: float) -> list[tuple[int, int]]:
    """Neighbouring fine bins joined until each group holds `share` of the rows."""
    end = len(reference.counts) - 1
    # Quantiles of whole rows are up to one row off.
    inner = _joined(reference.counts[1:end], share * reference.present - 1)
    if not inner:
        return [(0, end)]
    low, high = window.counts[0] >= MIN_EXPECTED, window.counts[end] >= MIN_EXPECTED
    if not low:
        inner[0] = (0, inner[0][1])
    if not high:
        inner[-1] = (inner[-1][0], end)
    return [*([(0, 0)] if low else []), *inner, *([(end, end)] if high else [])]


def _joined(counts: tuple[int, ...], need: float) -> list[tuple[int, int]]:
    """Groups of at least `need` rows, as first and last position; the first of `counts` has the position 1."""
    groups: list[tuple[int, int]] = []
    start, held = 1, 0
    for position, count in enumerate(counts, start=1):
        held += count
        if held and held >= need:
            groups.append((start, position))
            start, held = position + 1, 0
    if held:  # a remainder too small for a group of its own joins the last one
        groups = [*groups[:-1], (groups[-1][0] if groups else start, len(counts))]
    return groups


def _frequent_levels(sketch: Sketch, share: float) -> list[tuple[int, int]]:
    """Levels come most frequent first, so those that stand alone are the first ones."""
    alone = [i for i in range(len(sketch.levels)) if sketch.counts[i] >= share * sketch.present][:MAX_LEVEL_BINS]
    return [*((i, i) for i in alone), (len(alone), len(sketch.counts) - 1)]


def _without_empty(bins: Bins) -> Bins:
    kept = [i for i in range(len(bins.first)) if bins.reference[i] or bins.window[i]]
    return Bins(
        bins.reference[kept],
        bins.window[kept],
        tuple(bins.first[i] for i in kept),
        tuple(bins.last[i] for i in kept),
    )


def _smoothed(counts: Array) -> Vector:
    more = counts + 0.5
    shares: Vector = more / more.sum()
    return shares
