from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from rowsmith.conform import canonical_text, parse_boolean, parse_datetime, parse_number
from rowsmith.conform.parsing import converter
from rowsmith.schema import Parsing
from rowsmith.types import ColumnKind

GERMAN = Parsing(decimal=",", thousands=".")
ENGLISH = Parsing(thousands=",")
DOLLARS = Parsing(thousands=",", affixes=("$",))
PLAIN = Parsing(nulls=("NA", "?"))


@pytest.mark.parametrize(
    ("text", "parsing", "number"),
    [
        ("29.85", PLAIN, 29.85),
        ("  7 ", PLAIN, 7.0),
        ("-1e-3", PLAIN, -0.001),
        ("+5", PLAIN, 5.0),
        ("1,234", ENGLISH, 1234.0),
        ("-1,234,567.5", ENGLISH, -1234567.5),
        ("12,34,567", ENGLISH, 1234567.0),
        ("999", ENGLISH, 999.0),
        ("1.234,56", GERMAN, 1234.56),
        ("0,5", Parsing(decimal=","), 0.5),
        ("1 234", Parsing(thousands=" "), 1234.0),
        ("1'234.5", Parsing(thousands="'"), 1234.5),
        ("$1,200", DOLLARS, 1200.0),
        ("-$5", DOLLARS, -5.0),
        ("$-5", DOLLARS, -5.0),
        ("- $ 5.5", DOLLARS, -5.5),
        ("12 %", Parsing(affixes=("%",)), 12.0),
        ("5", DOLLARS, 5.0),
        ("inf", PLAIN, math.inf),
        ("-1e999", PLAIN, -math.inf),
        ("", PLAIN, None),
        (" \t", PLAIN, None),
        (" NA ", PLAIN, None),
        ("?", PLAIN, None),
        ("nan", PLAIN, None),
    ],
)
def test_parse_number(text: str, parsing: Parsing, number: float | None) -> None:
    assert parse_number(text, parsing) == number


@pytest.mark.parametrize(
    ("text", "parsing"),
    [
        ("abc", PLAIN),
        ("1_000", PLAIN),
        ("1,234", PLAIN),
        ("na", PLAIN),
        ("1,5", ENGLISH),
        ("1,2345", ENGLISH),
        (",234", ENGLISH),
        ("1234,567", ENGLISH),
        ("1.5", GERMAN),
        ("3.5", Parsing(decimal=",")),
        ("1.234.567", PLAIN),
        ("0x10", PLAIN),
        ("12 %", PLAIN),
        ("1$2", DOLLARS),
        ("$", DOLLARS),
        ("1.5,000", ENGLISH),
    ],
)
def test_parse_number_refuses_rather_than_guesses(text: str, parsing: Parsing) -> None:
    with pytest.raises(ValueError):
        parse_number(text, parsing)


AMERICAN = Parsing(date_format="%m/%d/%Y")


@pytest.mark.parametrize(
    ("text", "parsing", "moment"),
    [
        ("2024-01-31", PLAIN, datetime(2024, 1, 31)),
        ("2024-01-31T12:30:00Z", PLAIN, datetime(2024, 1, 31, 12, 30)),
        ("2024-01-31 01:00:00.25+02:00", Parsing(date_format="iso"), datetime(2024, 1, 30, 23, 0, 0, 250_000)),
        ("9/30/1990", AMERICAN, datetime(1990, 9, 30)),
        ("1990-09-30", AMERICAN, datetime(1990, 9, 30)),
        ("20240131", Parsing(date_format="%Y%m%d"), datetime(2024, 1, 31)),
        ("NA", PLAIN, None),
        ("", AMERICAN, None),
    ],
)
def test_parse_datetime(text: str, parsing: Parsing, moment: datetime | None) -> None:
    assert parse_datetime(text, parsing) == moment


@pytest.mark.parametrize(
    ("text", "parsing"),
    [
        ("30/9/1990", AMERICAN),
        ("2024-13-01", PLAIN),
        ("2024-02-30", PLAIN),
        ("soon", PLAIN),
        # Day and month must not be swapped silently.
        ("2024-12-01", Parsing(date_format="%Y/%d/%m")),
        ("0001-01-01T00:00:00+02:00", PLAIN),
    ],
)
def test_parse_datetime_refuses(text: str, parsing: Parsing) -> None:
    with pytest.raises(ValueError):
        parse_datetime(text, parsing)


