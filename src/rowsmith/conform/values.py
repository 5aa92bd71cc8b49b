"""Values: Python objects of any mix (from JSON, or a dataframe of objects) as columns of plain types."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from rowsmith.conform.parsing import plain
from rowsmith.conform.plain import BOOLEAN, DATE, FLOAT64, INT64, NULL, STRING, common_type, spell, without_nan

LARGEST_INTEGER = 2**63
MOMENT = pl.Datetime("us")
QUICK_TYPES: dict[type, pl.DataType] = {type(None): NULL, bool: BOOLEAN, float: FLOAT64, str: STRING}
INTEGERS = frozenset({int, type(None)})
BLANKS = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""What `str.strip` takes away: four control characters more than polars does by itself."""


def type_of_values(values: Sequence[Any], classes: Set[type] | None = None) -> pl.DataType:
    """The narrowest plain type for all of them; a mix that no type holds is text. `classes` are theirs, if known."""
    classes = set(map(type, values)) if classes is None else classes
    if classes <= QUICK_TYPES.keys():
        return common_type([NULL, *(QUICK_TYPES[cls] for cls in classes)])
    if classes <= INTEGERS:
        present = [value for value in values if value is not None] if type(None) in classes else values
        return INT64 if min(present) >= -LARGEST_INTEGER and max(present) < LARGEST_INTEGER else STRING
    return common_type([NULL, *{_type_of(value) for value in values}])


def series_of_values(
    name: str, values: Sequence[Any], dtype: pl.DataType, classes: Set[type] | None = None
) -> pl.Series:
    """`dtype` comes from `type_of_values` of these values, or of more; `classes` are those of these, if known."""
    quick = _quick_series(name, values, dtype, set(map(type, values)) if classes is None else classes)
    if quick is not None:
        return quick
    if dtype == STRING:
        return pl.Series(name, [spell(plain(value)) for value in values], dtype=STRING)
    clean = [plain(value) for value in values]
    if dtype == FLOAT64:
        return pl.Series(name, [None if v is None else float(v) for v in clean], dtype=FLOAT64)
    if dtype == MOMENT:
        clean = [datetime(v.year, v.month, v.day) if type(v) is date else v for v in clean]
    return pl.Series(name, clean, dtype=dtype)


def _quick_series(name: str, values: Sequence[Any], dtype: pl.DataType, classes: Set[type]) -> pl.Series | None:
    """Values of the type itself, which need no look at each; None where that is not so."""
    if dtype == STRING and float in classes and all(value != value for value in values if type(value) is float):
        # No text, as pandas tells it.
        values, classes = [None if type(value) is float else value for value in values], classes - {float}
    own = next((kind for kind, quick in QUICK_TYPES.items() if quick == dtype), int if dtype == INT64 else None)
    if own is None or not classes <= {own, type(None)}:
        return None
    try:
        series = pl.Series(name, values, dtype=dtype)
    except (pl.exceptions.PolarsError, UnicodeError, OverflowError, TypeError):
        return None  # half of a surrogate pair, an integer too large
    if dtype == STRING:
        return series.str.strip_chars(BLANKS)
    return without_nan(series) if dtype == FLOAT64 else series


def _type_of(value: Any) -> pl.DataType:
    value = plain(value)
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return INT64 if -LARGEST_INTEGER <= value < LARGEST_INTEGER else STRING
    if isinstance(value, float | Decimal):
        return FLOAT64 if math.isfinite(value) or isinstance(value, float) else STRING
    if isinstance(value, datetime):
        return MOMENT if value.tzinfo is None else pl.Datetime("us", "UTC")
    return DATE if isinstance(value, date) else STRING
