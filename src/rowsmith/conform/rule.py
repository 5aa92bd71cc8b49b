"""Rule: what one column asks of its values, prepared once."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from rowsmith.conform.expected import Expected, kind_of, same_reading
from rowsmith.conform.parsing import Value, converter, plain
from rowsmith.conform.series import DTYPES, EPOCH, conform_series
from rowsmith.recipe import ColumnExpectation
from rowsmith.schema import NUMERIC_KINDS, Column, Parsing
from rowsmith.types import ColumnKind

ABSENT = object()
DOUBTFUL = object()
"""What the quick look at a value answers when the careful one must decide."""
MAX_NAMED = 10
MAX_SHOWN = 60
NOUNS = {
    ColumnKind.NUMBER: "a number",
    ColumnKind.INTEGER: "a number",
    ColumnKind.BOOLEAN: "true or false",
    ColumnKind.CATEGORY: "a category",
    ColumnKind.TEXT: "text",
    ColumnKind.DATETIME: "a date",
}


class Rule:
    """`levels` are those of a category whose every level is known; `low` and `high` bound a number or a date;
    `expected` is what the recipe says of the values besides, None where it says nothing."""

    def __init__(self, column: Column, expectation: ColumnExpectation | None = None) -> None:
        self.column = column
        self.expected = _expected(column, expectation)
        self.convert = converter(column.kind, column.parsing)
        self.levels = _levels(column)
        self.low, self.high = _bounds(column)
        self.departure_code = "out_of_range" if self.levels is None else "unseen_category"
        self.allowed = self._allowed()
        self._familiar = _enum_of(self._familiar_levels())
        self.quick = self._quick() if self.expected is None else _careful(self._quick(), self.expected)

    def series(self, raw: pl.Series) -> tuple[pl.Series, pl.Series | None]:
        """See `conform_series`."""
        return conform_series(raw, self.column.kind, self.convert)

    def is_familiar(self, raw: pl.Series) -> bool:
        """Whether the column is plainly fine as it is: text that is a known level in each row that has any."""
        if self._familiar is None or raw.dtype != pl.String:
            return False
        return raw.cast(self._familiar, strict=False).null_count() == raw.null_count()

    def no_values(self, rows: int) -> pl.Series:
        return pl.Series(self.column.name, [None] * rows, dtype=DTYPES[self.column.kind])

    def departs(self, value: Any) -> bool:
        """Whether a converted value is an unseen level, or out of range."""
        if self.levels is not None:
            return value not in self.levels
        return (self.low is not None and value < self.low) or (self.high is not None and value > self.high)

    def departing(self, values: pl.Series) -> pl.Series | None:
        """The same for a column: the mask of rows that depart, or None where no row does."""
        if self.levels is not None:
            # There are few different values, and looking for each row in a list is what takes time.
            strangers = set(values.unique().to_list()) - self.levels - {None}
            if not strangers:
                return None
            mask = values.is_in(list(strangers))
        elif self._covers(values):
            return None
        else:
            mask = pl.repeat(False, len(values), dtype=pl.Boolean, eager=True)
            if self.low is not None:
                mask |= (values < self.low).fill_null(False)
            if self.high is not None:
                mask |= (values > self.high).fill_null(False)
        mask = mask.fill_null(False)
        return mask if mask.any() else None

    def _covers(self, values: pl.Series) -> bool:
        """Whether the whole column lies within the bounds, which takes no mask of its rows to see."""
        if self.low is None and self.high is None:
            return True
        lowest, highest = values.min(), values.max()
        return lowest is None or not (self.departs(lowest) or self.departs(highest))

    def message(self, code: str, shown: str = "") -> str:
        """The sentence for a fault of this column. `shown` is the value received."""
        start = f'the column "{self.column.name}" has'
        match code:
            case "wrong_type":
                return f"{start} {shown}, which cannot be read as {NOUNS[self.column.kind]}"
            case "missing_value":
                return f"{start} no value, and always had one in training"
            case "unseen_category":
                return f"{start} {shown}, which training did not see"
            case "not_expected":
                return f"{start} {shown or 'no value'}, which is not as expected"
            case _:
                return f"{start} {shown}, outside the range of training"

    def allowed_for(self, code: str) -> str:
        return self.expected.sentence if code == "not_expected" and self.expected is not None else self.allowed

    def _allowed(self) -> str:
        column = self.column
        if self.levels is not None:
            return _some(column.categories)
        if self.low is not None and self.high is not None:
            return f"{NOUNS[column.kind]} from {_short(self.low)} to {_short(self.high)}"
        if column.kind is ColumnKind.DATETIME:
            example = column.parsing.date_format
            return "a date such as 2024-01-31" + (f", or one like {example}" if "%" in example else "")
        return NOUNS[column.kind]

    def _quick(self) -> Callable[[Any], Any]:
        """A function that answers for values that are plainly fine, and DOUBTFUL for the rest; it reports nothing."""
        if self.column.categories and self.column.kind is ColumnKind.CATEGORY:
            return self._quick_category(self._familiar_levels())
        if self.column.kind in NUMERIC_KINDS:
            return self._quick_number()
        return self._quick_any()

    def _quick_any(self) -> Callable[[Any], Any]:
        convert, departs = self.convert, self.departs
        empty = None if self.column.is_optional else DOUBTFUL

        def quick(value: Any) -> Any:
            if value is None or value is ABSENT:
                return empty
            try:
                result = convert(value)
            except ValueError:
                return DOUBTFUL
            if result is None:
                return empty
            return DOUBTFUL if departs(result) else result

        return quick

    def _familiar_levels(self) -> frozenset[str]:
        """Known levels, but for those that a hand-edited schema lists in a spelling that conforming would change."""
        if not self.column.categories or self.column.kind is not ColumnKind.CATEGORY:
            return frozenset()
        look = self._quick_any()
        return frozenset(level for level in self.column.categories if look(level) == level)

    def _quick_category(self, familiar: frozenset[str]) -> Callable[[Any], Any]:
        other = self._quick_any()

        def quick(value: Any) -> Any:
            return value if type(value) is str and value in familiar else other(value)

        return quick

    def _quick_number(self) -> Callable[[Any], Any]:
        other = self._quick_any()
        column = self.column
        low = -sys.float_info.max if column.minimum is None else column.minimum
        high = sys.float_info.max if column.maximum is None else column.maximum

        def quick(value: Any) -> Any:
            # NaN fails the comparison.
            if (type(value) is float or type(value) is int) and low <= value <= high:
                return float(value)
            return other(value)

        return quick


def _expected(column: Column, expectation: ColumnExpectation | None) -> Expected | None:
    if expectation is None:
        return None
    parsing = column.parsing if same_reading(kind_of(expectation), column.kind) else Parsing(nulls=column.parsing.nulls)
    expected = Expected(expectation, parsing)
    return None if expected.says_nothing else expected


def _careful(quick: Callable[[Any], Any], expected: Expected) -> Callable[[Any], Any]:
    """The quick look, which doubts what is not as expected too."""

    def look(value: Any) -> Any:
        result = quick(value)
        return result if expected.accepts(None if value is ABSENT else value) else DOUBTFUL

    return look


def show(value: Any) -> str:
    """A value as a message shows it: quoted where it is text, and never long."""
    value = plain(value)
    text = "no value" if value is None else f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def _enum_of(levels: frozenset[str]) -> pl.Enum | None:
    return pl.Enum(sorted(levels)) if levels else None


def _levels(column: Column) -> frozenset[str] | None:
    is_known = column.kind is ColumnKind.CATEGORY and column.categories and column.lists_every_category
    return frozenset(column.categories) if is_known else None


def _bounds(column: Column) -> tuple[Value | None, Value | None]:
    if column.kind in NUMERIC_KINDS:
        return column.minimum, column.maximum
    if column.kind is ColumnKind.DATETIME:
        return _moment(column.minimum), _moment(column.maximum)
    return None, None


def _moment(seconds: float | None) -> datetime | None:
    """Seconds since 1970; None where a date cannot hold them."""
    if seconds is None or not math.isfinite(seconds):
        return None
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _short(bound: Value) -> str:
    if isinstance(bound, datetime):
        return bound.isoformat(sep=" ").removesuffix(" 00:00:00")
    return f"{bound:.12g}"


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