@pytest.mark.parametrize(("text", "value"), [("Yes", True), ("f", False), ("TRUE", True), ("0", False), ("NA", None)])
def test_parse_boolean(text: str, value: bool | None) -> None:
    assert parse_boolean(text, PLAIN) is value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  Köln ", "Köln"),
        (3, "3"),
        (3.0, "3"),
        (-0.0, "0"),
        (3.5, "3.5"),
        (1e300, "1e+300"),
        (10**20, "100000000000000000000"),
        (math.inf, "inf"),
        (True, "true"),
        (np.bool_(False), "false"),
        (np.int8(7), "7"),
        (np.float32(0.5), "0.5"),
        (np.datetime64("2024-01-31"), "2024-01-31"),
        (Decimal("3.00"), "3"),
        (Decimal("3.50"), "3.5"),
        (Decimal("12345678901234567890"), "12345678901234567890"),
        (date(2024, 1, 31), "2024-01-31"),
        (datetime(2024, 1, 31), "2024-01-31"),
        (datetime(2024, 1, 31, 1, tzinfo=timezone(timedelta(hours=1))), "2024-01-31"),
        (datetime(2024, 1, 31, 12, 5), "2024-01-31T12:05:00"),
        (time(12, 5), "12:05:00"),
        (timedelta(minutes=1), "60"),
        (b"x ", "x"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_canonical_text(value: Any, text: str) -> None:
    assert canonical_text(value) == text


@pytest.mark.parametrize("value", [[1], {"a": 1}, ("a",), object(), "\ud800", b"\xff"])
def test_canonical_text_refuses_what_is_not_one_value(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical_text(value)


@pytest.mark.parametrize("kind", [ColumnKind.NUMBER, ColumnKind.BOOLEAN, ColumnKind.DATETIME, ColumnKind.CATEGORY])
@pytest.mark.parametrize(
    "missing", [None, float("nan"), np.float32("nan"), np.datetime64("NaT"), pd.NaT, pd.NA, Decimal("NaN"), "", " NA"]
)
def test_every_missing_value_is_none(kind: ColumnKind, missing: Any) -> None:
    assert converter(kind, PLAIN)(missing) is None


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (ColumnKind.NUMBER, True, 1.0),
        (ColumnKind.INTEGER, 3.5, 3.5),
        (ColumnKind.NUMBER, np.uint64(2**64 - 1), float(2**64 - 1)),
        (ColumnKind.NUMBER, 10**400, math.inf),
        (ColumnKind.NUMBER, Decimal("0.1"), 0.1),
        (ColumnKind.NUMBER, timedelta(seconds=90), 90.0),
        (ColumnKind.NUMBER, time(1, 0, 1), 3601.0),
        (ColumnKind.BOOLEAN, 1.0, True),
        (ColumnKind.BOOLEAN, 0, False),
        (ColumnKind.DATETIME, date(2024, 1, 31), datetime(2024, 1, 31)),
        (ColumnKind.DATETIME, datetime(2024, 1, 31, tzinfo=UTC), datetime(2024, 1, 31)),
        (ColumnKind.DATETIME, pd.Timestamp("2024-01-31 00:00:00.000001999"), datetime(2024, 1, 31, 0, 0, 0, 1)),
        (ColumnKind.CATEGORY, 3.0, "3"),
        (ColumnKind.TEXT, 3.25, "3.25"),
    ],
)
def test_native_values_are_converted(kind: ColumnKind, value: Any, result: Any) -> None:
    converted = converter(kind, PLAIN)(value)
    assert converted == result and type(converted) is type(result)


def test_a_number_is_a_date_only_by_the_format_of_its_column() -> None:
    assert converter(ColumnKind.DATETIME, Parsing(date_format="%Y%m%d"))(20240131) == datetime(2024, 1, 31)
    with pytest.raises(ValueError):
        converter(ColumnKind.DATETIME, PLAIN)(20240131)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ColumnKind.NUMBER, [1]),
        (ColumnKind.NUMBER, date(2024, 1, 1)),
        (ColumnKind.NUMBER, b"1"),
        (ColumnKind.BOOLEAN, 2),
        (ColumnKind.BOOLEAN, "maybe"),
        (ColumnKind.DATETIME, True),
        (ColumnKind.DATETIME, time(1)),
    ],
)
def test_values_of_another_kind_are_refused(kind: ColumnKind, value: Any) -> None:
    with pytest.raises(ValueError):
        converter(kind, PLAIN)(value)
