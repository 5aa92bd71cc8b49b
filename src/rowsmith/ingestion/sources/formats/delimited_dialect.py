"""The dialect of a CSV file: separator, quote and header, looked for in its first lines unless the recipe says."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.recipe_data import DataSection

# In this order where several would do: a comma inside a file of semicolons is likely, a decimal one; not the reverse.
SEPARATORS = ("\t", ";", "|", ",")
QUOTES = ('"', "'")
SAMPLE_BYTES = 1 << 18
SAMPLE_RECORDS = 500
MIN_CONSISTENCY = 0.99
MIN_NAMES_THAT_COUNT = 3
LONGEST_NUMBER = 60
NUMBER = re.compile(r"[+-]?[\d.,]*\d[\d.,]*(e[+-]?\d+)?%?", re.IGNORECASE)
LONE_RETURN = re.compile(r"\r(?!\Z)")

# The csv module's own limit (128 kB) is one for the whole program, and too low for texts.
csv.field_size_limit(1 << 26)


@dataclass(frozen=True)
class Dialect:
    """`names` are the fields of the first record as they stand, or empty ones where it is no header."""

    separator: str
    quote: str
    header: bool
    names: tuple[str, ...]


def detect_dialect(file: LocalFile, options: DataSection) -> Dialect:
    """Raises SourceError for a file of blank lines, RecipeError for a separator or quote that is not one character."""
    for what, given in (("separator", options.separator), ("quote", options.quote)):
        if given is not None and (len(given) != 1 or not given.isascii() or given in "\r\n"):
            raise RecipeError(
                f"the {what} of a CSV file is one ASCII character", where=f"data.{what}", received=repr(given)
            )
    lines = _sample(file)
    if not lines:
        raise SourceError("this file has nothing but blank lines", where=file.name)
    quote = options.quote or _likely_quote(lines)
    separator = options.separator or _likely_separator(lines, quote)
    records = _records(lines, separator, quote)
    header = _has_header(records) if options.header is None else options.header
    names = records[0] if header else [""] * len(records[0])
    return Dialect(separator, quote, header, tuple(names))


def _sample(file: LocalFile) -> list[str]:
    """The first lines that are not blank, without the last if it may be cut."""
    with file.open() as content:
        data = content.read(SAMPLE_BYTES)
    end = data.rfind(b"\n") + 1 if len(data) == SAMPLE_BYTES else 0
    text = data[: end or len(data)].decode("utf-8", errors="ignore")
    # The csv module takes no carriage return that has something after it.
    return [LONE_RETURN.sub(" ", line) + "\n" for line in text.split("\n") if line.strip("\r")]


def _records(lines: Sequence[str], separator: str, quote: str) -> list[list[str]]:
    reader = csv.reader(lines, delimiter=separator, quotechar=quote, skipinitialspace=separator != " ")
    records = []
    for record in reader:
        if record:
            records.append(record)
        if len(records) == SAMPLE_RECORDS:
            break
    return records


def _likely_quote(lines: Sequence[str]) -> str:
    """The single quote only where many fields are wrapped in it, and none in the double one."""
    text = "".join(lines)
    wrapped = {
        quote: len(re.findall(rf"(?:^|[,;\t|]) *{quote}[^{quote}\n]*{quote} *(?=[,;\t|\r\n])", text, re.M))
        for quote in QUOTES
    }
    return "'" if wrapped["'"] > 1 and not wrapped['"'] else '"'


def _likely_separator(lines: Sequence[str], quote: str) -> str:
    """The one that cuts most records into the same number of fields, above one; a comma where none does."""
    best, best_score = ",", 0.0
    for separator in SEPARATORS:
        counts = Counter(len(record) for record in _records(lines, separator, quote))
        fields, agreeing = max(counts.items(), key=lambda item: (item[1], item[0]))
        consistency = agreeing / counts.total()
        if fields < 2:
            continue
        if consistency >= MIN_CONSISTENCY and len(_records(lines[:1], separator, quote)[0]) > 1:
            return separator
        if consistency > best_score or (separator == "," and consistency == best_score):
            best, best_score = separator, consistency
    return best


def _has_header(records: Sequence[Sequence[str]]) -> bool:
    """A first record with a word above numbers is a header.

    One with a number above numbers is none, unless its other fields are words that never come again (years as names,
    beside "country"), or all its fields count up. With words alone, most of them must come again in their columns.
    """
    first, *others = records
    over_numbers = repeats = news = 0
    for place, name in enumerate(first):
        below = [record[place].strip() for record in others if place < len(record) and record[place].strip()]
        if not below:
            continue
        if all(map(_is_number, below)):
            if name.strip() and not _is_number(name.strip()):
                return True
            over_numbers += 1
        elif name.strip() in below:
            repeats += 1
        else:
            news += 1
    if over_numbers:
        return (news > 0 and not repeats) or _count_up(first)
    return repeats <= news


def _is_number(text: str) -> bool:
    # Long texts are none, and would keep the pattern busy.
    return len(text) <= LONGEST_NUMBER and NUMBER.fullmatch(text) is not None


def _count_up(names: Sequence[str]) -> bool:
    """0, 1, 2, ... or 2019, 2020, 2021, ...: names that some tool gave, or years."""
    values = [name.strip() for name in names if name.strip()]
    if not all(value.isdigit() for value in values) or len(values) < MIN_NAMES_THAT_COUNT:
        return False
    numbers = [int(value) for value in values]
    return all(after - before == 1 for before, after in pairwise(numbers))
