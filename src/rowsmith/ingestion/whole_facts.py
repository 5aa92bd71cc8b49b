"""Whole facts: those of a column over all rows of a table, few of which are held; and rows that make it another kind.

Where a table is larger than what is held, kinds are found in a sample. A pass over all rows then finds each value that
the sample gave no idea of (a word among numbers, a rare label): such rows are added to the sample, and kinds are found
again, until none is left. Missing values, ranges and levels are counted exactly on the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import polars as pl

from rowsmith.conform.parsing import converter
from rowsmith.conform.plain import final_type, plain_series, plain_type
from rowsmith.conform.series import conform_series
from rowsmith.errors import SchemaError
from rowsmith.ingestion.facts import MICROSECONDS, LevelCounts
from rowsmith.ingestion.hashes import Sketch, hashes_of
from rowsmith.ingestion.infer import check_roles, infer_schema
from rowsmith.ingestion.raw_facts import TalliedFacts
from rowsmith.ingestion.table import Held, Holding, Table
from rowsmith.ingestion.task import ordered_labels
from rowsmith.recipe import Recipe
from rowsmith.schema import KINDS_WITHOUT_INFORMATION, MAX_CATEGORIES, NUMERIC_KINDS, Column, Parsing, Schema
from rowsmith.types import ColumnKind, Role, Rows

MAX_ROUNDS = 10
MAX_STRANGERS = 500
"""Of a column in one round; of all columns together they are no more than half of the rows that are held."""
UNREAD = KINDS_WITHOUT_INFORMATION | {ColumnKind.TEXT}
"""Any text is a value of these, and there may be as many different ones as rows."""
WRITTEN_AS_CODE = r"^\s*([+-]?0\d+|\d{16,})\s*$"
"""What is no number though it could be read as one; see `text_numbers.are_written_as_codes`."""
NO_ROWS = np.empty(0, dtype=np.int64)


def infer_table(
    table: Table, recipe: Recipe, written: Schema | None = None, *, holding: Holding | None = None
) -> tuple[Schema, Held]:
    """`infer_schema` for a table of any size, and the rows of it that were looked at: all of them, if they are few.

    Its schema is that of all rows, but for `typical` and the levels of columns with very many. Raises what
    `infer_schema` raises.
    """
    held, raw = _hold(table, holding or Holding(recipe.train.seed))
    if held.is_whole:
        return infer_schema(held.frame, recipe, written), held
    before: Schema | None = None
    for _ in range(MAX_ROUNDS):
        schema = _of_held(held, recipe, written, raw)
        room = max(min(held.frame.height // (2 * len(schema.names)), MAX_STRANGERS), 1)
        whole = [WholeFacts(column, held.frame[column.name], schema, before, room) for column in schema]
        strangers = _go_through(table, whole)
        if not strangers:
            break
        held = held.with_rows(*_joined(strangers))
        before = schema
    schema = schema.replaced(facts.settled() for facts in whole)
    for facts in whole:
        if schema.labels and schema.task is not None and facts.is_target and facts.levels is not None:
            # Which of two labels is the rarer one is not for a sample to say.
            positive = recipe.target.positive
            schema = replace(schema, labels=ordered_labels(facts.levels, schema.task, positive, facts.name))
    check_roles(schema)
    return schema, held


def _hold(table: Table, holding: Holding) -> tuple[Held, dict[str, TalliedFacts]]:
    """Rows to look at; and raw facts of all of them, which nobody counts while the table may yet turn out small."""
    raw: dict[str, TalliedFacts] = {}
    others = _Others()
    waiting: list[tuple[int, pl.DataFrame]] = []
    for start, batch in table.batches():
        holding.see(start, batch)
        waiting.append((start, batch))
        if holding.is_whole:
            continue
        for first, one in waiting:
            for series in map(plain, one.iter_columns()):
                raw.setdefault(series.name, TalliedFacts(one.width)).see(series)
            others.see(first, one)
        waiting = []
    held = holding.held()
    return (held if held.is_whole or not others.found else held.with_rows(*_joined(others.found))), raw


class _Others:
    """For each column the first row with another value than the first of all: a sample may know only one of them."""

    def __init__(self) -> None:
        self.found: list[tuple[Rows, pl.DataFrame]] = []
        self._first: dict[str, pl.Series] = {}
        self._done: set[str] = set()

    def see(self, start: int, batch: pl.DataFrame) -> None:
        if not batch.height:
            return
        found: set[int] = set()
        for series in map(plain, (batch[name] for name in batch.columns if name not in self._done)):
            first = self._first.setdefault(series.name, pl.Series(series.head(1).to_list(), dtype=series.dtype))
            if len(place := series.ne_missing(first).arg_true().head(1)):
                found.add(int(place[0]))
                self._done.add(series.name)
        if found:
            places = np.array(sorted(found), dtype=np.int64)
            self.found.append((places + start, batch[places]))


def plain(series: pl.Series) -> pl.Series:
    return plain_series(series, final_type(plain_type(series.dtype)))


def _of_held(held: Held, recipe: Recipe, written: Schema | None, raw: dict[str, TalliedFacts]) -> Schema:
    try:
        return infer_schema(held.frame, recipe, written, raw=raw)
    except SchemaError as problem:
        faults = [fault if fault.row is None else replace(fault, row=held.row(fault.row)) for fault in problem.faults]
        raise SchemaError(faults, where=problem.where, next_step=problem.next_step) from problem


def _go_through(table: Table, whole: Iterable[WholeFacts]) -> list[tuple[Rows, pl.DataFrame]]:
    """Let the facts see all rows; those that the held ones gave no idea of, with their numbers."""
    strangers = []
    for start, batch in table.batches():
        found = [rows for facts in whole if len(rows := facts.see(plain(batch[facts.name])))]
        if found:
            places = np.unique(np.concatenate(found))
            strangers.append((places + start, batch[places]))
    return strangers


def _joined(strangers: list[tuple[Rows, pl.DataFrame]]) -> tuple[Rows, pl.DataFrame]:
    return np.concatenate([rows for rows, _ in strangers]), pl.concat([frame for _, frame in strangers])


class WholeFacts:
    """Of one column, as it is read now. `see` answers the places of strange rows of a batch."""

    def __init__(self, column: Column, held: pl.Series, schema: Schema, before: Schema | None, room: int) -> None:
        self.name = column.name
        self._column = column
        self._convert = converter(column.kind, column.parsing)
        self.is_target = Role.TARGET in column.roles
        self._labels = set(schema.labels) if self.is_target and schema.labels else None
        self._gaps_are_known = held.null_count() > 0
        # What was shown the strangers of the last round and stayed as it was has no others.
        self._room = 0 if before is not None and _same_reading(before, schema, column.name) else room
        self._rows = self._missing = 0
        self._low: float | None = None
        self._high: float | None = None
        self._levels = LevelCounts(len(schema.names))
        self._different = Sketch(len(schema.names))

    def see(self, raw: pl.Series) -> Rows:
        self._rows += len(raw)
        if self._column.kind in UNREAD:
            self._missing += _missing(raw, self._column.parsing)
            return NO_ROWS
        values, wrong = conform_series(raw, self._column.kind, self._convert)
        self._missing += values.null_count()
        if self._column.kind in NUMERIC_KINDS or self._column.kind is ColumnKind.DATETIME:
            self._see_range(values)
        elif self._column.kind is ColumnKind.CATEGORY:
            self._levels.see(values)
            self._different.add(hashes_of(values.drop_nulls().to_frame()))
        strange = self._strange(raw, values, wrong) if self._room else None
        if strange is None:
            return NO_ROWS
        # Different ones say more than one many times over.
        rows = strange.fill_null(False).arg_true()
        places = rows.filter(raw.gather(rows).is_first_distinct()).head(self._room).to_numpy().astype(np.int64)
        self._room -= len(places)
        return places

    @property
    def levels(self) -> pl.DataFrame | None:
        """With their rows; None where there are too many to count."""
        return self._levels.levels

    def settled(self) -> Column:
        """The column with the facts of all rows."""
        column = replace(self._column, missing=self._missing / max(self._rows, 1))
        if self._column.kind is ColumnKind.CATEGORY:
            levels = self.levels
            if levels is None:  # those of the sample are listed
                return replace(column, level_count=max(self._different.different, len(column.categories)))
            listed = tuple(levels["level"].head(MAX_CATEGORIES).to_list())
            return replace(column, categories=listed, level_count=levels.height, typical=listed[0] if listed else None)
        return replace(column, minimum=self._low, maximum=self._high)

    def _see_range(self, values: pl.Series) -> None:
        is_date = not values.dtype.is_float()
        values = values.to_physical() / MICROSECONDS if is_date else values.filter(values.is_finite())
        low, high = values.min(), values.max()
        if isinstance(low, float) and isinstance(high, float):
            self._low = low if self._low is None else min(low, self._low)
            self._high = high if self._high is None else max(high, self._high)

    def _strange(self, raw: pl.Series, values: pl.Series, wrong: pl.Series | None) -> pl.Series | None:
        kind = self._column.kind
        if wrong is not None:
            return wrong
        if self._labels is not None:
            return values.is_not_null() & ~values.is_in(list(self._labels))
        if kind in NUMERIC_KINDS and raw.dtype == pl.String:
            codes = raw.str.contains(WRITTEN_AS_CODE)
            return codes | (values != values.round()) if kind is ColumnKind.INTEGER else codes
        if kind is ColumnKind.INTEGER and not raw.dtype.is_integer():
            return values.is_finite() & (values != values.round())
        if kind is ColumnKind.NUMBER and raw.dtype.is_float() and not self._gaps_are_known:
            return values.is_null()
        return None


def _missing(raw: pl.Series, parsing: Parsing) -> int:
    if raw.dtype != pl.String:
        return raw.null_count()
    return raw.null_count() + int(raw.str.strip_chars().is_in(["", *parsing.nulls]).sum())


def _same_reading(before: Schema, now: Schema, name: str) -> bool:
    def reading(schema: Schema) -> tuple[ColumnKind, Parsing, tuple[str, ...]]:
        column = schema[name]
        return column.kind, column.parsing, schema.labels if Role.TARGET in column.roles else ()

    return reading(before) == reading(now)
