"""Parsing: one value of any native type brought to the type of a column's kind; one implementation for rows and tables.

Every `to_...` function answers None for a missing value and raises ValueError for one that cannot be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np

from rowsmith.schema import Parsing
from rowsmith.types import ColumnKind

Value: TypeAlias = float | bool | str | datetime
Convert: TypeAlias = Callable[[Any], Value | None]

TRUE_TEXTS = frozenset({"true", "t", "yes", "y", "on", "1"})
FALSE_TEXTS = frozenset({"false", "f", "no", "n", "off", "0"})
ISO_FORMATS = frozenset({"", "iso"})
LARGEST_EXACT_INTEGER = 2**53
LARGEST_DECIMAL = 10**38
PANDAS_MISSING = frozenset({"NAType", "NaTType"})


def parse_number(text: str, parsing: Parsing) -> float | None:
    """A number as `parsing` spells it; None for missing. Raises ValueError. "inf" is a number, "nan" is missing."""
    text = text.strip()
    if not text or text in parsing.nulls:
        return None
    if "_" in text:
        raise ValueError("a number has no underscores")
    for affix in parsing.affixes:
        text = _without_affix(text, affix)
    if parsing.thousands and parsing.thousands in text:
        text = _without_thousands(text, parsing)
    if parsing.decimal == ",":
        if "." in text:
            raise ValueError("the decimal mark of this column is a comma")
        text = text.replace(",", ".")
    number = float(text)
    return None if math.isnan(number) else number


def _without_affix(text: str, affix: str) -> str:
    """Off both ends, and from behind a sign: "-$5" is -5, "1$2" is no number."""
    text = text.removeprefix(affix).removesuffix(affix).strip()
    if text[:1] in ("+", "-"):
        return text[0] + text[1:].lstrip().removeprefix(affix).lstrip()
    return text


def _without_thousands(text: str, parsing: Parsing) -> str:
    """Refuses groups of a wrong length: "1,5" is not 15."""
    whole, mark, fraction = text.partition(parsing.decimal)
    first, *groups = whole.lstrip("+-").split(parsing.thousands)
    # Groups of two before the last are the Indian style (12,34,567).
    if (
        not groups
        or not 1 <= len(first) <= 3
        or len(groups[-1]) != 3
        or any(len(group) not in (2, 3) for group in groups)
    ):
        raise ValueError(f"the thousands separator {parsing.thousands!r} is not between groups of three digits")
    return whole.replace(parsing.thousands, "") + mark + fraction


def parse_datetime(text: str, parsing: Parsing) -> datetime | None:
    """A date as `parsing` spells it, or in ISO 8601; naive, in UTC; None for missing. Raises ValueError."""
    text = text.strip()
    if not text or text in parsing.nulls:
        return None
    pattern = parsing.date_format
    if pattern in ISO_FORMATS:
        return _naive_utc(datetime.fromisoformat(text))
    try:
        return _naive_utc(datetime.strptime(text, pattern))
    except ValueError:
        # A form or a machine may send ISO 8601 to a column of another format. Where that format starts with the
        # year too, the two could be mistaken for each other (year-day-month).
        if pattern.startswith("%Y"):
            raise
        return _naive_utc(datetime.fromisoformat(text))


def parse_boolean(text: str, parsing: Parsing) -> bool | None:
    """true/false, yes/no, on/off, t/f, y/n, 1/0 in any case; None for missing. Raises ValueError."""
    text = text.strip()
    if not text or text in parsing.nulls:
        return None
    folded = text.casefold()
    if folded in TRUE_TEXTS:
        return True
    if folded in FALSE_TEXTS:
        return False
    raise ValueError("not one of true, false, yes, no, 1, 0")


def canonical_text(value: Any) -> str:
    """How any native value is spelled as a level: 3.0 is "3", True is "true", a date is ISO 8601.

    Text loses its outer blanks. Raises ValueError for a value that is not one thing (a list, a dict) or is missing.
    """
    if isinstance(value, str):
        text = str(value).strip()
        if not text.isascii():
            text.encode()  # half of a surrogate pair is no text: UnicodeEncodeError is a ValueError
        return text
    value = plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return _number_as_text(value)
    if isinstance(value, datetime):
        moment = _naive_utc(value)
        return moment.isoformat() if moment.time() != time() else moment.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _number_as_text(value.total_seconds())
    if isinstance(value, bytes):
        return value.decode().strip()
    if isinstance(value, UUID):
        return str(value)
    raise ValueError(f"a {type(value).__name__} is not a single value")


def _number_as_text(value: float | Decimal) -> str:
    # Beyond its limit a float does not hold every integer (a Decimal does): digits would be an invention.
    limit = LARGEST_DECIMAL if isinstance(value, Decimal) else LARGEST_EXACT_INTEGER
    if -limit <= value <= limit and value == int(value):
        return str(int(value))
    return repr(float(value))


def plain(value: Any) -> Any:
    """NumPy scalars as Python's own; every kind of missing value (None, NaN, NaT, NA) as None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value).__name__ in PANDAS_MISSING:
        return None
    if isinstance(value, float | Decimal) and math.isnan(value):
        return None
    return value


