"""What the values of a column are, whatever type they were stored in.

| kind       | when                                                                                                    |
|------------|---------------------------------------------------------------------------------------------------------|
| constant   | one value in every row, or no value at all                                                              |
| identifier | a counter of the rows; or (nearly) unique and named like one; or unique codes, UUIDs, e-mail addresses  |
| number     | floats, and text that is read as numbers (see `text_numbers`)                                           |
| integer    | integers, and floats that are whole and have gaps (a table of integers with missing values)             |
| boolean    | booleans, and the texts true and false                                                                  |
| datetime   | dates, text that is read as dates (see `text_dates`), and integers like 20110131 named like a date      |
| text       | writing: many words, or (nearly) unique in every row                                                    |
| category   | all other text, however many levels                                                                     |
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import polars as pl

from rowsmith.conform.plain import without_nulls
from rowsmith.ingestion.raw_facts import RawFacts, SeriesFacts
from rowsmith.ingestion.spellings import Spellings
from rowsmith.ingestion.text_dates import COMPACT, are_compact_dates, find_dates
from rowsmith.ingestion.text_numbers import are_whole, find_numbers
from rowsmith.schema import Parsing
from rowsmith.types import ColumnKind

ID_NAME = re.compile(
    r"(^|[_\W])(id|ids|uuid|guid|key|pk|rowid|row|rownames?|row_names?|index|idx|serial|number|no|nr|#)$"
    r"|^(unnamed(: ?\d+)?|column_1)$",
    re.IGNORECASE,
)
CAMEL_ID_NAME = re.compile(r"[a-z](Id|ID|Key|Uuid|UUID|No|Nr|Number)$")
# A counter of years or days says something about its rows.
TIME_NAME = re.compile(r"year|month|week|day|hour|minute|time|date|period|age", re.IGNORECASE)
UUID_OR_HASH = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}|[0-9a-f]{24,64}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
TRUTH = frozenset({"true", "false"})
MIN_ROWS_OF_IDENTIFIER = 20
NEARLY_UNIQUE = 0.9
SAMPLE = 1000
FEW_LEVELS = 20
LONG_TEXT = 100


@dataclass(frozen=True)
class Reading:
    """A kind, and how text becomes a value of it."""

    kind: ColumnKind
    parsing: Parsing = field(default_factory=Parsing)


def find_kind(series: pl.Series, *, may_identify: bool = True, facts: RawFacts | None = None) -> Reading:
    """The kind of a column of a plain type. `may_identify` is False for one that is known to be no identifier.

    `facts` are those of all rows, where the series holds only some of them.
    """
    if isinstance(series.dtype, pl.String):
        return _of_text(series, facts, may_identify=may_identify)
    values = without_nulls(series)
    if not len(values) or (len(values) == len(series) and values.min() == values.max()):
        return Reading(ColumnKind.CONSTANT)
    if isinstance(series.dtype, pl.Boolean):
        return Reading(ColumnKind.BOOLEAN)
    if isinstance(series.dtype, pl.Date | pl.Datetime):
        return Reading(ColumnKind.DATETIME)
    if series.dtype.is_float():
        whole = len(values) < len(series) and (values == values.round()).all()
        return Reading(ColumnKind.INTEGER if whole else ColumnKind.NUMBER)
    if are_compact_dates(series):
        return Reading(ColumnKind.DATETIME, Parsing(date_format=COMPACT))
    if may_identify and _is_integer_identifier(series.name, facts or SeriesFacts(series)):
        return Reading(ColumnKind.IDENTIFIER)
    return Reading(ColumnKind.INTEGER)


def reading_as(kind: ColumnKind, series: pl.Series) -> Reading:
    """A kind that somebody asked for, with the parsing that the texts need for it, as far as there is one."""
    parsing: Parsing | None = None
    if isinstance(series.dtype, pl.String):
        spellings = Spellings.of(series)
        if kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
            parsing = find_numbers(spellings, even_codes=True)
        elif kind is ColumnKind.DATETIME:
            parsing = find_dates(spellings, series)
    elif kind is ColumnKind.DATETIME and series.dtype.is_integer():
        parsing = Parsing(date_format=COMPACT)
    return Reading(kind, parsing or Parsing())


def is_named_like_identifier(name: str) -> bool:
    return bool(ID_NAME.search(name) or CAMEL_ID_NAME.search(name))


def _of_text(series: pl.Series, facts: RawFacts | None, *, may_identify: bool) -> Reading:
    spellings = Spellings.of(series)
    if not spellings.values or (len(spellings.values) == 1 and spellings.rows == len(series)):
        return Reading(ColumnKind.CONSTANT)
    if {value.casefold() for value in spellings.values[: len(TRUTH) + 1]} == TRUTH and len(spellings.values) < 5:
        return Reading(ColumnKind.BOOLEAN)
    numbers = find_numbers(spellings)
    if numbers is not None:
        whole = are_whole(spellings, numbers)
        return Reading(ColumnKind.INTEGER if whole else ColumnKind.NUMBER, numbers)
    dates = find_dates(spellings, series)
    if dates is not None:
        return Reading(ColumnKind.DATETIME, dates)
    # Among a few of the rows of a table nearly every level is alone.
    uniqueness = _uniqueness(spellings) if facts is None else facts.different / max(facts.rows - facts.missing, 1)
    if may_identify and _is_text_identifier(series.name, spellings, uniqueness):
        return Reading(ColumnKind.IDENTIFIER)
    return Reading(ColumnKind.TEXT if _is_writing(spellings, uniqueness) else ColumnKind.CATEGORY)


def _uniqueness(spellings: Spellings) -> float:
    return len(spellings.values) / spellings.rows


def _is_integer_identifier(name: str, facts: RawFacts) -> bool:
    """Counting the different ones is dear, and so comes last."""
    rows = facts.rows
    if rows < MIN_ROWS_OF_IDENTIFIER:
        return False
    if is_named_like_identifier(name) and facts.different >= NEARLY_UNIQUE * rows:
        return True
    if facts.missing or TIME_NAME.search(name):
        return False
    if int(facts.high) - int(facts.low) + 1 != rows:  # not consecutive
        return False
    return facts.counts_up or (facts.low in (0, 1) and facts.different == rows)


def _is_text_identifier(name: str, spellings: Spellings, uniqueness: float) -> bool:
    if spellings.rows < MIN_ROWS_OF_IDENTIFIER or uniqueness < NEARLY_UNIQUE:
        return False
    sample = spellings.values[:SAMPLE]
    if any(" " in value for value in sample):
        return False
    if is_named_like_identifier(name):
        return True
    if all(UUID_OR_HASH.fullmatch(value) or EMAIL.fullmatch(value) for value in sample):
        return True
    coded = sum(any(char.isdigit() for char in value) for value in sample)
    return uniqueness == 1 and coded >= 0.95 * len(sample)


def _is_writing(spellings: Spellings, uniqueness: float) -> bool:
    sample = spellings.values[:SAMPLE]
    characters = sum(map(len, sample)) / len(sample)
    words = sum(len(value.split()) for value in sample) / len(sample)
    if len(spellings.values) <= FEW_LEVELS:
        return characters > LONG_TEXT
    if uniqueness > NEARLY_UNIQUE:
        return words > 1.5 or (spellings.rows > SAMPLE and characters > FEW_LEVELS)
    if uniqueness > 0.5:
        return words >= 3
    return uniqueness > 0.1 and (words >= 8 or characters >= LONG_TEXT)
