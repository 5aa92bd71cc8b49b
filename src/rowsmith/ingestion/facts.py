"""The facts of a column: what a form shows, and what later rows are compared with."""

from __future__ import annotations

import math
from dataclasses import replace

import polars as pl

from rowsmith.conform.parsing import converter
from rowsmith.conform.plain import type_name, without_nulls
from rowsmith.conform.rule import show
from rowsmith.conform.series import conform_series
from rowsmith.errors import Fault, SchemaError
from rowsmith.ingestion.kinds import Reading
from rowsmith.schema import KINDS_WITHOUT_INFORMATION, MAX_CATEGORIES, NUMERIC_KINDS, Column
from rowsmith.types import ColumnKind, Role

MICROSECONDS = 1_000_000
MAX_TYPICAL = 60
MAX_FAULTS = 10
MAX_EXAMPLES = 3
MAX_COUNTED_LEVELS = 100_000
COUNTED_OF_ALL = 2_000_000
MAX_LEVEL_BYTES = 1 << 24


def describe(series: pl.Series, reading: Reading, roles: tuple[Role, ...] = ()) -> Column:
    """The column with its facts. Raises SchemaError for values that are not of a kind that somebody asked for."""
    column = Column(series.name, reading.kind, roles, stored=type_name(series.dtype), parsing=reading.parsing)
    as_kind = ColumnKind.TEXT if reading.kind in KINDS_WITHOUT_INFORMATION else reading.kind
    values, wrong = conform_series(series, as_kind, converter(as_kind, reading.parsing))
    if wrong is not None:
        raise _not_of_kind(series, wrong, reading.kind)
    column = replace(column, missing=values.null_count() / max(len(values), 1))
    present = without_nulls(values)
    if not len(present) or reading.kind in KINDS_WITHOUT_INFORMATION:
        return column
    if reading.kind in NUMERIC_KINDS:
        return _describe_numbers(column, present)
    if reading.kind is ColumnKind.DATETIME:
        return _describe_dates(column, present)
    if reading.kind is ColumnKind.BOOLEAN:
        return replace(column, typical=bool(2 * present.sum() >= len(present)))
    return _describe_levels(column, present)


def count_levels(values: pl.Series) -> pl.DataFrame:
    """Columns `level` and `rows`, most frequent first, equal ones by name."""
    counted = values.rename("level").drop_nulls().value_counts(name="rows")
    return by_frequency(counted)


class LevelCounts:
    """Levels that go by in batches; `levels` is None once there are more than memory shall hold."""

    def __init__(self, columns: int) -> None:
        """`columns` of a table share the memory."""
        self._most = max(COUNTED_OF_ALL // max(columns, 1), MAX_CATEGORIES)
        self._levels: pl.DataFrame | None = pl.DataFrame(schema={"level": pl.String, "rows": pl.Int64})

    def see(self, values: pl.Series) -> None:
        if self._levels is None:
            return
        counted = pl.concat([self._levels, count_levels(values).cast({"rows": pl.Int64})])
        self._levels = counted.group_by("level").agg(pl.col("rows").sum())
        if self._levels.height > min(self._most, MAX_COUNTED_LEVELS) or self._levels.estimated_size() > MAX_LEVEL_BYTES:
            self._levels = None

    @property
    def levels(self) -> pl.DataFrame | None:
        """As `count_levels` gives them."""
        return None if self._levels is None else by_frequency(self._levels)


def by_frequency(levels: pl.DataFrame) -> pl.DataFrame:
    """Most frequent first, equal ones by name."""
    return levels.sort(["rows", "level"], descending=[True, False])


def _describe_numbers(column: Column, values: pl.Series) -> Column:
    low, high = _float(values.min()), _float(values.max())
    finite = values
    if not (math.isfinite(low) and math.isfinite(high)):
        finite = values.filter(values.is_finite())
        if not len(finite):
            return column
        low, high = _float(finite.min()), _float(finite.max())
    is_integer = column.kind is ColumnKind.INTEGER
    return replace(
        column,
        minimum=low,
        maximum=high,
        typical=_float(finite.quantile(0.5, "lower" if is_integer else "linear")),
    )


def _describe_dates(column: Column, values: pl.Series) -> Column:
    ticks = values.to_physical()
    middle = values.sort()[(len(values) - 1) // 2]
    day = middle.date() if middle.time() == middle.time().min else middle
    return replace(
        column,
        minimum=_float(ticks.min()) / MICROSECONDS,
        maximum=_float(ticks.max()) / MICROSECONDS,
        typical=day.isoformat(),
    )


def _describe_levels(column: Column, values: pl.Series) -> Column:
    counted = count_levels(values)
    if column.kind is ColumnKind.TEXT:
        # A text that stands in one row alone may be about a person: no example is better than that one.
        short = counted.filter((pl.col("rows") > 1) & (pl.col("level").str.len_chars() <= MAX_TYPICAL))
        return replace(column, typical=short["level"][0] if short.height else None)
    return replace(
        column,
        categories=tuple(counted["level"].head(MAX_CATEGORIES).to_list()),
        level_count=counted.height,
        typical=counted["level"][0],
    )


def _float(value: object) -> float:
    return float(value)  # type: ignore[arg-type]


def _not_of_kind(series: pl.Series, wrong: pl.Series, kind: ColumnKind) -> SchemaError:
    rows = wrong.arg_true()
    first = rows.head(MAX_FAULTS).to_list()
    faults = [_cannot_be_read(series.name, show(series[row]), kind, row) for row in first]
    if len(rows) > len(first):
        examples = ", ".join(list(dict.fromkeys(fault.received for fault in faults))[:MAX_EXAMPLES])
        faults.append(_cannot_be_read(series.name, examples, kind, None, f" ({len(rows)} rows, the first: {first[0]})"))
    return SchemaError(faults, next_step=f'mend these values, or give "{series.name}" another kind')


def _cannot_be_read(name: str, received: str, kind: ColumnKind, row: int | None, more: str = "") -> Fault:
    message = f'the column "{name}" has {received}, which cannot be read as {kind}{more}'
    return Fault("wrong_type", name, message, row, received)