def to_number(value: Any, parsing: Parsing) -> float | None:
    """True is 1.0; a duration and a time of day count in seconds. Infinite values are numbers."""
    value = plain(value)
    if value is None:
        return None
    if isinstance(value, str):
        return parse_number(value, parsing)
    if isinstance(value, int | float | Decimal):  # bool is an int
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, time):
        return value.hour * 3600.0 + value.minute * 60 + value.second + value.microsecond / 1e6
    raise ValueError(f"a {type(value).__name__} is not a number")


def to_boolean(value: Any, parsing: Parsing) -> bool | None:
    value = plain(value)
    if value is None:
        return None
    if isinstance(value, str):
        return parse_boolean(value, parsing)
    if isinstance(value, int | float | Decimal) and value in (0, 1):
        return bool(value)
    raise ValueError("not true or false")


def to_datetime(value: Any, parsing: Parsing) -> datetime | None:
    """Naive and in UTC. A number is read as text by the column's own format (20240131), never as seconds."""
    value = plain(value)
    if value is None:
        return None
    if isinstance(value, str):
        return parse_datetime(value, parsing)
    if isinstance(value, datetime):
        return _naive_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, int | float) and not isinstance(value, bool) and parsing.date_format not in ISO_FORMATS:
        return parse_datetime(canonical_text(value), parsing)
    raise ValueError(f"a {type(value).__name__} is not a date")


def to_text(value: Any, parsing: Parsing) -> str | None:
    """The canonical spelling (see `canonical_text`)."""
    value = plain(value)
    if value is None:
        return None
    text = canonical_text(value)
    return None if not text or text in parsing.nulls else text


def _naive_utc(value: datetime) -> datetime:
    if value.tzinfo is not None:
        try:
            value = value.astimezone(UTC).replace(tzinfo=None)
        except OverflowError as problem:
            raise ValueError("this date is beyond the years 1 to 9999 in UTC") from problem
    if type(value) is not datetime:  # a pandas Timestamp is one, and has nanoseconds
        return datetime(value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    return value


_BY_KIND: dict[ColumnKind, Callable[[Any, Parsing], Value | None]] = {
    ColumnKind.NUMBER: to_number,
    ColumnKind.INTEGER: to_number,
    ColumnKind.BOOLEAN: to_boolean,
    ColumnKind.DATETIME: to_datetime,
    ColumnKind.CATEGORY: to_text,
    ColumnKind.TEXT: to_text,
    ColumnKind.IDENTIFIER: to_text,
    ColumnKind.CONSTANT: to_text,
}


def converter(kind: ColumnKind, parsing: Parsing) -> Convert:
    """The function from any native value to the kind's Python type, None for missing. It raises ValueError."""
    convert = _BY_KIND[kind]
    return lambda value: convert(value, parsing)
