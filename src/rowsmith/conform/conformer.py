"""Conformer: enforces a schema, and its policies, on tables and on single rows in the same way."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rowsmith.conform.columns import ConformingColumns, taken
from rowsmith.conform.faults import Faults
from rowsmith.conform.rule import ABSENT, DOUBTFUL, Rule, show
from rowsmith.conform.series import is_cast
from rowsmith.errors import Fault
from rowsmith.recipe import ExpectSection
from rowsmith.schema import Schema
from rowsmith.types import Rows


@dataclass(frozen=True, slots=True)
class ConformingFrame:
    """`frame` as the package says; a warning stands for one kind of fault in one column, in however many rows.

    `odd` are the positions of the rows that warnings are about; None where one is about all rows.
    """

    frame: pl.DataFrame
    warnings: tuple[Fault, ...] = ()
    odd: tuple[int, ...] | None = ()


@dataclass(frozen=True, slots=True)
class ConformingRow:
    """`row` as the package says, in the order of the schema's features."""

    row: dict[str, Any]
    warnings: tuple[Fault, ...] = ()


class Conformer:
    """Columns that the schema knows but that are no features (target, ignored, ...) may be there, and are dropped."""

    def __init__(self, schema: Schema, expect: ExpectSection | None = None) -> None:
        self.schema = schema
        expected = expect.columns if expect is not None else {}
        self._rules = {column.name: Rule(column, expected.get(column.name)) for column in schema.features}
        self._quick = tuple((name, rule.quick) for name, rule in self._rules.items())
        self._known = frozenset(schema.names)
        self._watches_names = schema.policies.unknown_column != "accept"

    def frame(self, df: pl.DataFrame, *, first_row: int = 0) -> ConformingFrame:
        """Any frame. Raises SchemaError with every fault that the policies call an error.

        Of a column with many faulty rows the first are listed, and then how many there are. `first_row` is the number
        of the first row in what is said about them, for a frame that is a part of a longer table.
        """
        faults = Faults(self.schema.policies, first_row)
        self._check_names(df.columns, faults)
        present = set(df.columns)
        values = [
            self._conform_column(rule, df[name], faults) if name in present else rule.no_values(df.height)
            for name, rule in self._rules.items()
        ]
        faults.raise_errors()
        frame = pl.DataFrame(values) if values else pl.DataFrame(height=df.height)
        return ConformingFrame(frame, tuple(faults.warnings), faults.odd)

    def columns(self, df: pl.DataFrame, rows: Rows | None = None) -> ConformingColumns:
        """The same for the rows at some positions, checked now and made when they are asked for. Raises SchemaError.

        Warnings are not kept. Rows are numbered from 0 in what is said about them, as if they were the whole frame.
        """
        faults = Faults(self.schema.policies)
        self._check_names(df.columns, faults)
        height, present = df.height if rows is None else len(rows), set(df.columns)
        kept = {}
        for name, rule in self._rules.items():
            if name not in present:
                kept[name] = rule.no_values(height)
                continue
            raw = taken(df[name], rows, 0, height)
            values = self._conform_column(rule, raw, faults)
            if not is_cast(raw.dtype, rule.column.kind):
                kept[name] = values
        faults.raise_errors()
        return ConformingColumns(df, rows, self._rules, kept)

    def row(self, row: Mapping[str, Any]) -> ConformingRow:
        """One row: column name to native value. Raises SchemaError with every fault."""
        get = row.get
        values = {name: quick(get(name, ABSENT)) for name, quick in self._quick}
        doubtful = [name for name, value in values.items() if value is DOUBTFUL]
        if not doubtful and not self._watches_names:
            return ConformingRow(values)
        faults = Faults(self.schema.policies)
        self._check_names(row.keys(), faults)
        for name in doubtful:
            values[name] = _conform_value(self._rules[name], get(name, ABSENT), faults)
        faults.raise_errors()
        return ConformingRow(values, tuple(faults.warnings))

    def _check_names(self, names: Collection[Any], faults: Faults) -> None:
        present = set(names)
        strangers = [str(name) for name in names if name not in self._known]
        absent = [name for name in self._rules if name not in present]
        for name in absent:
            rule = self._rules[name]
            if not rule.column.is_optional or (rule.expected is not None and rule.expected.must_be_there):
                message = f'the column "{name}" is missing{_suggestion(name, strangers)}'
                faults.add("missing_column", name, message, allowed=rule.allowed)
        if self._watches_names:
            for name in strangers:
                faults.add("unknown_column", name, f'the column "{name}" is unknown{_suggestion(name, absent)}')

    @staticmethod
    def _conform_column(rule: Rule, raw: pl.Series, faults: Faults) -> pl.Series:
        is_familiar = rule.is_familiar(raw)
        values, wrong = (raw, None) if is_familiar else rule.series(raw)
        if wrong is not None:
            faults.add_rows("wrong_type", rule, wrong, raw)
        if values.null_count() and not rule.column.is_optional:
            missing = values.is_null() if wrong is None else values.is_null() & ~wrong
            faults.add_rows("missing_value", rule, missing, raw)
        departing = None if is_familiar else rule.departing(values)
        if departing is not None:
            faults.add_rows(rule.departure_code, rule, departing, raw)
        refused = None if rule.expected is None else rule.expected.refused(raw)
        if refused is not None:
            faults.add_rows("not_expected", rule, refused if wrong is None else refused & ~wrong, raw)
        return values


def _conform_value(rule: Rule, value: Any, faults: Faults) -> Any:
    column = rule.column
    if value is ABSENT:  # reported with the names
        return None
    try:
        result = rule.convert(value)
    except ValueError:
        received = show(value)
        faults.add(
            "wrong_type", column.name, rule.message("wrong_type", received), received=received, allowed=rule.allowed
        )
        return None
    if result is None:
        if not column.is_optional:
            faults.add("missing_value", column.name, rule.message("missing_value"), allowed=rule.allowed)
    elif rule.departs(result):
        code, received = rule.departure_code, show(value)
        faults.add(code, column.name, rule.message(code, received), received=received, allowed=rule.allowed)
    if rule.expected is not None and not rule.expected.accepts(value):
        code, received = "not_expected", show(value)
        allowed = rule.allowed_for(code)
        faults.add(code, column.name, rule.message(code, received), received=received, allowed=allowed)
    return result


def _suggestion(name: str, candidates: Sequence[str]) -> str:
    """A column of a similar name, as the end of a sentence."""
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.7)
    return f'; "{by_folded[close[0]]}" looks like it' if close else ""
