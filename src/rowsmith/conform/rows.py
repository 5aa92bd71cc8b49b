"""Rows as dicts to a frame that conforms as each of the rows would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from operator import itemgetter
from typing import Any

import polars as pl

TYPED = frozenset({bool, int, float, str, date, datetime, time, timedelta})


def frame_of_rows(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Every value stays what it is; what a row leaves out is null.

    A column of several types becomes one of objects: polars would make text of 3.0 beside "a", and refuse a list.
    """
    columns = _columns(rows)
    if not columns:
        return pl.DataFrame(height=len(rows))
    return pl.DataFrame([_series(str(name), values) for name, values in columns.items()])


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[Any, list[Any]]:
    first = list(rows[0]) if rows else []
    if len(first) > 1 and set(map(len, rows)) == {len(first)}:
        try:
            values = zip(*map(itemgetter(*first), rows), strict=True)
            return {name: list(column) for name, column in zip(first, values, strict=True)}
        except KeyError:
            pass  # as many columns, and others
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _series(name: str, values: list[Any]) -> pl.Series:
    types = set(map(type, values)) - {type(None)}
    if not types:
        return pl.Series(name, values, dtype=pl.Null)
    if len(types) == 1 and types <= TYPED:
        try:
            return pl.Series(name, values)
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
            pass  # an integer of more than 128 bits, half of a surrogate pair
    return pl.Series(name, values, dtype=pl.Object)
