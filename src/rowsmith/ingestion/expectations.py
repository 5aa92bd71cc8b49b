"""Expectations: what the recipe says must hold of a table, looked at batch by batch as the rows come in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import polars as pl

from rowsmith.conform.expected import Expected, kind_of, same_reading
from rowsmith.conform.parsing import converter
from rowsmith.conform.rule import show
from rowsmith.conform.series import conform_series
from rowsmith.errors import Fault, SchemaError
from rowsmith.ingestion.hashes import Hashes, hashes_of
from rowsmith.ingestion.kinds import reading_as
from rowsmith.ingestion.spellings import Spellings
from rowsmith.ingestion.table import Table
from rowsmith.recipe import ColumnExpectation, ExpectSection, seconds_of
from rowsmith.schema import Parsing, Schema
from rowsmith.types import ColumnKind

MAX_FAULTS_OF_COLUMN = 20
NEXT_STEP = "mend the rows where they come from, or change [expect] in rowsmith.toml"


def expecting(
    batches: Iterable[pl.DataFrame], expect: ExpectSection, *, now: datetime, is_whole: bool
) -> Iterator[pl.DataFrame]:
    """The batches as they are; at their end SchemaError, if they are not as expected.

    `is_whole` is False for rows that are added to others, which say nothing of how many there are.
    """
    watch = Watch(expect, now)
    for batch in batches:
        watch.see(batch)
        yield batch
    watch.conclude(is_whole=is_whole)


def require(table: Table, expect: ExpectSection, schema: Schema, *, now: datetime) -> None:
    """The same for a table that is there, its text read as the schema reads it."""
    if expect == ExpectSection():
        return
    watch = Watch(expect, now, schema)
    for _, batch in table.batches():
        watch.see(batch)
    watch.conclude(is_whole=True)


@dataclass
class _Seen:
    """Of one column: rows that are not as expected, the first of them as faults; missing ones; the newest date."""

    refused: int = 0
    missing: int = 0
    newest: datetime | None = None
    faults: list[Fault] = field(default_factory=list)


class Watch:
    """Adds up what concerns the table as a whole, in memory that does not grow with the rows."""

    def __init__(self, expect: ExpectSection, now: datetime, schema: Schema | None = None) -> None:
        self._expect = expect
        self._now = now.astimezone(UTC).replace(tzinfo=None)
        self._schema = schema
        self._seen = {name: _Seen() for name in expect.columns}
        self._absent: set[str] = set()
        self._keys = {key: Hashes() for key in _keys(expect)}
        self._rows = 0

    def see(self, frame: pl.DataFrame) -> None:
        for name, rule in self._expect.columns.items():
            if name in frame.columns:
                self._look(frame[name], rule, self._seen[name])
            else:
                self._absent.add(name)
        for key, hashes in self._keys.items():
            if all(name in frame.columns for name in key):
                # A row with a missing part repeats nothing.
                hashes.add(hashes_of(frame.select(key).drop_nulls()))
            else:
                self._absent |= {name for name in key if name not in frame.columns}
        self._rows += frame.height

    def conclude(self, *, is_whole: bool) -> None:
        """Raises SchemaError with everything that is not as expected."""
        faults = [
            Fault("missing_column", name, f'the column "{name}" is expected, and is not there')
            for name in sorted(self._absent)
        ]
        if is_whole:
            faults += self._of_rows()
        for name, rule in self._expect.columns.items():
            if name not in self._absent:
                faults += self._of_column(name, rule, self._seen[name])
        faults += [fault for key, hashes in self._keys.items() if (fault := _repeated(key, hashes))]
        if faults:
            raise SchemaError(faults, where="against [expect]", next_step=NEXT_STEP)

    def _look(self, raw: pl.Series, rule: ColumnExpectation, seen: _Seen) -> None:
        kind = kind_of(rule)
        parsing = self._parsing(raw, kind)
        expected = Expected(rule, parsing)
        refused = None if expected.says_nothing else expected.refused(raw)
        values, _ = conform_series(raw, kind, converter(kind, parsing))
        seen.missing += values.null_count() if refused is None else int((values.is_null() & ~refused).sum())
        if rule.max_age is not None and values.dtype == pl.Datetime("us"):
            newest = values.max()
            if isinstance(newest, datetime):
                seen.newest = newest if seen.newest is None else max(seen.newest, newest)
        if refused is None:
            return
        seen.refused += int(refused.sum())
        room = MAX_FAULTS_OF_COLUMN - len(seen.faults)
        for row in refused.arg_true().head(max(room, 0)).to_list():
            received = show(raw[row])
            message = f'the column "{raw.name}" has {received}, which is not as expected: {expected.sentence}'
            seen.faults.append(Fault("not_expected", raw.name, message, self._rows + row, received, expected.sentence))

    def _parsing(self, raw: pl.Series, kind: ColumnKind) -> Parsing:
        if self._schema is not None and raw.name in self._schema:
            column = self._schema[raw.name]
            if same_reading(kind, column.kind):
                return column.parsing
        parsing = reading_as(kind, raw).parsing
        if raw.dtype != pl.String or kind is ColumnKind.TEXT:
            return parsing
        # A batch may have nothing but spellings of "missing", which tell nothing about the others.
        return replace(parsing, nulls=tuple({*parsing.nulls, *Spellings.of(raw).nulls}))

    def _of_rows(self) -> list[Fault]:
        least, most = self._expect.min_rows, self._expect.max_rows
        if least is not None and self._rows < least:
            return [Fault("not_expected", "", f"there are {self._rows} rows, and at least {least} are expected")]
        if most is not None and self._rows > most:
            return [Fault("not_expected", "", f"there are {self._rows} rows, and at most {most} are expected")]
        return []

    def _of_column(self, name: str, rule: ColumnExpectation, seen: _Seen) -> list[Fault]:
        faults = list(seen.faults)
        if seen.refused > len(faults):
            message = f'{seen.refused} values of the column "{name}" are not as expected'
            faults.append(Fault("not_expected", name, message))
        if rule.max_missing and seen.missing > rule.max_missing * self._rows:
            share = seen.missing / max(self._rows, 1)
            message = f'{share:.1%} of the column "{name}" are missing, and {rule.max_missing:.1%} are expected at most'
            faults.append(Fault("not_expected", name, message))
        return [*faults, *self._of_age(name, rule, seen)]

    def _of_age(self, name: str, rule: ColumnExpectation, seen: _Seen) -> list[Fault]:
        if rule.max_age is None:
            return []
        if seen.newest is None:
            return [Fault("not_expected", name, f'the column "{name}" has no date')]
        if seen.newest >= self._now - timedelta(seconds=seconds_of(rule.max_age)):
            return []
        newest = seen.newest.isoformat(sep=" ", timespec="seconds")
        message = f'the newest date of "{name}" is {newest}, and one not older than {rule.max_age} is expected'
        return [Fault("not_expected", name, message)]


def _keys(expect: ExpectSection) -> list[tuple[str, ...]]:
    alone = [(name,) for name, rule in expect.columns.items() if rule.unique]
    return [*alone, *([expect.unique] if expect.unique else [])]


def _repeated(key: tuple[str, ...], hashes: Hashes) -> Fault | None:
    repeated = hashes.repeats
    if not repeated:
        return None
    names = ", ".join(f'"{name}"' for name in key)
    return Fault("not_expected", key[0], f"{repeated} rows repeat the {names} of another, which is expected once")
