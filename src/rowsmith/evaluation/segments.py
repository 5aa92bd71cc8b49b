"""Segments: the rows of a column's levels, or of its deciles; and the main score in each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from rowsmith.evaluation.intervals import statistic
from rowsmith.evaluation.testset import TestSet
from rowsmith.schema import NUMERIC_KINDS, Column
from rowsmith.types import Array, ColumnKind, Metric, Rows

MAX_LEVELS = 12
RESAMPLES = 50
MAX_ROWS = 5_000
MISSING = "(missing)"
OTHER = "(other levels)"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Segment:
    """Some rows of a column. `low` and `high` are the closed range of its numbers (or seconds since 1970)."""

    label: str
    rows: Rows
    low: float | None = None
    high: float | None = None


def segments_of(
    values: pl.Series, column: Column, *, bins: int = 10, max_levels: int = MAX_LEVELS
) -> tuple[Segment, ...]:
    """By level, most frequent first, or by quantile, lowest first; missing values last. Text has none."""
    if column.kind is ColumnKind.TEXT:
        return ()
    if column.kind in NUMERIC_KINDS or column.kind is ColumnKind.DATETIME:
        return _by_quantile(as_numbers(values), column.kind, bins)
    return _by_level(values, max_levels)


def as_numbers(values: pl.Series) -> Array:
    """Numbers, or dates as seconds since 1970; missing is NaN."""
    if values.dtype == pl.Datetime:
        return values.dt.epoch("us").cast(pl.Float64).fill_null(math.nan).to_numpy() / 1e6
    return values.cast(pl.Float64, strict=False).fill_null(math.nan).to_numpy()


def show_number(value: float, kind: ColumnKind) -> str:
    """A number, or a date, as a person writes it."""
    if kind is ColumnKind.DATETIME:
        moment = EPOCH + timedelta(seconds=value)
        return moment.strftime("%Y-%m-%d" if value % 86400 == 0 else "%Y-%m-%d %H:%M")
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}" if abs(value) >= 10_000 else str(int(value))
    return f"{value:.4g}"


def _by_level(values: pl.Series, limit: int) -> tuple[Segment, ...]:
    levels = values.cast(pl.String).rename("level")
    counts = levels.drop_nulls().value_counts(sort=True)
    named = sorted(counts.rows(), key=lambda pair: (-pair[1], pair[0]))
    kept = [level for level, _ in named[:limit]]
    found = [Segment(level, np.flatnonzero((levels == level).fill_null(False).to_numpy())) for level in kept]
    if len(named) > limit:
        found.append(Segment(OTHER, np.flatnonzero((~levels.is_in(kept) & levels.is_not_null()).to_numpy())))
    return (*found, *_missing(levels.is_null().to_numpy()))


def _by_quantile(numbers: Array, kind: ColumnKind, bins: int) -> tuple[Segment, ...]:
    known = numbers[np.isfinite(numbers)]
    found: list[Segment] = []
    if len(known):
        edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
        codes = np.searchsorted(edges, numbers, side="left")
        for code in range(len(edges) + 1):
            rows = np.flatnonzero((codes == code) & np.isfinite(numbers))
            if len(rows):
                low, high = float(numbers[rows].min()), float(numbers[rows].max())
                text = show_number(low, kind)
                label = text if low == high else f"{text} to {show_number(high, kind)}"
                found.append(Segment(label, rows, low, high))
    return (*found, *_missing(np.isnan(numbers)))


def _missing(mask: Array) -> Sequence[Segment]:
    return [Segment(MISSING, np.flatnonzero(mask))] if mask.any() else []


def score_with_error(test: TestSet, metric: Metric, rows: Rows) -> tuple[float, float]:
    """The model's score on some rows, and its standard error by bootstrap; either may be NaN."""
    bootstrap = test.bootstrap(rows, RESAMPLES, MAX_ROWS)
    part = rows[bootstrap.rows]
    ask = statistic(metric, test.truth[part], test.predicted(metric, test.scores[part]))
    deviations = bootstrap.ask([ask])[:, 0]
    defined = deviations[np.isfinite(deviations)]
    error = float(np.std(defined, ddof=1)) if len(defined) > RESAMPLES / 2 else math.nan
    return test.score(metric, rows), error
