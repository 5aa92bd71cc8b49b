"""Personal data: found by the names of columns, and by values whose shape or checksum says what they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from rowsmith.schema import KINDS_WITHOUT_INFORMATION, Column
from rowsmith.types import ColumnKind

MAX_VALUES = 2000
MAX_CHARACTERS = 1000
# In writing a single address among a hundred texts matters; a column of them has little else.
MIN_SHARE = 0.01
MIN_SHARE_OF_LOOSE_SHAPES = 0.5
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)*\.[A-Za-z]{2,}")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
CARD = re.compile(r"(?<![\d.,-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\d.,-])")
PHONE = re.compile(r"(\+|00)\d[\d ()./-]{6,18}\d|\(?\d{2,5}\)?[ ./-]\d{2,4}[ ./-]?\d{2,5}([ .-]?\d{2,4})?")
ADDRESS = re.compile(r"(\d{1,3}\.){3}\d{1,3}")
MIN_PHONE_DIGITS, MAX_PHONE_DIGITS = 7, 15

# Words of a column's name, as `_words` writes them.
NAMES = {
    "e-mail addresses": re.compile(r"\be ?mail\b"),
    "phone numbers": re.compile(r"\b(tele)?phone\b|\bmobile( (no|number))?$|\bfax\b"),
    "names of people": re.compile(r"\b(first|last|middle|maiden|full|given|family|sur|user|nick) ?names?\b|^names?$"),
    "postal addresses": re.compile(r"\b(street|home|postal|mailing|billing)? ?address\b|\bstreet (name|no|number)\b"),
    "dates of birth": re.compile(r"\b(birth ?(date|day)|date of birth|dob)\b"),
    "national identity numbers": re.compile(
        r"\b(ssn|social security|passport|national id|tax id|driv\w+ licen[cs]e)\b"
    ),
    "bank accounts or cards": re.compile(r"\b(iban|credit card|card (no|number)|account (no|number))\b"),
    "IP addresses": re.compile(r"\bip (address|addr)\b|^ip$"),
}
# Kinds that can hold what a name promises; a "name" with three levels names no person.
NAMED_KINDS = KINDS_WITHOUT_INFORMATION | {
    ColumnKind.TEXT,
    ColumnKind.CATEGORY,
    ColumnKind.DATETIME,
    ColumnKind.INTEGER,
}
MIN_LEVELS_OF_NAMES = 50
MIN_NUMBER_OF_A_PERSON = 10**6


@dataclass(frozen=True)
class Trace:
    """`by` is "name" or "values"; `share` is that of different values, None where the name alone speaks."""

    what: str
    by: str
    share: float | None = None

    @property
    def sentence(self) -> str:
        if self.share is None:
            return f"seems to hold {self.what}, by its name"
        return f"holds what look like {self.what}, in {100 * self.share:.0f} % of its values"


def find_personal_data(series: pl.Series, column: Column) -> Iterator[Trace]:
    """What the column seems to hold: by values first, and by name where the values do not say it. No value is kept."""
    found = set()
    for what, share in _by_values(series, column):
        found.add(what)
        yield Trace(what, "values", share)
    named = _by_name(column)
    if named is not None and named not in found:
        yield Trace(named, "name")


def _by_name(column: Column) -> str | None:
    if column.kind not in NAMED_KINDS or column.kind is ColumnKind.CONSTANT:
        return None
    if column.kind is ColumnKind.INTEGER and (column.maximum or 0) < MIN_NUMBER_OF_A_PERSON:
        return None
    words = _words(column.name)
    for what, pattern in NAMES.items():
        if pattern.search(words):
            few = column.kind is ColumnKind.CATEGORY and column.level_count < MIN_LEVELS_OF_NAMES
            return None if few else what
    return None


def _words(name: str) -> str:
    """ "firstName", "first_name" and "First-Name" as "first name"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\W_]+", spaced)).strip().lower()


def _by_values(series: pl.Series, column: Column) -> Iterator[tuple[str, float]]:
    is_text = isinstance(series.dtype, pl.String)
    if not is_text and not series.dtype.is_integer():
        return
    values = _some_values(series)
    if not values:
        return
    tests: list[tuple[str, Callable[[str], bool], float]] = [("bank accounts or cards", _has_account, MIN_SHARE)]
    if not is_text:
        # One number in ten passes the checksum by chance.
        tests = [("bank accounts or cards", _has_account, MIN_SHARE_OF_LOOSE_SHAPES)]
    elif column.kind is not ColumnKind.DATETIME:
        tests += [
            ("e-mail addresses", lambda value: EMAIL.search(value) is not None, MIN_SHARE),
            ("phone numbers", _is_phone, MIN_SHARE_OF_LOOSE_SHAPES),
            ("IP addresses", _is_ip_address, MIN_SHARE_OF_LOOSE_SHAPES),
        ]
    for what, test, least in tests:
        share = sum(map(test, values)) / len(values)
        if share >= least:
            yield what, share


def _some_values(series: pl.Series) -> list[str]:
    """Different values, evenly from all over the column; of long texts the beginning."""
    unique = series.drop_nulls().unique(maintain_order=True)
    step = max(1, len(unique) // MAX_VALUES)
    return [text[:MAX_CHARACTERS].strip() for text in unique.gather_every(step).cast(pl.String).to_list()]


def _has_account(value: str) -> bool:
    return any(_passes_luhn(match[0]) for match in CARD.finditer(value)) or any(
        _passes_mod_97(match[0]) for match in IBAN.finditer(value)
    )


def _passes_luhn(text: str) -> bool:
    """The checksum of card numbers (ISO/IEC 7812-1)."""
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _passes_mod_97(text: str) -> bool:
    """The checksum of IBANs (ISO 13616)."""
    compact = text.replace(" ", "")
    digits = "".join(str(int(char, 36)) for char in compact[4:] + compact[:4])
    return int(digits) % 97 == 1


def _is_phone(value: str) -> bool:
    if not PHONE.fullmatch(value) or ADDRESS.fullmatch(value):
        return False
    return MIN_PHONE_DIGITS <= sum(char.isdigit() for char in value) <= MAX_PHONE_DIGITS


def _is_ip_address(value: str) -> bool:
    return ADDRESS.fullmatch(value) is not None and all(int(part) < 256 for part in value.split("."))
