"""Sought: which values of a column name a person whose rows are looked for, in one row or in a table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import polars as pl

from rowsmith.conform.parsing import canonical_text
from rowsmith.errors import UsageError


class Sought:
    """Values of `column` as text. A number is found however it is spelled: 41 is 41.0, but the text "041" is not."""

    def __init__(self, column: str, values: Iterable[str]) -> None:
        """Raises UsageError where nobody is sought."""
        self.column = column
        self.texts = frozenset(text for value in values if (text := value.strip()))
        if not self.texts:
            raise UsageError("nobody is named here", allowed="one value a line, of the column that names a person")

    def matches(self, value: Any) -> bool:
        """Whether a native value, or one of JSON, is one of those that are sought."""
        if value is None:
            return False
        if isinstance(value, str):
            return value.strip() in self.texts
        try:
            text = canonical_text(value)
        except ValueError:
            return False
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return text in self.texts or (is_number and text in self._numbers)

    def among(self, values: pl.Series) -> pl.Series:
        """The different values of a column that are sought, in its type."""
        found = [value for value in values.unique().to_list() if self.matches(value)]
        return pl.Series(values.name, found, dtype=values.dtype)

    def rows(self, values: pl.Series) -> pl.Series:
        """For each value whether it is sought; a missing one is not."""
        return values.is_in(self.among(values).implode()).fill_null(False)

    @cached_property
    def _numbers(self) -> frozenset[str]:
        """The same as numbers are spelled here, where they can be read as such."""
        found = set()
        for text in self.texts:
            try:
                number = float(text)
            except ValueError:
                continue
            if math.isfinite(number):
                found.add(canonical_text(number))
        return frozenset(found)
