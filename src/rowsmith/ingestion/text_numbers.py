"""Numbers hidden in text: "1,234", "29.85" among blanks, "$1,200", "12%", "3,5"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rowsmith.conform import parse_number
from rowsmith.ingestion.spellings import Spellings, fits
from rowsmith.schema import Parsing

# Decimal mark and thousands separator, in the order of preference where several would do: "1,234" is a thousand.
MARKS = (
    (".", ""), (".", ","), (",", ""), (",", "."), (".", "'"),
    (".", " "), (",", " "), (".", "\u00a0"), (",", "\u00a0"), (".", "\u202f"), (",", "\u202f"),
)  # fmt: skip
SIGN = r"US\$|[$€£¥₹%]|USD|EUR|GBP|CHF"
SIGNS = re.compile(rf"^[+-]?\s*({SIGN})|({SIGN})$")
LOOKS_LIKE_NUMBER = re.compile(rf"[+-]?\s*({SIGN})?\s*[+-]?[\d.,'\s]*\d[\d.,'\s]*(e[+-]?\d+)?({SIGN})?", re.IGNORECASE)
DIGITS = re.compile(r"\d+")
LEADING_ZERO = re.compile(r"[+-]?0\d+")
ZERO_BEFORE_MARK = re.compile(r"^[+-]?0[.,]\d{3}$")
SMALL_CODE = re.compile(r"\d{1,3}")
MAX_DIGITS = 15
MAX_CODES = 20
MIN_SHARE_ALIKE = 0.9
SAMPLE = 200
# Longer texts are no numbers, and would keep the pattern busy.
LONGEST = 60


def find_numbers(spellings: Spellings, *, even_codes: bool = False) -> Parsing | None:
    """How the texts are read as numbers, or None for a column that is not of numbers.

    Not numbers, though they could be read so, unless `even_codes`: texts with leading zeros (postcodes), with more
    digits than a number holds (card numbers), and a few small codes ("0", "1", "2") that somebody kept as text.
    """
    nulls = spellings.nulls
    numbers = spellings.without(nulls)
    if not numbers.values or not _mostly_look_like_numbers(numbers):
        return None
    if not even_codes and _are_codes(numbers, has_nulls=bool(nulls)):
        return None
    affixes = _affixes(numbers)
    for decimal, thousands in MARKS:
        if thousands in (".", ",") and any(ZERO_BEFORE_MARK.match(value) for value in numbers.values):
            continue
        if thousands and not any(thousands in value for value in numbers.values):
            continue
        parsing = fits(numbers, Parsing(decimal, thousands, affixes, nulls=nulls), parse_number)  # type: ignore[arg-type]
        if parsing is not None:
            return parsing
    return None


def are_whole(spellings: Spellings, parsing: Parsing) -> bool:
    """Whether the numbers are written as integers."""
    return all(parsing.decimal not in value and "e" not in value.lower() for value in _numbers(spellings, parsing))


def _numbers(spellings: Spellings, parsing: Parsing) -> Iterator[str]:
    return (value for value in spellings.values if value not in parsing.nulls)


def _mostly_look_like_numbers(numbers: Spellings) -> bool:
    """A quick look at the most frequent ones, which spares writing the slow one."""
    first = zip(numbers.values[:SAMPLE], numbers.counts, strict=False)
    alike = sum(count for value, count in first if len(value) <= LONGEST and LOOKS_LIKE_NUMBER.fullmatch(value))
    return alike >= MIN_SHARE_ALIKE * sum(numbers.counts[:SAMPLE])


def are_written_as_codes(spellings: Spellings) -> bool:
    """Whether numbers would lose something: leading zeros, or digits beyond those that a number holds."""
    return any(
        LEADING_ZERO.fullmatch(value) or (len(value) > MAX_DIGITS and DIGITS.fullmatch(value))
        for value in spellings.values
    )


def _are_codes(numbers: Spellings, *, has_nulls: bool) -> bool:
    if are_written_as_codes(numbers):
        return True
    few = len(numbers.values) <= MAX_CODES and not has_nulls
    return few and all(SMALL_CODE.fullmatch(value) for value in numbers.values)


def _affixes(numbers: Spellings) -> tuple[str, ...]:
    found = set()
    for value in numbers.values:
        if not value[0].isdigit() or not value[-1].isdigit():
            found |= {part for match in SIGNS.finditer(value) for part in match.groups() if part}
    return tuple(sorted(found))
