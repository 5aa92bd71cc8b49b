"""Expected: what the recipe expects of the values of one column, the same for a table and for a single row."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import polars as pl

from rowsmith.conform.parsing import Value, converter, plain
from rowsmith.conform.plain import without_nan
from rowsmith.conform.series import conform_series
from rowsmith.recipe import ColumnExpectation
from rowsmith.schema import NUMERIC_KINDS, Parsing
from rowsmith.types import ColumnKind

NOUNS = {
    ColumnKind.NUMBER: "a number",
    ColumnKind.INTEGER: "a whole number",
    ColumnKind.BOOLEAN: "true or false",
    ColumnKind.DATETIME: "a date",
    ColumnKind.CATEGORY: "text",
    ColumnKind.TEXT: "text",
}
MAX_NAMED = 10


class Expected:
    """Rules for single values; how many are missing, whether they repeat and how old they are concerns a whole table.

    `kind` is what the values are read as to be compared: what the expectation says, or what its bounds are.
    """

    def __init__(self, rule: ColumnExpectation, parsing: Parsing) -> None:
        self.kind = kind_of(rule)
        self._rule = rule
        self._convert = converter(self.kind, parsing)
        self._as_text = converter(ColumnKind.TEXT, Parsing(nulls=parsing.nulls))
        self._pattern = re.compile(rule.pattern) if rule.pattern is not None else None
        self._values = frozenset(rule.values)
        self._low, self._high = _bound(rule.min), _bound(rule.max)
        self.must_be_there = rule.max_missing == 0
        self.sentence = self._sentence()

    @property
    def says_nothing(self) -> bool:
        """Whether any single value would do."""
        return not self.sentence

    def accepts(self, raw: Any) -> bool:
        """Whether a value is as expected. `raw` is any native value, missing ones included."""
        raw = plain(raw)
        try:
            value, text = self._convert(raw), self._as_text(raw)
        except ValueError:
            return False
        if value is None or text is None:
            return not self.must_be_there
        return self._holds(value) and self._reads(str(text))

    def refused(self, raw: pl.Series) -> pl.Series | None:
        """The mask of rows that are not as expected, or None where all are."""
        values, wrong = conform_series(raw, self.kind, self._convert)
        mask = values.is_null() & False if wrong is None else wrong
        if self.must_be_there:
            mask = mask | values.is_null()
        if self._low is not None:
            mask = mask | (values < self._low).fill_null(False)
        if self._high is not None:
            mask = mask | (values > self._high).fill_null(False)
        if self.kind is ColumnKind.INTEGER:
            mask = mask | (values != values.round()).fill_null(False)
        if self._pattern is not None or self._values:
            texts, _ = conform_series(without_nan(raw), ColumnKind.TEXT, self._as_text)
            different = texts.drop_nulls().unique()
            strange = different.filter(pl.Series([not self._reads(text) for text in different], dtype=pl.Boolean))
            mask = mask | texts.is_in(strange.implode()).fill_null(False)
        return mask if mask.any() else None

    def _holds(self, value: Value) -> bool:
        if self._low is not None and value < self._low:  # type: ignore[operator]
            return False
        if self._high is not None and value > self._high:  # type: ignore[operator]
            return False
        return self.kind is not ColumnKind.INTEGER or float(value).is_integer()  # type: ignore[arg-type]

    def _reads(self, text: str) -> bool:
        if self._values and text not in self._values:
            return False
        return self._pattern is None or self._pattern.fullmatch(text) is not None

    def _sentence(self) -> str:
        rule = self._rule
        bounds = [
            f"from {rule.min} on" if rule.min is not None and rule.max is None else "",
            f"up to {rule.max}" if rule.max is not None and rule.min is None else "",
            f"from {rule.min} to {rule.max}" if rule.min is not None and rule.max is not None else "",
        ]
        named = ", ".join(rule.values[:MAX_NAMED]) + (", ..." if len(rule.values) > MAX_NAMED else "")
        parts = [
            NOUNS[self.kind] if rule.type is not None or any(bounds) else "",
            *bounds,
            f"one of {named}" if rule.values else "",
            f"like {rule.pattern}" if rule.pattern is not None else "",
            "in every row" if self.must_be_there else "",
        ]
        return " ".join(part for part in parts if part)


def kind_of(rule: ColumnExpectation) -> ColumnKind:
    """What values are read as to be compared with an expectation."""
    if rule.type is not None:
        return rule.type
    bounds = [bound for bound in (rule.min, rule.max) if bound is not None]
    if rule.max_age is not None or any(isinstance(bound, str) for bound in bounds):
        return ColumnKind.DATETIME
    return ColumnKind.NUMBER if bounds else ColumnKind.TEXT


def same_reading(kind: ColumnKind, other: ColumnKind) -> bool:
    """Whether the parsing found for one kind serves the other."""
    return kind is other or {kind, other} <= NUMERIC_KINDS


def _bound(bound: float | str | None) -> float | datetime | None:
    """Naive and in UTC where it is a date, as conforming dates are."""
    if not isinstance(bound, str):
        return bound
    moment = converter(ColumnKind.DATETIME, Parsing())(bound)
    assert isinstance(moment, datetime)
    return moment
