"""A whole column brought to the type of its kind: native types by a cast, all else by way of its different values."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl

from rowsmith.conform.parsing import Convert
from rowsmith.conform.plain import without_nan
from rowsmith.schema import NUMERIC_KINDS
from rowsmith.types import ColumnKind

DTYPES: dict[ColumnKind, pl.DataType] = {
    ColumnKind.NUMBER: pl.Float64(),
    ColumnKind.INTEGER: pl.Float64(),
    ColumnKind.BOOLEAN: pl.Boolean(),
    ColumnKind.CATEGORY: pl.String(),
    ColumnKind.TEXT: pl.String(),
    ColumnKind.DATETIME: pl.Datetime("us"),
}
EPOCH = datetime(1970, 1, 1)
FIRST_DAY = (date.min - EPOCH.date()).days
LAST_DAY = (date.max - EPOCH.date()).days
TICKS_PER_DAY = {"day": 1, "ms": 86_400_000, "us": 86_400_000_000}
"""Nanoseconds in 64 bits reach from 1677 to 2262, and so never out of the calendar."""


def conform_series(raw: pl.Series, kind: ColumnKind, convert: Convert) -> tuple[pl.Series, pl.Series | None]:
    """The values as `DTYPES[kind]`, and a mask of those that could not be read (they are null), or None."""
    dtype = DTYPES[kind]
    raw = without_nan(raw)
    if is_cast(raw.dtype, kind):
        return raw.cast(dtype), None
    if raw.dtype == dtype == pl.Boolean or raw.dtype == pl.Null:
        return raw.cast(dtype), None
    if raw.dtype.is_nested():
        return _no_values(raw, dtype), _or_none(raw.is_not_null())
    if raw.dtype in (pl.Date, pl.Datetime):
        return _conform_temporal(raw, kind, convert)
    if isinstance(raw.dtype, pl.Categorical | pl.Enum):
        raw = raw.cast(pl.String)
    return _conform_objects(raw, dtype, convert) if raw.dtype == pl.Object else _conform_unique(raw, dtype, convert)


def is_cast(stored: pl.DataType, kind: ColumnKind) -> bool:
    """Whether a column of this type becomes one of numbers at memory speed, so that there is no need to keep it."""
    return kind in NUMERIC_KINDS and (stored.is_float() or stored.is_integer() or stored == pl.Boolean)


def _conform_temporal(raw: pl.Series, kind: ColumnKind, convert: Convert) -> tuple[pl.Series, pl.Series | None]:
    wrong = _beyond_the_calendar(raw)
    # A column with a time zone counts its ticks in UTC; the cast drops the zone and keeps the ticks.
    values = (raw if wrong is None else raw.set(wrong, None)).cast(pl.Datetime("us"))
    if kind is ColumnKind.DATETIME:
        return values, wrong
    values, refused = _conform_unique(values, DTYPES[kind], convert)
    return values, wrong if refused is None else refused if wrong is None else wrong | refused


def _beyond_the_calendar(raw: pl.Series) -> pl.Series | None:
    """The mask of days outside the years 1 to 9999, which polars has and Python has not; None where there is none."""
    unit = raw.dtype.time_unit if isinstance(raw.dtype, pl.Datetime) else "day"
    if unit not in TICKS_PER_DAY:
        return None
    ticks, per_day = raw.to_physical(), TICKS_PER_DAY[unit]
    return _or_none(((ticks < FIRST_DAY * per_day) | (ticks >= (LAST_DAY + 1) * per_day)).fill_null(False))


def _conform_unique(raw: pl.Series, dtype: pl.DataType, convert: Convert) -> tuple[pl.Series, pl.Series | None]:
    old = raw.drop_nulls().unique()
    values = old.to_list()
    new, refused = _convert_all(values, convert)
    if not refused and raw.dtype == dtype and new == values:
        return raw, None
    if not values:
        return _no_values(raw, dtype), None
    mapped = raw.replace_strict(old, pl.Series(new, dtype=dtype), default=None, return_dtype=dtype)
    return mapped, raw.is_in(old.gather(refused).implode()).fill_null(False) if refused else None


def _conform_objects(raw: pl.Series, dtype: pl.DataType, convert: Convert) -> tuple[pl.Series, pl.Series | None]:
    new, refused = _convert_all(raw.to_list(), convert)
    mask = pl.Series([False] * len(raw), dtype=pl.Boolean)
    return pl.Series(raw.name, new, dtype=dtype), mask.scatter(refused, True) if refused else None


def _convert_all(values: list[object], convert: Convert) -> tuple[list[object], list[int]]:
    """The converted values, and the places of those that could not be."""
    new: list[object] = []
    refused = []
    for place, value in enumerate(values):
        try:
            new.append(convert(value))
        except ValueError:
            new.append(None)
            refused.append(place)
    return new, refused


def _no_values(raw: pl.Series, dtype: pl.DataType) -> pl.Series:
    return pl.Series(raw.name, [None] * len(raw), dtype=dtype)


def _or_none(mask: pl.Series) -> pl.Series | None:
    return mask if mask.any() else None
