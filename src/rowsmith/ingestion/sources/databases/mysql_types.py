"""The types of MariaDB and MySQL, as columns whose values come the way the server wrote them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rowsmith.conform.plain import BOOLEAN, DATE, FLOAT64, INT64, STRING, plain_series
from rowsmith.errors import SourceError

UTC = pl.Datetime("us", "UTC")
NAIVE = pl.Datetime("us")
EXACT_DIGITS = 18
DATETIME_FORM = "%Y-%m-%d %H:%M:%S%.f"


@dataclass(frozen=True)
class Kind:
    """`read` makes a column of `dtype` from one of text; None where text is what it is."""

    dtype: pl.DataType
    read: Callable[[pl.Series], pl.Series] | None = None

    def series(self, name: str, values: Sequence[Any], dtype: pl.DataType, *, where: str) -> pl.Series:
        """One batch of a column, brought to `dtype`."""
        if self is BITS or self is BINARY:
            values = [None if value is None else _plain(value, as_number=self is BITS) for value in values]
        text = pl.Series(name, values, dtype=STRING)
        try:
            read = text if self.read is None else self.read(text)
        except pl.exceptions.InvalidOperationError as problem:
            raise SourceError(
                f'the column "{name}" holds numbers beyond 64 bits',
                where=where,
                received=str(problem),
                next_step=f"read it as text: --query 'SELECT CAST({name} AS CHAR) AS {name}, ...'",
            ) from problem
        return plain_series(read, dtype, where=where)


def _plain(value: Any, *, as_number: bool) -> str:
    if not isinstance(value, bytes):
        return str(value)
    return str(int.from_bytes(value, "big")) if as_number else value.hex()


# Dates such as 0000-00-00 are none, and become missing.
INTEGER = Kind(INT64, lambda text: text.cast(INT64))
MAYBE_BOOLEAN = Kind(BOOLEAN, lambda text: text.cast(INT64).cast(BOOLEAN))
NUMBER = Kind(FLOAT64, lambda text: text.cast(FLOAT64))
DAY = Kind(DATE, lambda text: text.str.to_date("%Y-%m-%d", strict=False))
LOCAL_TIME = Kind(NAIVE, lambda text: text.str.to_datetime(DATETIME_FORM, time_unit="us", strict=False))
MOMENT = Kind(
    UTC, lambda text: text.str.to_datetime(DATETIME_FORM, time_unit="us", strict=False).dt.replace_time_zone("UTC")
)
TEXT = Kind(STRING)
BITS = Kind(INT64, lambda text: text.cast(INT64))
BINARY = Kind(STRING)


def kind_of(field: Any) -> Kind:
    """By what the driver says: (name, type code, display size, internal size, precision, scale, nullable)."""
    from pymysql.constants import FIELD_TYPE as T

    code, length, scale = field[1], field[3] or 0, field[5] or 0
    if code == T.TINY and length == 1:
        return MAYBE_BOOLEAN
    if code in (T.DECIMAL, T.NEWDECIMAL):
        return INTEGER if scale == 0 and length - 1 <= EXACT_DIGITS else NUMBER
    kinds = {
        **dict.fromkeys((T.TINY, T.SHORT, T.INT24, T.LONG, T.LONGLONG, T.YEAR), INTEGER),
        **dict.fromkeys((T.FLOAT, T.DOUBLE), NUMBER),
        **dict.fromkeys((T.DATE, T.NEWDATE), DAY),
        **dict.fromkeys((T.BLOB, T.TINY_BLOB, T.MEDIUM_BLOB, T.LONG_BLOB, T.STRING, T.VAR_STRING, T.GEOMETRY), BINARY),
        T.DATETIME: LOCAL_TIME,
        T.TIMESTAMP: MOMENT,
        T.BIT: BITS,
    }
    return kinds.get(code, TEXT)
