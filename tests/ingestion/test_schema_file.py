from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.errors import RecipeError
from rowsmith.ingestion.infer import infer_schema
from rowsmith.ingestion.schema_file import read_schema, to_toml, write_schema
from rowsmith.schema import Column, Parsing, Policies, Schema
from rowsmith.types import ColumnKind, Role, Task
from tests.ingestion.tables import people, recipe

NAMES = st.text(st.characters(codec="utf-8"), max_size=12)
NUMBERS = st.floats(allow_nan=False)
COLUMNS = st.builds(
    Column,
    name=NAMES,
    kind=st.sampled_from(ColumnKind),
    roles=st.lists(st.sampled_from(Role), unique=True, max_size=2).map(tuple),
    missing=st.floats(0, 1),
    categories=st.lists(NAMES, max_size=4).map(tuple),
    level_count=st.integers(0, 10**9),
    minimum=st.none() | NUMBERS,
    maximum=st.none() | NUMBERS,
    typical=st.none() | NAMES | NUMBERS | st.booleans(),
    stored=NAMES,
    parsing=st.builds(
        Parsing,
        decimal=st.sampled_from([".", ","]),
        thousands=NAMES,
        affixes=st.lists(NAMES, max_size=2).map(tuple),
        date_format=NAMES,
        nulls=st.lists(NAMES, max_size=3).map(tuple),
    ),
)
SCHEMAS = st.builds(
    Schema,
    columns=st.lists(COLUMNS, min_size=1, max_size=4, unique_by=lambda column: column.name).map(tuple),
    task=st.none() | st.sampled_from(Task),
    labels=st.lists(NAMES, max_size=3).map(tuple),
    policies=st.builds(Policies, missing_value=st.sampled_from(["error", "warn", "accept"])),
)


@settings(max_examples=80, deadline=None)
@given(SCHEMAS)
def test_what_is_written_is_read_back_exactly(tmp_path_factory: pytest.TempPathFactory, schema: Schema) -> None:
    path = tmp_path_factory.mktemp("schema") / "schema.toml"
    write_schema(schema, path)
    assert read_schema(path) == schema


def test_an_inferred_schema_is_written_for_people(tmp_path: Path) -> None:
    schema = infer_schema(people(), recipe("left"))
    text = to_toml(schema)
    assert text == to_toml(schema)
    assert tomllib.loads(text)["column"][0]["name"] == "age"
    assert 'name = "joined"\nkind = "datetime"\nparsing = { date_format = "%d.%m.%Y" }\n' in text
    assert "# kind:  number, integer, boolean" in text
    path = tmp_path / "schema.toml"
    path.write_text(text, encoding="utf-8")
    assert read_schema(path) == schema


GOOD = '[[column]]\nname = "a"\nkind = "number"\n'


def test_a_person_may_write_little(tmp_path: Path) -> None:
    path = tmp_path / "schema.toml"
    path.write_text(GOOD + "minimum = 1\n")
    column = read_schema(path)["a"]
    assert (column.kind, column.minimum, column.parsing) == (ColumnKind.NUMBER, 1, Parsing())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind = ", "not a TOML file"),
        ("", "no \\[\\[column\\]\\]"),
        ("column = 3", "no \\[\\[column\\]\\]"),
        ("columns = []\n" + GOOD, 'no key "columns"'),
        ('[[column]]\nkind = "number"\n', "number 1: a column has no name"),
        ('[[column]]\nname = "a"\n', 'column "a": the column has no kind'),
        ('[[column]]\nname = "a"\nkind = "float"\n', "column \"a\", kind.*Received 'float'.*Allowed: number, integer"),
        (GOOD + 'roles = ["traget"]\n', 'column "a", roles.*Allowed: target'),
        (GOOD + 'roles = "target"\n', "roles is of another type"),
        (GOOD + 'role = "target"\n', 'no key "role"'),
        (GOOD + 'minimum = "low"\n', "minimum is of another type"),
        (GOOD + "missing = true\n", "missing is of another type"),
        (GOOD + "categories = [1]\n", "these are texts"),
        (GOOD + "typical = [1]\n", "typical"),
        (GOOD + 'parsing = "iso"\n', "parsing"),
        (GOOD + 'parsing = { decimal = ";" }\n', r"parsing\.decimal"),
        (GOOD + "parsing = { nulls = [1] }\n", r"parsing\.nulls"),
        (GOOD + 'parsing = { format = "iso" }\n', 'no key "format".*date_format'),
        (GOOD + GOOD, "two columns have this name"),
        ('task = "guess"\n' + GOOD, "task.*Allowed: binary, multiclass, regression"),
        ("labels = [0, 1]\n" + GOOD, "labels are texts"),
        ('[policies]\nmissing_value = "no"\n' + GOOD, "missing_value.*Allowed: error, warn, accept"),
        ('[policies]\nmissing = "warn"\n' + GOOD, 'no key "missing".*missing_column'),
    ],
)
def test_bad_edits_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "schema.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        read_schema(path)
    assert "schema.toml" in caught.value.where


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        read_schema(tmp_path / "schema.toml")
