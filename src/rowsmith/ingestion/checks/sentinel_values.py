"""Values that stand for "nobody knows": -999 among temperatures, 9999 among incomes, "unknown" among towns."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import takewhile

import numpy as np
import polars as pl

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, percent
from rowsmith.ingestion.spellings import NULL_SPELLINGS
from rowsmith.schema import NUMERIC_KINDS, Column
from rowsmith.types import ColumnKind, Severity

# One digit many times over: -99, 9999, 999.9, 99998, 77777.
LOOKS_TYPED = re.compile(r"-?9{2,}8?(\.9+)?|-?(\d)\2{4,}")
EPOCHS = (datetime(1900, 1, 1), datetime(1899, 12, 30), datetime(1970, 1, 1), datetime(9999, 12, 31))
MIN_ROWS = 3
MIN_SHARE = 0.001
WIDE_GAP = 0.5
"""How far beyond the other values a sentinel lies, as a share of the range that those have."""
MIN_DIFFERENT = 8
MAX_SENTINELS = 2


def check_no_value_stands_for_missing(examined: Examined) -> Outcome:
    """Numbers far beyond all others that look typed; a lone -1; epochs of calendars; words for "missing"."""
    if not examined.features:
        return NotApplicable("there are no features")
    seen = []
    counts = examined.tally(Suspects)
    for column in examined.features:
        found = counts.of(column.name)
        if found:
            share = sum(found.values()) / examined.rows
            values = ", ".join(f"{value} in {rows} rows" for value, rows in found.items())
            seen.append(
                Observation(
                    f'"{column.name}" has values that look like a stand-in for "missing": {values} ({percent(share)})',
                    (column.name,),
                    {"values": found, "share": share},
                    f'If they mean "missing", leave them empty where the table is made; a column of text may have them '
                    f'among the nulls of "{column.name}" in schema.toml.',
                )
            )
    return seen


class Suspects:
    """The rows of values that look like a stand-in among the rows that are held."""

    def __init__(self, examined: Examined) -> None:
        self._values = {c.name: _suspects(c, examined.values(c).drop_nulls()) for c in examined.features}
        self._columns = [column for column in examined.features if len(self._values[column.name])]
        self._counts = {c.name: np.zeros(len(self._values[c.name]), dtype=np.int64) for c in self._columns}
        self._present = dict.fromkeys(self._counts, 0)

    def see(self, part: Examined) -> None:
        for column in self._columns:
            values = part.values(column)
            rows = [int((values == value).sum()) for value in self._values[column.name]]
            self._counts[column.name] += rows
            self._present[column.name] += len(values) - values.null_count()

    def of(self, name: str) -> dict[str, int]:
        """By how they are written; a single odd row is an outlier, no convention."""
        if name not in self._counts:
            return {}
        least = max(MIN_ROWS, MIN_SHARE * self._present[name])
        values, rows = map(_written, self._values[name].to_list()), self._counts[name].tolist()
        return {value: count for value, count in zip(values, rows, strict=True) if count >= least}


def _suspects(column: Column, values: pl.Series) -> pl.Series:
    """Different values, lowest first."""
    nothing = values.head(0)
    if column.kind in NUMERIC_KINDS:
        finite = values.filter(values.is_finite())
        if not any(_may_be_sentinel(end) for end in (finite.min(), finite.max())):
            return nothing
        return pl.Series(_numbers(finite.unique().sort().to_list()), dtype=pl.Float64)
    if column.kind is ColumnKind.DATETIME:
        return values.filter(values.is_in(EPOCHS)).unique().sort()
    if column.kind is ColumnKind.CATEGORY:
        levels = values.unique().sort()
        return levels.filter(pl.Series([level.casefold() in NULL_SPELLINGS for level in levels], dtype=pl.Boolean))
    return nothing


def _written(value: float | datetime | str) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    return f"{value:g}" if isinstance(value, float) else value


def _may_be_sentinel(end: object) -> bool:
    """A quick look at the lowest and highest number, which spares counting the others."""
    return isinstance(end, float) and (end == -1 or LOOKS_TYPED.fullmatch(f"{end:g}") is not None)


def _numbers(numbers: list[float]) -> list[float]:
    """Of different ones, lowest first."""
    if len(numbers) < MIN_DIFFERENT:
        return []
    found = [*_beyond(numbers), *_beyond(numbers[::-1])]
    if numbers[0] == -1 and all(number == int(number) for number in numbers) and not found:
        found = [numbers[0]]
    return found


def _beyond(numbers: list[float]) -> list[float]:
    """The first few, if they look typed and all others lie far from them."""
    typed = list(takewhile(lambda number: LOOKS_TYPED.fullmatch(f"{number:g}"), numbers[:MAX_SENTINELS]))
    while typed:
        rest = numbers[len(typed) :]
        if abs(rest[0] - typed[-1]) > WIDE_GAP * abs(rest[-1] - rest[0]):
            return typed
        typed.pop()
    return []


CHECK = Check(
    "sentinel_values",
    "Values that may stand for missing",
    Severity.WARNING,
    check_no_value_stands_for_missing,
    (Suspects,),
)
