"""Forms from schemas, and rows from forms."""

from __future__ import annotations

from typing import Any

import pytest

from rowsmith.schema import Column, Parsing, Policies, Schema
from rowsmith.serving.examples import example_row, example_value
from rowsmith.serving.pages.forms import control_name, fields_of, row_of, typical_values
from rowsmith.types import ColumnKind
from tests.serving.models import loans, schema_of


@pytest.fixture
def schema() -> Schema:
    return schema_of(loans(50), "default", Policies())


def test_each_kind_has_its_control(schema: Schema) -> None:
    fields = {field.label: field for field in fields_of(schema, typical_values(schema), {}, [])}
    assert {name: field.widget for name, field in fields.items()} == {
        "income": "number",
        "age": "number",
        "purpose": "choice",
        "city": "suggest",
        "owner": "boolean",
        "opened": "date",
        'remark <b>"&': "text",
    }
    assert fields["income"].optional and not fields["age"].optional
    assert fields["purpose"].options == ("car", "home", "school", "travel")
    assert fields["age"].hint == "21 to 79 in training"
    assert fields["opened"].value == "2024-12-16"
    assert len({field.id for field in fields.values()}) == 7


def test_important_columns_come_first_and_the_rest_keeps_its_order(schema: Schema) -> None:
    labels = [field.label for field in fields_of(schema, {}, {}, ["purpose", "gone", "age"])]
    assert labels[:4] == ["purpose", "age", "income", "city"]


def test_an_untouched_form_is_the_example_row(schema: Schema) -> None:
    assert row_of(schema, typical_values(schema)) == example_row(schema)


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        (Column("x", ColumnKind.NUMBER), "41", 41),
        (Column("x", ColumnKind.NUMBER), " 4.5e3 ", 4500.0),
        (Column("x", ColumnKind.NUMBER), "many", "many"),
        (Column("x", ColumnKind.NUMBER), "", None),
        (Column("x", ColumnKind.NUMBER), "   ", None),
        (Column("x", ColumnKind.INTEGER), "41.5", 41.5),
        (Column("x", ColumnKind.BOOLEAN), "true", True),
        (Column("x", ColumnKind.BOOLEAN), "maybe", "maybe"),
        (Column("x", ColumnKind.CATEGORY), "007", "007"),
        (Column("x", ColumnKind.TEXT), "two\r\nlines", "two\r\nlines"),
        (Column("x", ColumnKind.DATETIME), "2024-01-31T10:20", "2024-01-31T10:20"),
        (Column("x", ColumnKind.DATETIME, parsing=Parsing(date_format="%d.%m.%Y")), "2024-01-31", "31.01.2024"),
        (Column("x", ColumnKind.DATETIME, parsing=Parsing(date_format="%Y%m%d")), "2024-01-31", "20240131"),
        (Column("x", ColumnKind.DATETIME, parsing=Parsing(date_format="%Y%m%d")), "soon", "soon"),
    ],
)
def test_a_control_becomes_the_value_that_json_would_carry(column: Column, text: str, expected: Any) -> None:
    assert row_of(Schema((column,)), {control_name("x"): text}) == {"x": expected}


@pytest.mark.parametrize("text", ["9" * 5000, "1e400", "nan", "-inf", "1_000"])
def test_what_json_has_no_number_for_stays_text(text: str) -> None:
    schema = Schema((Column("x", ColumnKind.NUMBER),))
    assert row_of(schema, {control_name("x"): text}) == {"x": text}


def test_names_survive_what_browsers_do_to_them() -> None:
    name = 'total\nsales = 1&2 "é"'
    schema = Schema((Column(name, ColumnKind.NUMBER),))
    assert "\n" not in control_name(name)
    assert row_of(schema, {control_name(name): "1"}) == {name: 1}


def test_a_column_that_the_form_does_not_have_is_left_out(schema: Schema) -> None:
    assert row_of(schema, {control_name("age"): "41"}) == {"age": 41}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Column("x", ColumnKind.NUMBER, typical=2.5), 2.5),
        (Column("x", ColumnKind.NUMBER, typical=3.0), 3),
        (Column("x", ColumnKind.NUMBER, typical=-0.038081839302777976), -0.0380818),
        (Column("x", ColumnKind.INTEGER, typical=123456789.0), 123456789),
        (Column("x", ColumnKind.INTEGER, minimum=2.0), 2),
        (Column("x", ColumnKind.NUMBER), None),
        (Column("x", ColumnKind.BOOLEAN, typical=False), False),
        (Column("x", ColumnKind.BOOLEAN, typical="false"), False),
        (Column("x", ColumnKind.CATEGORY, categories=("b", "a"), level_count=2), "b"),
        (Column("x", ColumnKind.DATETIME, minimum=86400.0), "1970-01-02"),
        (Column("x", ColumnKind.DATETIME, typical=86461.0), "1970-01-02T00:01:01"),
        (Column("x", ColumnKind.TEXT), None),
    ],
)
def test_examples(column: Column, expected: Any) -> None:
    assert example_value(column) == expected
    assert type(example_value(column)) is type(expected)
