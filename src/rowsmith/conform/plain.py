"""Plain types: the few that a snapshot holds, and how every other type becomes one of them.

Int64, Float64, Boolean, String, Date, Datetime in microseconds (with its time zone, where it has one).
Categories become text, decimals floats, times of day text, durations seconds, lists and structs JSON text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce

import orjson
import polars as pl

from rowsmith.conform.parsing import canonical_text
from rowsmith.errors import SourceError

INT64 = pl.Int64()
FLOAT64 = pl.Float64()
BOOLEAN = pl.Boolean()
STRING = pl.String()
DATE = pl.Date()
NULL = pl.Null()
MICROSECONDS = 1_000_000
PLAIN_TYPES: Mapping[str, pl.DataType] = {
    "Int64": INT64,
    "Float64": FLOAT64,
    "Boolean": BOOLEAN,
    "String": STRING,
    "Date": DATE,
    "Datetime": pl.Datetime("us"),
}
WIDE_INTEGERS = (pl.UInt64, pl.Int128, pl.UInt128)


def plain_type(dtype: pl.DataType) -> pl.DataType:
    """The plain type of a column of any type; `pl.Null` stays, for a column whose type nobody knows yet."""
    if isinstance(dtype, WIDE_INTEGERS):
        return STRING
    if dtype.is_integer() or isinstance(dtype, pl.Boolean | pl.Date | pl.Null):
        return INT64 if dtype.is_integer() else dtype
    if dtype.is_float() or isinstance(dtype, pl.Decimal | pl.Duration):
        return FLOAT64
    if isinstance(dtype, pl.Datetime):
        return pl.Datetime("us", dtype.time_zone)
    return STRING


def type_name(dtype: pl.DataType) -> str:
    """The name of a plain type, the same in every release of polars: it is part of what a snapshot's id is made of."""
    if isinstance(dtype, pl.Datetime):
        return f"Datetime[{dtype.time_zone}]" if dtype.time_zone else "Datetime"
    return type(dtype).__name__


def named_type(name: str) -> pl.DataType:
    """The plain type of a name that `type_name` gave."""
    if name.startswith("Datetime["):
        return pl.Datetime("us", name.removeprefix("Datetime[").removesuffix("]"))
    return PLAIN_TYPES[name]


def final_type(dtype: pl.DataType) -> pl.DataType:
    return STRING if isinstance(dtype, pl.Null) else dtype


def common_type(types: Sequence[pl.DataType]) -> pl.DataType:
    """The narrowest plain type that holds the values of all: integers become floats, what does not mix becomes text."""
    return reduce(_wider, types)


def _wider(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one == other or isinstance(other, pl.Null):
        return one
    if isinstance(one, pl.Null):
        return other
    if {one, other} == {INT64, FLOAT64}:
        return FLOAT64
    if {one, other} == {DATE, pl.Datetime("us")}:
        return pl.Datetime("us")
    return STRING


def plain_frame(frame: pl.DataFrame, types: Mapping[str, pl.DataType], *, where: str = "") -> pl.DataFrame:
    """The columns in the order of `types`, each brought to its type (plain, and as wide as the data).

    The very frame where nothing is to be changed.
    """
    before = [frame[name] for name in types]
    after = [plain_series(series, dtype, where=where) for series, dtype in zip(before, types.values(), strict=True)]
    is_same = frame.columns == list(types) and all(now is then for now, then in zip(after, before, strict=True))
    return frame if is_same else pl.DataFrame(after)


def plain_series(series: pl.Series, dtype: pl.DataType, *, where: str = "") -> pl.Series:
    """The values as a plain type. NaN becomes null."""
    try:
        if series.dtype == dtype:
            return without_nan(series)
        if dtype == STRING:
            return text_of(series)
        if isinstance(series.dtype, pl.Duration):
            return (series.dt.total_microseconds() / MICROSECONDS).cast(FLOAT64)
        values = series.cast(dtype)
        return without_nan(values)
    except (pl.exceptions.PolarsError, ValueError) as problem:
        raise SourceError(
            f'the column "{series.name}" holds values that do not fit a table: {problem}',
            where=where,
            received=str(series.dtype),
            next_step="leave this column out of the file",
        ) from problem


def without_nan(series: pl.Series) -> pl.Series:
    """NaN as null; the very series where there is none, since looking is cheaper than copying.

    A sum that is finite has no NaN in it, and is the quickest look at a short column and a long one alike.
    """
    if not series.dtype.is_float() or math.isfinite(series.sum()):
        return series
    return series.fill_nan(None) if series.is_nan().any() else series


def without_nulls(series: pl.Series) -> pl.Series:
    """The values that are there; the very series where that is all of them."""
    return series.drop_nulls() if series.null_count() else series


def text_of(series: pl.Series) -> pl.Series:
    """Each value in its canonical spelling (see `rowsmith.conform.canonical_text`), structures as JSON."""
    dtype = series.dtype
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null | pl.Boolean) or dtype.is_integer():
        return series.cast(STRING)
    if isinstance(dtype, pl.Object):
        return pl.Series(series.name, [spell(value) for value in series], dtype=STRING)
    if dtype.is_nested():
        return pl.Series(series.name, [None if v is None else spell(v) for v in series.to_list()], dtype=STRING)
    values = series.fill_nan(None) if dtype.is_float() else series
    unique = values.drop_nulls().unique()
    spelled = pl.Series([canonical_text(value) for value in unique.to_list()], dtype=STRING)
    return values.replace_strict(unique, spelled, default=None, return_dtype=STRING)


def spell(value: object) -> str | None:
    """One native value as text: lists and dicts as JSON, everything else in its canonical spelling."""
    if value is None or value != value:
        return None
    if isinstance(value, pl.Series):
        value = value.to_list()
    if isinstance(value, dict | list | tuple):
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY, default=str).decode()
    try:
        return canonical_text(value)
    except ValueError:
        return str(value)
