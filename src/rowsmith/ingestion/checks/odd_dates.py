"""Text that is nearly a column of dates: some are impossible, or written in another format; and dates nobody means."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from rowsmith.conform import parse_datetime
from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted
from rowsmith.ingestion.spellings import Spellings
from rowsmith.ingestion.text_dates import EARLIEST, FORMATS, LATEST, LOOKS_LIKE_DATE
from rowsmith.schema import Column, Parsing
from rowsmith.types import ColumnKind, Severity

MIN_SHARE = 0.8
"""Of the values, this much must read as dates before the others are called bad ones."""
MAX_VALUES = 2_000
MIN_SHARE_OF_FORMAT = 0.02
LOOKED_AT = 50
LONGEST = 40


def check_dates_are_dates(examined: Examined) -> Outcome:
    """A column of text that no single format reads, and columns of dates with years far from ours."""
    observations = []
    looked = False
    for column in examined.columns:
        if column.kind is ColumnKind.DATETIME:
            looked = True
            observations += _far_years(column, examined.tally(FarYears).rows[column.name])
        elif column.stored == "String" and column.kind in (ColumnKind.CATEGORY, ColumnKind.TEXT, ColumnKind.IDENTIFIER):
            values = examined.frame[column.name]
            if _look_like_dates(values):
                looked = True
                observations += _formats(column, Spellings.of(values))
    return observations if looked else NotApplicable("no column is one of dates")


class FarYears:
    """`rows` of each column of dates that are far from our time."""

    def __init__(self, examined: Examined) -> None:
        self._columns = [column for column in examined.columns if column.kind is ColumnKind.DATETIME]
        self.rows = {column.name: 0 for column in self._columns}

    def see(self, part: Examined) -> None:
        for column in self._columns:
            years = part.values(column).dt.year()
            self.rows[column.name] += int(((years < EARLIEST) | (years > LATEST)).sum())


def _far_years(column: Column, far: int) -> list[Observation]:
    if not far:
        return []
    return [
        Observation(
            f'"{column.name}" has {counted(far, "date")} before {EARLIEST} or after {LATEST}',
            (column.name,),
            {"rows": far},
            "If they stand for something else (an open end, nobody knows), write them as missing.",
        )
    ]


def _look_like_dates(values: pl.Series) -> bool:
    first = values.drop_nulls().head(LOOKED_AT).to_list()
    alike = sum(len(value) <= LONGEST and LOOKS_LIKE_DATE.search(value) is not None for value in first)
    return bool(first) and alike >= MIN_SHARE * len(first)


def _formats(column: Column, spellings: Spellings) -> list[Observation]:
    """The formats that it takes to read the values, each the one that reads most of those that are left."""
    left = dict(zip(spellings.values[:MAX_VALUES], spellings.counts, strict=False))
    rows = sum(left.values())
    used: dict[str, int] = {}
    while left:
        read = {pattern: [value for value in left if _reads(value, pattern)] for pattern in FORMATS}
        best = max(read, key=lambda pattern: sum(left[value] for value in read[pattern]))
        found = sum(left.pop(value) for value in read[best])
        if found < max(MIN_SHARE_OF_FORMAT * rows, 1):
            break
        used[best] = found
    if sum(used.values()) < MIN_SHARE * rows:
        return []
    return [*_mixed(column, used), *_impossible(column, left, used)]


def _mixed(column: Column, used: dict[str, int]) -> list[Observation]:
    if len(used) < 2:
        return []
    shown = ", ".join(f"{pattern} ({rows} rows)" for pattern, rows in used.items())
    return [
        Observation(
            f'"{column.name}" has dates in {len(used)} formats: {shown}',
            (column.name,),
            {"formats": used},
            "Write them in one format, best 2024-01-31: until then the column is no column of dates.",
            of_held=True,
        )
    ]


def _impossible(column: Column, left: dict[str, int], used: dict[str, int]) -> list[Observation]:
    """`left` are the values that no format reads, with their rows; words among them (open, tbd) are no dates at all."""
    rows = sum(count for value, count in left.items() if any(char.isdigit() for char in value))
    if not rows:
        return []
    return [
        Observation(
            f'"{column.name}" has {counted(rows, "value")} among its dates that are cut off, or that no calendar knows '
            "(such as February 30)",
            (column.name,),
            {"rows": rows, "formats": used},
            "Mend them, or leave them empty: until then the column is no column of dates.",
            of_held=True,
        )
    ]


def _reads(value: str, pattern: str) -> bool:
    try:
        if pattern == "iso":
            return parse_datetime(value, Parsing(date_format=pattern)) is not None
        return datetime.strptime(value, pattern) is not None
    except ValueError:
        return False


CHECK = Check("odd_dates", "Impossible and mixed dates", Severity.WARNING, check_dates_are_dates, (FarYears,))
