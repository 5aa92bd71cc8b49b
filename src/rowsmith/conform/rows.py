"""Rows as dicts to a frame that conforms as each of the rows would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import polars as pl

TYPED = frozenset({bool, int, float, str, date, datetime, time, timedelta})


def frame_of_rows(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Every value stays what it is; what a row leaves out is null.

    A column of several types becomes one of objects: polars would make text of 3.0 beside "a", and refuse a list.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    if not names:
        return pl.DataFrame(height=len(rows))
    return pl.DataFrame([_series(str(name), [row.get(name) for row in rows]) for name in names])


def _series(name: str, values: list[Any]) -> pl.Series:
    types = {type(value) for value in values} - {type(None)}
    if not types:
        return pl.Series(name, values, dtype=pl.Null)
    if len(types) == 1 and types <= TYPED:
        try:
            return pl.Series(name, values)
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
            pass  # an integer of more than 128 bits, half of a surrogate pair
    return pl.Series(name, values, dtype=pl.Object)
