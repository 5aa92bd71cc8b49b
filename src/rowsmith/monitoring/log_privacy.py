"""Personal columns in the prediction log: a pseudonym instead of the value, or nothing.

A pseudonym is a keyed hash (HMAC-SHA256, RFC 2104), cut to 128 bits: the same value gets the same one, so that the rows
of a person can still be found and counted, and without the key nobody can try out names or numbers against it. It is
keyed by the column, too, so that the same text in two columns does not tell that it is the same.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import polars as pl

from rowsmith.conform.parsing import canonical_text
from rowsmith.monitoring.log_values import encode

MARK = "pseudonym:"
DIGITS = 32

Treatment = Literal["pseudonym", "omit"]


@dataclass(frozen=True)
class Privacy:
    """What happens to `columns` before an entry is kept. `find_key` is asked when the first pseudonym is made."""

    columns: frozenset[str]
    treatment: Treatment
    find_key: Callable[[], bytes]

    def inputs(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row as it may be kept. Missing values stay missing."""
        if self.columns.isdisjoint(row):
            return row
        if self.treatment == "omit":
            return {name: value for name, value in row.items() if name not in self.columns}
        return {
            name: self.pseudonym(name, value) if name in self.columns and value is not None else value
            for name, value in row.items()
        }

    def columns_of(self, table: pl.DataFrame) -> pl.DataFrame:
        """The same for many rows at once: each different value is looked at once."""
        personal = [name for name in table.columns if name in self.columns]
        if self.treatment == "omit":
            return table.drop(personal)
        return table.with_columns([self._pseudonyms(table[name]) for name in personal])

    def _pseudonyms(self, values: pl.Series) -> pl.Series:
        different = values.drop_nulls().unique()
        said = [self.pseudonym(values.name, value) for value in different.to_list()]
        if not said:
            return values.cast(pl.String)
        return values.replace_strict(different, pl.Series(said), default=None, return_dtype=pl.String)

    def answer(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer without its warnings, which quote values."""
        return {name: value for name, value in answer.items() if name != "warnings"}

    def pseudonym(self, column: str, value: Any) -> str:
        try:
            text = canonical_text(value)
        except ValueError:
            text = encode(value)  # no single value: its JSON text
        said = f"{column}\0{text}".encode(errors="replace")
        return MARK + hmac.digest(self._key, said, hashlib.sha256).hex()[:DIGITS]

    @cached_property
    def _key(self) -> bytes:
        return self.find_key()
