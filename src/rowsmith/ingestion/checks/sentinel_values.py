"""Values that stand for "nobody knows": -999 among temperatures, 9999 among incomes, "unknown" among towns."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import takewhile

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
    for column in examined.features:
        found = _sentinels(column, examined.values(column).drop_nulls())
        if found:
            share = sum(found.values()) / examined.frame.height
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


def _sentinels(column: Column, values: pl.Series) -> dict[str, int]:
    """The suspects with their numbers of rows; a single odd row is an outlier, no convention."""
    least = max(MIN_ROWS, MIN_SHARE * len(values))
    if column.kind in NUMERIC_KINDS:
        finite = values.filter(values.is_finite())
        if not any(_may_be_sentinel(end) for end in (finite.min(), finite.max())):
            return {}
        suspects = {f"{value:g}": rows for value, rows in _numbers(_counted(finite)).items()}
    elif column.kind is ColumnKind.DATETIME:
        counted = _counted(values.filter(values.is_in(EPOCHS)))
        suspects = {day.date().isoformat(): rows for day, rows in counted.items()}
    elif column.kind is ColumnKind.CATEGORY:
        counted = _counted(values)
        suspects = {level: rows for level, rows in counted.items() if level.casefold() in NULL_SPELLINGS}
    else:
        return {}
    return {value: rows for value, rows in suspects.items() if rows >= least}


def _may_be_sentinel(end: object) -> bool:
    """A quick look at the lowest and highest number, which spares counting the others."""
    return isinstance(end, float) and (end == -1 or LOOKS_TYPED.fullmatch(f"{end:g}") is not None)


def _counted(values: pl.Series) -> dict:  # type: ignore[type-arg]
    """Each value and its rows, lowest first."""
    counts = values.rename("value").value_counts(name="rows").sort("value")
    return dict(zip(counts["value"].to_list(), counts["rows"].to_list(), strict=True))


def _numbers(counted: dict[float, int]) -> dict[float, int]:
    numbers = list(counted)
    if len(numbers) < MIN_DIFFERENT:
        return {}
    found = [*_beyond(numbers), *_beyond(numbers[::-1])]
    if numbers[0] == -1 and all(number == int(number) for number in numbers) and not found:
        found = [numbers[0]]
    return {number: counted[number] for number in found}


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
    "sentinel_values", "Values that may stand for missing", Severity.WARNING, check_no_value_stands_for_missing
)
