"""Sketch: a few hundred numbers that stand for a whole column, and the same of a window in the very same bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from rowsmith.types import Array, JsonObject, Rows, Vector

LARGEST_SQUARED = 1e150
MAX_EDGES = 101
"""Hundredths: ten of them make a tenth, which is what the population stability index compares."""
MAX_LEVELS = 50


@dataclass(frozen=True, slots=True)
class Sketch:
    """How the values of one column are distributed.

    Ordered values (numbers, dates, lengths, scores) have `edges`, strictly rising: bin i holds the values in
    (edges[i-1], edges[i]]. The first bin holds what is below every value of the reference (edges[1] is its smallest
    value and edges[0] the number just before it), and one more bin what is above every one (the last edge).
    `low_mean` and `high_mean` are the means of these two, so that no distance is lost at the open ends.

    Levels have `levels`, most frequent first, and one more bin for all others; `unseen` counts the values that the
    schema does not list. `rows` counts missing values too (an infinite number is one); `mean`, `deviation`, `minimum`
    and `maximum` are of the values that are there, None for levels and where there are none.
    """

    rows: int
    missing: int
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    unseen: int = 0
    mean: float | None = None
    deviation: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    low_mean: float | None = None
    high_mean: float | None = None

    @property
    def present(self) -> int:
        """Rows that have a value."""
        return self.rows - self.missing

    @property
    def is_ordered(self) -> bool:
        return bool(self.edges)

    @property
    def missing_share(self) -> float:
        return self.missing / self.rows if self.rows else 0.0

    @property
    def unseen_share(self) -> float:
        return self.unseen / self.present if self.present else 0.0

    def quantile(self, share: float) -> float | None:
        """The end of the first bin that brings the count to `share`; None where there are no values."""
        if not self.present or not self.edges or self.maximum is None:
            return None
        position = int(np.searchsorted(np.cumsum(self.counts), share * self.present))
        return self.edges[position] if position < len(self.edges) else self.maximum

    def to_dict(self) -> JsonObject:
        """Plain JSON; what is empty is left out."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: value for name, value in values.items() if value is not None and value != ()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}

    @classmethod
    def from_dict(cls, data: JsonObject) -> Sketch:
        values: JsonObject = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        return cls(**values)


def ordered_sketch(values: pl.Series, max_edges: int = MAX_EDGES) -> Sketch:
    """The sketch of numbers (null is missing). Few distinct values are kept exactly, many become quantiles."""
    numbers = _present(values)
    edges = _edges(numbers, max_edges)
    return _ordered_sketches(edges, values, np.zeros(len(values), dtype=np.int64), 1)[0]


def level_sketch(values: pl.Series, known: Sequence[str], max_levels: int = MAX_LEVELS) -> Sketch:
    """The sketch of text levels (null is missing); `known` are the levels that do not count as unseen."""
    counted = values.rename("level").drop_nulls().value_counts().sort(["count", "level"], descending=[True, False])
    levels = tuple(counted["level"].head(max_levels).to_list())
    return _level_sketches(levels, known, values, np.zeros(len(values), dtype=np.int64), 1)[0]


def window_sketches(
    reference: Sketch, values: pl.Series, windows: Rows, count: int, known: Sequence[str] = ()
) -> list[Sketch]:
    """The sketches of `count` windows in the bins of the reference, in one pass over the column.

    `windows` says which window each row lies in, 0 to count-1; -1 leaves the row out.
    """
    inside = windows >= 0
    if not inside.all():
        values, windows = values.filter(pl.Series(inside)), windows[inside]
    if reference.is_ordered:
        return _ordered_sketches(np.array(reference.edges), values, windows, count)
    return _level_sketches(reference.levels, known, values, windows, count)


def _present(values: pl.Series) -> Vector:
    numbers: Vector = values.drop_nulls().cast(pl.Float64).to_numpy()
    return numbers[np.isfinite(numbers)]


def _edges(numbers: Vector, max_edges: int) -> Vector:
    if not len(numbers):
        return np.zeros(1)  # an ordered sketch without values still is one
    distinct = np.unique(numbers)
    if len(distinct) > max_edges:
        distinct = np.unique(np.quantile(numbers, np.linspace(0, 1, max_edges), method="inverted_cdf"))
    return np.concatenate([np.nextafter(distinct[:1], -np.inf), distinct])


def _ordered_sketches(edges: Vector, values: pl.Series, windows: Rows, count: int) -> list[Sketch]:
    numbers: Vector = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
    finite = np.isfinite(numbers)
    rows = np.bincount(windows, minlength=count)
    numbers, where = numbers[finite], windows[finite]
    bins = np.searchsorted(edges, numbers, side="left")
    table = _table(where, bins, count, len(edges) + 1)
    present = table.sum(axis=1)
    # Squares beyond 1e308 are infinite; a power of two changes no digit.
    largest = np.abs(numbers).max(initial=0.0)
    scale = 2.0 ** (np.frexp(largest)[1] - 1) if largest > LARGEST_SQUARED else 1.0
    small = numbers / scale
    sums = np.bincount(where, weights=small, minlength=count)
    low, high = bins == 0, bins == len(edges)
    low_sums = np.bincount(where[low], weights=numbers[low], minlength=count)
    high_sums = np.bincount(where[high], weights=numbers[high], minlength=count)
    means = sums / np.maximum(present, 1)
    # Around the mean: sums of plain squares lose every digit of a date in seconds.
    squares = np.bincount(where, weights=(small - means[where]) ** 2, minlength=count)
    least, most = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(least, where, numbers)
    np.maximum.at(most, where, numbers)
    shared_edges = tuple(edges.tolist())
    return [
        Sketch(
            rows=int(rows[i]),
            missing=int(rows[i] - present[i]),
            counts=tuple(table[i].tolist()),
            edges=shared_edges,
            mean=float(means[i] * scale) if present[i] else None,
            deviation=float(np.sqrt(squares[i] / present[i]) * scale) if present[i] else None,
            minimum=float(least[i]) if present[i] else None,
            maximum=float(most[i]) if present[i] else None,
            low_mean=float(low_sums[i] / table[i, 0]) if table[i, 0] else None,
            high_mean=float(high_sums[i] / table[i, -1]) if table[i, -1] else None,
        )
        for i in range(count)
    ]


def _level_sketches(
    levels: tuple[str, ...], known: Sequence[str], values: pl.Series, windows: Rows, count: int
) -> list[Sketch]:
    listed = list(dict.fromkeys([*levels, *known]))
    codes = values.cast(pl.Enum(listed), strict=False).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
    there = values.is_not_null().to_numpy()
    rows = np.bincount(windows, minlength=count)
    codes, where = codes[there], windows[there]
    # Listed levels beyond those of the sketch, and unlisted ones (-1), share the last bin.
    bins = np.where((codes >= 0) & (codes < len(levels)), codes, len(levels))
    table = _table(where, bins, count, len(levels) + 1)
    familiar = frozenset(known)
    # The last place is that of code -1, a value that is not listed.
    is_known = np.array([*(level in familiar for level in listed), False])
    unseen = np.bincount(where[~is_known[codes]], minlength=count)
    present = table.sum(axis=1)
    return [
        Sketch(
            rows=int(rows[i]),
            missing=int(rows[i] - present[i]),
            counts=tuple(table[i].tolist()),
            levels=levels,
            unseen=int(unseen[i]),
        )
        for i in range(count)
    ]


def _table(windows: Rows, bins: Array, count: int, width: int) -> Array:
    """Counts, shape (windows, bins)."""
    return np.bincount(windows * width + bins, minlength=count * width).reshape(count, width)
