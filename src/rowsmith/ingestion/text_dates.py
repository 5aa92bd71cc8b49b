"""Dates in text: ISO 8601, month and day in either order, month names, with and without a time of day."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise, product

import polars as pl

from rowsmith.conform import parse_datetime
from rowsmith.ingestion.spellings import Spellings, fits
from rowsmith.schema import Parsing

# In the order of preference where the values fit two of them: with slashes the month comes first.
DATES = (
    "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d",
    "%d.%m.%Y", "%m.%d.%Y", "%d.%m.%y", "%Y.%m.%d",
    "%d-%m-%Y", "%m-%d-%Y", "%d-%m-%y", "%m-%d-%y",
    "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y",
    "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%d. %B %Y", "%a, %d %b %Y",
)  # fmt: skip
TIMES = ("", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", " %H:%M:%S.%f")
FORMATS = ("iso", *(date + time for date, time in product(DATES, TIMES)))
COMPACT = "%Y%m%d"
COMPACT_NAME = re.compile(r"date|(^|[_\W])(day|dt|ymd)($|[_\W])", re.IGNORECASE)
EARLIEST, LATEST = 1900, 2100
LOOKS_LIKE_DATE = re.compile(r"\d.*[-/. :,].*\d")
SAMPLE = 50
MIN_SHARE_ALIKE = 0.9
LONGEST = 60
ROWS_LOOKED_AT = 2000
CLEARLY_MORE_ORDERLY = 0.2


def find_dates(spellings: Spellings, series: pl.Series) -> Parsing | None:
    """How the texts are read as dates, or None for a column that is not of dates.

    Where month and day fit either way in every value, the reading that leaves the rows in clearly better order wins.
    """
    nulls = spellings.nulls
    dates = spellings.without(nulls)
    first = dates.values[:SAMPLE]
    if not first or sum(_looks_like_date(value) for value in first) < MIN_SHARE_ALIKE * len(first):
        return None
    found = []
    sample = Spellings(first, dates.counts[:SAMPLE], sum(dates.counts[:SAMPLE]))
    for pattern in FORMATS:
        parsing = Parsing(date_format=pattern, nulls=nulls)
        if fits(sample, parsing, parse_datetime) is None:
            continue
        complete = fits(dates, parsing, parse_datetime)
        if complete is not None:
            found.append(complete)
            if pattern == "iso" or not _may_be_swapped(pattern):
                break
    if len(found) > 1 and _order(series, found[1]) > _order(series, found[0]) + CLEARLY_MORE_ORDERLY:
        return found[1]
    return found[0] if found else None


def are_compact_dates(series: pl.Series) -> bool:
    """Integers like 20110131 in a column whose name speaks of a date."""
    if not COMPACT_NAME.search(series.name):
        return False
    values = series.drop_nulls().unique()
    low, high = EARLIEST * 10_000, LATEST * 10_000
    if not len(values) or not ((values >= low) & (values < high)).all():
        return False
    return values.cast(pl.String).str.to_date(COMPACT, strict=False).null_count() == 0


def _looks_like_date(value: str) -> bool:
    return len(value) <= LONGEST and LOOKS_LIKE_DATE.search(value) is not None


def _may_be_swapped(pattern: str) -> bool:
    return pattern.startswith(("%m", "%d")) and "%b" not in pattern and "%B" not in pattern


def _order(series: pl.Series, parsing: Parsing) -> float:
    """The share of neighbouring rows that are in order, one way or the other."""
    moments: list[datetime] = []
    for text in series.drop_nulls().head(ROWS_LOOKED_AT).to_list():
        moment = parse_datetime(text, parsing)
        if moment is not None:
            moments.append(moment)
    steps = [(after >= before, after <= before) for before, after in pairwise(moments)]
    if not steps:
        return 0.0
    return max(sum(up for up, _ in steps), sum(down for _, down in steps)) / len(steps)
