"""Values of the prediction log: JSON text and back, and columns of them without a schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from rowsmith.conform.parsing import canonical_text
from rowsmith.errors import UsageError

INT64 = range(-(2**63), 2**63)
FLOAT_LIMIT = 2**1023
OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def encode(value: Any) -> str:
    """JSON text: floats keep every bit, NaN and infinities become null, dates become text. Raises UsageError."""
    try:
        return orjson.dumps(value, option=OPTIONS).decode()
    except TypeError:
        pass
    try:
        return json.dumps(_plain(value))
    except (TypeError, ValueError, RecursionError) as problem:
        raise UsageError(f"the prediction log keeps what JSON can say: {problem}") from problem


def _plain(value: Any) -> Any:
    """What orjson refuses: whole numbers beyond 64 bits stay as they are, half a surrogate pair becomes "?"."""
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, int):
        return value
    return orjson.loads(orjson.dumps(value, option=OPTIONS))


def decode(text: str | None) -> Any:
    """The value of a JSON text; None for None."""
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)


def column_of(name: str, values: Sequence[Any]) -> pl.Series:
    """Values of JSON as a column of their common type; where they have none, as text in canonical spelling.

    Whole numbers are Int64 where they fit. Lists and objects become their JSON text. A column of nulls is Null.
    """
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pl.Series(name, values, dtype=pl.Null)
    if kinds == {int} and all(value is None or value in INT64 for value in values):
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds <= {int, float} and all(value is None or abs(value) < FLOAT_LIMIT for value in values):
        return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    return pl.Series(name, [_text(value) for value in values], dtype=pl.String)


def _text(value: Any) -> str | None:
    """Text stays as it is, blanks included: what they mean is for the schema to say."""
    if value is None:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return canonical_text(value)
