"""Rows that were answered together are one entry of the prediction log.

A request of a thousand rows would cost a thousand lines of the database, more than everything else about it. So it is
kept as one line, whose `content` has the inputs and answers as columns (an Arrow IPC stream, compressed). No id is
stored but the table's: the id of a row is that and the row's number, so that an outcome finds its row, and readers see
rows as if each had been logged by itself.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import orjson
import polars as pl

from rowsmith.errors import StorageError
from rowsmith.monitoring.log_entries import LogEntry, Row, row_of
from rowsmith.monitoring.log_privacy import Privacy
from rowsmith.monitoring.random_digits import random_digits

ID_DIGITS, NUMBER_DIGITS = 26, 6
"""An id of a row has 32 hexadecimal digits, like that of any prediction."""
DIGITS = frozenset("0123456789abcdef")
MOST_ROWS = 16**NUMBER_DIGITS
INPUTS, ANSWER = "inputs.", "answer."
WARNINGS = "warnings"
COMPRESSION: Literal["lz4"] = "lz4"


@dataclass(frozen=True, slots=True)
class LogTable:
    """`common` is what the entries of all rows have in common; its id is the table's (`new_table_id`).

    `inputs` is a conforming frame and `answers` has the columns of TrainedModel.answer_frame, both of as many rows.
    `warnings` are the answers' warnings by row, of the rows that have any.
    """

    common: LogEntry
    inputs: pl.DataFrame
    answers: pl.DataFrame
    warnings: Mapping[int, Sequence[str]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return self.answers.height

    def to_row(self, privacy: Privacy | None) -> Row:
        """In the order of TABLE_COLUMNS. Raises UsageError for an id that cannot be stored."""
        inputs, answers = self.inputs, self.answers
        if privacy is not None:
            inputs = privacy.columns_of(inputs)
        elif self.warnings:
            told = [self.warnings.get(number) for number in range(self.rows)]
            answers = answers.with_columns(pl.Series(WARNINGS, told, dtype=pl.List(pl.String)))
        return (*row_of(self.common, None), self.rows, content_of(inputs, answers))


@dataclass(frozen=True, slots=True)
class Refused:
    """So many rows that could not be answered, and whose inputs are not kept; `common` has the status `error`."""

    common: LogEntry
    rows: int

    def to_row(self, _: Privacy | None) -> Row:
        return (*row_of(self.common, None), self.rows, None)


@dataclass(frozen=True, slots=True)
class Content:
    """What was asked and answered, row by row. Values are as JSON has them: a moment is text, what is infinite null."""

    inputs: pl.DataFrame
    answers: pl.DataFrame


def new_table_id() -> str:
    """Unique everywhere, and growing: the digits of milliseconds that any id begins with, and chance."""
    return f"{time.time_ns() // 1_000_000:012x}{random_digits(ID_DIGITS - 12)}"


def ids_of(table: str, rows: int, erased: Set[int] = frozenset()) -> list[str]:
    """The ids of its rows, in their order. What a shadow's table ends with, its rows end with too.

    `erased` are the numbers of rows that were taken out, beside those that there are.
    """
    given, dash, shadow = table.partition("-")
    end = dash + shadow
    numbers = [f"{number:06x}" for number in numbers_left(rows, erased)] if erased else _digits(rows)
    return [f"{given}{number}{end}" for number in numbers]


@lru_cache(maxsize=4)
def _digits(rows: int) -> Sequence[str]:
    """Of the numbers of so many rows."""
    return [f"{number:06x}" for number in range(rows)]


def numbers_left(rows: int, erased: Set[int]) -> Sequence[int]:
    """The numbers of the rows of a table from which some were taken out."""
    numbers = range(rows + len(erased))
    return [number for number in numbers if number not in erased] if erased else numbers


def numbers_in(erased: str | None) -> frozenset[int]:
    """What the database says of them (JSON)."""
    return frozenset(orjson.loads(erased)) if erased else frozenset()


def place_of(id_: str) -> tuple[str, int] | None:
    """The table and the number that an id may stand for; None where it cannot."""
    given, dash, shadow = id_.partition("-")
    number = given[ID_DIGITS:]
    if len(number) != NUMBER_DIGITS or not DIGITS.issuperset(number):
        return None
    return f"{given[:ID_DIGITS]}{dash}{shadow}", int(number, 16)


def content_of(inputs: pl.DataFrame, answers: pl.DataFrame) -> bytes:
    columns = [column.alias(INPUTS + column.name) for column in inputs]
    columns += [column.alias(ANSWER + column.name) for column in answers]
    return write_columns(pl.DataFrame(columns))


def write_columns(columns: pl.DataFrame) -> bytes:
    """As `columns_in` reads them."""
    stream = io.BytesIO()
    columns.write_ipc_stream(stream, compression=COMPRESSION)
    return stream.getvalue()


def read_content(content: bytes) -> Content:
    """Raises StorageError."""
    return divided(columns_in(content))


def columns_in(content: bytes) -> pl.DataFrame:
    """The columns as they are stored. Raises StorageError."""
    try:
        return pl.read_ipc_stream(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise StorageError(
            "an entry of the prediction log was changed and cannot be read",
            next_step="restore the database from a backup",
        ) from problem


def divided(columns: pl.DataFrame) -> Content:
    """Columns as they are stored; the answers without their warnings."""
    inputs, answers = (_as_json_has_them(_of(columns, start)) for start in (INPUTS, ANSWER))
    return Content(inputs, answers.drop(WARNINGS, strict=False))


def _of(columns: pl.DataFrame, start: str) -> pl.DataFrame:
    chosen = {name.removeprefix(start): columns[name] for name in columns.columns if name.startswith(start)}
    return pl.DataFrame(chosen) if chosen else pl.DataFrame(height=columns.height)


def _as_json_has_them(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.selectors.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S%.f"),
        pl.when(pl.selectors.float().is_finite()).then(pl.selectors.float()),
    )
