from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from rowsmith.conform import Conformer, encode_target
from rowsmith.errors import DataError, RecipeError, SchemaError
from rowsmith.ingestion.infer import infer_schema
from rowsmith.ingestion.sources import read_frame
from rowsmith.schema import Column, Parsing, Schema
from rowsmith.types import JsonObject, Role, Task
from tests.ingestion.tables import people, recipe

ROWS = 60


def column_of(values: Sequence[Any], name: str = "x", **sections: JsonObject) -> Column:
    """The column as a schema has it, beside another feature."""
    frame = pl.DataFrame({name: values, "other": [i % 7 / 2 for i in range(len(values))]}, strict=False)
    schema = infer_schema(frame, recipe(**sections))
    Conformer(schema).frame(frame)
    return schema[name]


def repeated(*values: Any) -> list[Any]:
    return [values[i % len(values)] for i in range(ROWS)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (repeated(1, 2, 5), "integer"),
        (repeated(0, 1), "integer"),
        (repeated(1.5, 2.0), "number"),
        (repeated(1.0, 2.0), "number"),
        (repeated(1.0, 2.0, None), "integer"),
        ([i * 0.37 for i in range(ROWS)], "number"),
        ([float(i) for i in range(ROWS)], "number"),
        (repeated(True, False), "boolean"),
        (repeated("true", "False", ""), "boolean"),
        (repeated("yes", "no"), "category"),
        (repeated(dt.date(2024, 1, 31), dt.date(2024, 2, 1)), "datetime"),
        (repeated("red", "green", "blue"), "category"),
        ([f"level {i % 25}" for i in range(ROWS)], "category"),
        ([f"Mr. Smith the {i}th of Somewhere" for i in range(ROWS)], "text"),
        ([f"{i} words that go on " + "and on " * 20 for i in range(ROWS)], "text"),
        ([str(uuid.UUID(int=i * 7919)) for i in range(ROWS)], "identifier"),
        ([f"user{i}@example.org" for i in range(ROWS)], "identifier"),
        ([f"AB-{i:05d}" for i in range(ROWS)], "identifier"),
        (list(range(1, ROWS + 1)), "identifier"),
        (list(range(ROWS))[::-1], "identifier"),
        (list(range(500, 500 + ROWS)), "identifier"),
        ([i * i for i in range(ROWS)], "integer"),
        (repeated("same"), "constant"),
        (repeated(3), "constant"),
        (repeated(None), "constant"),
        (repeated("", None, " "), "constant"),
        (repeated("only", None), "category"),
        (repeated("0", "1", "2"), "category"),
        (repeated("01067", "80331", "20095"), "category"),
        ([f"{i:016d}" for i in range(10**15, 10**15 + 30)] * 2, "category"),
    ],
)
def test_kinds(values: list[Any], kind: str) -> None:
    assert column_of(values).kind == kind


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("PassengerId", [i * 17 for i in range(ROWS)], "identifier"),
        ("customer_id", [i * 17 % 977 for i in range(ROWS)], "identifier"),
        ("customer_id", [i % 7 for i in range(ROWS)], "integer"),
        ("id", [f"K{chr(65 + i % 26)}{chr(65 + i // 26)}" for i in range(ROWS)], "identifier"),
        ("year", list(range(1900, 1900 + ROWS)), "integer"),
        ("paid", [i * 17 for i in range(ROWS)], "integer"),
        ("order_date", [20240101 + i % 28 for i in range(ROWS)], "datetime"),
        ("weight", [20240101 + i % 28 for i in range(ROWS)], "integer"),
    ],
)
def test_names_say_something_about_kinds(name: str, values: list[Any], kind: str) -> None:
    assert column_of(values, name).kind == kind


@pytest.mark.parametrize(
    ("values", "kind", "parsing", "low", "high"),
    [
        (["29.85", " ", "1840.75", "56.95"], "number", Parsing(), 29.85, 1840.75),
        (["1,234", "56", "7,890,123"], "integer", Parsing(thousands=","), 56, 7890123),
        (["1,234.5", "0.25"], "number", Parsing(thousands=","), 0.25, 1234.5),
        (["3,5", "-0,25", "12"], "number", Parsing(","), -0.25, 12),
        (["1.234,5", "0,25"], "number", Parsing(",", "."), 0.25, 1234.5),
        (["0,500", "1,250"], "number", Parsing(","), 0.5, 1.25),
        (["1 234,5", "17,0"], "number", Parsing(",", " "), 17, 1234.5),
        (["1'234.50", "17.00"], "number", Parsing(".", "'"), 17, 1234.5),
        (["$1,200", "$15.50", "-$3"], "number", Parsing(".", ",", ("$",)), -3, 1200),
        (["12%", "7.5 %"], "number", Parsing(affixes=("%",)), 7.5, 12),
        (["12 €", "7,50 €"], "number", Parsing(",", affixes=("€",)), 7.5, 12),
        (["12.5", "NA", "?", "7"], "number", Parsing(nulls=("?", "NA")), 7, 12.5),
        (["3", "-", "4", "n/a"], "integer", Parsing(nulls=("-", "n/a")), 3, 4),
        (["12.5"] * 40 + ["tbd"] + ["7"], "number", Parsing(nulls=("tbd",)), 7, 12.5),
        (["1e3", "2.5"], "number", Parsing(), 2.5, 1000),
    ],
)
def test_numbers_in_text(values: list[str], kind: str, parsing: Parsing, low: float, high: float) -> None:
    column = column_of(values * (ROWS // len(values) + 1))
    assert (column.kind, column.parsing) == (kind, parsing)
    assert (column.minimum, column.maximum) == (low, high)


@pytest.mark.parametrize(
    "values",
    [
        ["12.5", "7", "about ten"],
        ["555-1234", "555-9876"],
        ["1.2.3", "1.2.4"],
        ["3+", "1", "2"],
        ["12 kg", "7 lb"],
        ["1,5", "2.5", "1,234,5"],
        ["?", "NA"],
    ],
)
def test_texts_that_are_no_numbers(values: list[str]) -> None:
    column = column_of(repeated(*values))
    assert column.kind == "category"
    assert set(column.categories) == set(values)


@pytest.mark.parametrize(
    ("values", "pattern", "first"),
    [
        (["2024-01-31", "2023-12-01"], "iso", "2023-12-01"),
        (["2024-01-31 10:30:00", "2023-12-01 00:00:00"], "iso", "2023-12-01"),
        (["2024-01-31T10:30:00+02:00", "2023-12-01T12:00:00Z"], "iso", "2023-12-01T12:00"),
        (["1/31/2024", "12/1/2023"], "%m/%d/%Y", "2023-12-01"),
        (["31/1/2024", "1/12/2023"], "%d/%m/%Y", "2023-12-01"),
        (["1/31/24", "12/1/23"], "%m/%d/%y", "2023-12-01"),
        (["1/31/2024 0:05:00", "12/1/2023 13:00:00"], "%m/%d/%Y %H:%M:%S", "2023-12-01T13:00"),
        (["1/31/2024 1:05 PM", "12/1/2023 11:00 AM"], "%m/%d/%Y %I:%M %p", "2023-12-01T11:00"),
        (["31.01.2024", "01.12.2023"], "%d.%m.%Y", "2023-12-01"),
        (["31-01-2024", "01-12-2023"], "%d-%m-%Y", "2023-12-01"),
        (["2024/01/31", "2023/12/01"], "%Y/%m/%d", "2023-12-01"),
        (["31 Jan 2024", "1 Dec 2023"], "%d %b %Y", "2023-12-01"),
        (["January 31, 2024", "December 1, 2023"], "%B %d, %Y", "2023-12-01"),
        (["31-Jan-24", "01-Dec-23"], "%d-%b-%y", "2023-12-01"),
        (["2024-01-31", "unknown", "", "2023-12-01"], "iso", "2023-12-01"),
    ],
)
def test_dates_in_text(values: list[str], pattern: str, first: str) -> None:
    column = column_of(repeated(*values))
    assert (column.kind, column.parsing.date_format) == ("datetime", pattern)
    assert column.minimum == dt.datetime.fromisoformat(first).replace(tzinfo=dt.UTC).timestamp()


def test_month_and_day_are_told_by_the_order_of_rows_where_values_do_not_say() -> None:
    days = [dt.date(2024, month, day) for month in range(1, 13) for day in (2, 5, 9, 12)]
    assert column_of([f"{day:%d/%m/%Y}" for day in days]).parsing.date_format == "%d/%m/%Y"
    assert column_of([f"{day:%m/%d/%Y}" for day in days]).parsing.date_format == "%m/%d/%Y"


@pytest.mark.parametrize("values", [["10:30", "11:45"], ["2024-13-45", "2024-01-01"], ["A-1", "B-2"], ["1-2", "3-4"]])
def test_texts_that_are_no_dates(values: list[str]) -> None:
    assert column_of(repeated(*values)).kind == "category"


def test_facts() -> None:
    schema = infer_schema(people(300), recipe("left"))
    age, city = schema["age"], schema["city"]
    assert (age.minimum, age.maximum, age.missing, age.stored) == (18, 79, 0, "Int64")
    assert city.level_count == 3 and city.typical == city.categories[0]
    gaps = column_of(["b", "a", None, "a", "", "c"] * 10)
    assert gaps.categories == ("a", "b", "c")
    assert gaps.missing == pytest.approx(1 / 3)
    assert gaps.is_optional
    assert column_of([1.0, None, float("inf"), 3.5] * 9).maximum == 3.5
    assert column_of(repeated(1, 2, 3, 4)).typical == 2


def test_texts_of_one_row_are_no_example() -> None:
    texts = [f"my name is John Doe number {i}" for i in range(ROWS)]
    assert column_of(texts).typical is None
    assert column_of([*texts, texts[0]]).typical == texts[0]


def test_a_counter_that_is_all_there_is_stays_a_feature() -> None:
    frame = pl.DataFrame({"x": range(ROWS), "y": [i % 2 for i in range(ROWS)]})
    assert infer_schema(frame, recipe("y"))["x"].kind == "integer"


def test_kinds_can_be_told() -> None:
    kinds = {"flight": "category", "code": "integer", "day": "datetime"}
    frame = pl.DataFrame(
        {
            "flight": [i % 50 for i in range(100)],
            "code": ["01", "02"] * 50,
            "day": [20240131, 20240201] * 50,
        }
    )
    schema = infer_schema(frame, recipe(columns={"kinds": kinds}))
    assert {column.name: column.kind.value for column in schema} == kinds
    assert schema["flight"].categories[:2] == ("0", "1")
    assert schema["code"].maximum == 2
    assert schema["day"].typical == "2024-01-31"


def test_values_that_are_not_of_the_kind_that_was_told_are_named() -> None:
    with pytest.raises(SchemaError, match="row 2") as caught:
        column_of(["1", "2", "three", "4"] * 9, columns={"kinds": {"x": "number"}})
    assert caught.value.faults[0].column == "x"


# -- roles ---------------------------------------------------------------------------------------------------------


def test_roles() -> None:
    frame = people().with_columns(pl.arange(0, 200).alias("when"), (pl.col("hours") / 2).abs().alias("w"))
    sections: JsonObject = {"time": "when", "weight": "w", "group": "city", "sensitive": ["age"], "ignore": ["age"]}
    schema = infer_schema(frame, recipe("left", columns=sections))
    assert schema["when"].roles == (Role.TIME,) and schema["when"].kind == "integer"
    assert schema["age"].roles == (Role.IGNORED, Role.SENSITIVE)
    assert [column.name for column in schema.features] == ["hours", "joined", "when"]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"target": {"column": "lefft"}}, r'no column "lefft".*Names like it: left'),
        ({"target": {"column": "zzz"}}, "Allowed: age, hours, city, joined, left"),
        ({"columns": {"ignore": ["Age"]}}, "columns.ignore.*Names like it: age"),
        ({"columns": {"kinds": {"towm": "text"}}}, 'no column "towm"'),
        ({"target": {"column": "left"}, "columns": {"ignore": ["left"]}}, "is the target"),
        ({"columns": {"time": "city"}}, "not of dates or numbers"),
        ({"columns": {"weight": "city"}}, "not of numbers"),
        (
            {"target": {"column": "left"}, "columns": {"ignore": ["age", "hours", "city", "joined"]}},
            "no column to learn",
        ),
    ],
)
def test_recipes_that_do_not_fit_the_table(sections: dict[str, JsonObject], message: str) -> None:
    target = sections.pop("target", {}).get("column")
    with pytest.raises(RecipeError, match=message):
        infer_schema(people(), recipe(target, **sections))


def test_negative_weights_are_refused() -> None:
    frame = people().with_columns(pl.lit(-1.0).alias("w") * pl.col("age"))
    with pytest.raises(RecipeError, match="below 0"):
        infer_schema(frame, recipe("left", columns={"weight": "w"}))


# -- target --------------------------------------------------------------------------------------------------------


def with_target(values: Sequence[Any], **target: Any) -> Schema:
    frame = pl.DataFrame({"x": [i % 7 / 2 for i in range(len(values))], "y": values}, strict=False)
    schema = infer_schema(frame, recipe("y", target=target))
    if frame["y"].null_count() == 0:
        encode_target(frame["y"], schema)
    return schema


@pytest.mark.parametrize(
    ("values", "task", "labels"),
    [
        (repeated("no", "no", "yes"), Task.BINARY, ("no", "yes")),
        (repeated("no", "yes", "yes"), Task.BINARY, ("yes", "no")),
        (repeated("no", "yes"), Task.BINARY, ("no", "yes")),
        (repeated(True, False, False), Task.BINARY, ("false", "true")),
        (repeated(0, 1), Task.BINARY, ("0", "1")),
        (repeated(1, 2, 2), Task.BINARY, ("2", "1")),
        (repeated(-1.0, 1.0), Task.BINARY, ("-1", "1")),
        (repeated("-1", "1", None), Task.BINARY, ("-1", "1")),
        (repeated("b", "a", "c"), Task.MULTICLASS, ("a", "b", "c")),
        (repeated(10, 9, 2), Task.MULTICLASS, ("2", "9", "10")),
        (repeated("10", "9", "2"), Task.MULTICLASS, ("2", "9", "10")),
        (repeated(0.5, 1.0, 1.5), Task.REGRESSION, ()),
        ([i % 30 for i in range(ROWS)], Task.REGRESSION, ()),
        ([i / 10 for i in range(ROWS)], Task.REGRESSION, ()),
        ([f"${i},{i:03d}" for i in range(1, ROWS)], Task.REGRESSION, ()),
        (list(range(ROWS)), Task.REGRESSION, ()),
    ],
)
def test_task_and_labels(values: list[Any], task: Task, labels: tuple[str, ...]) -> None:
    schema = with_target(values)
    assert (schema.task, schema.labels) == (task, labels)
    assert schema.target is not None and schema.target.roles == (Role.TARGET,)


def test_task_and_event_can_be_told() -> None:
    assert with_target(repeated("a", "b", "b"), positive="b").labels == ("a", "b")
    assert with_target(repeated(1, 2, 3), task="regression").labels == ()
    assert with_target(repeated("1", "2", "3"), task="regression").task is Task.REGRESSION
    assert with_target(repeated("a", "b"), task="multiclass").labels == ("a", "b")
    assert with_target([f"t{i}" for i in range(ROWS)], task="multiclass").task is Task.MULTICLASS


@pytest.mark.parametrize(
    ("values", "target", "error", "message"),
    [
        (repeated("a"), {}, DataError, "the same value in every row"),
        (repeated(1.5), {"task": "regression"}, DataError, "the same value"),
        (repeated(None), {}, DataError, "no value in any row"),
        (repeated("", " "), {}, DataError, "no value in any row"),
        (repeated("a", "b", "c"), {"task": "binary"}, RecipeError, "3 different values.*Received a, b, c"),
        (repeated("a", "b"), {"positive": "c"}, RecipeError, 'no label "c".*Allowed: a, b'),
        (repeated("a", "b", "c"), {"positive": "c"}, RecipeError, "only a binary target"),
        (repeated(1.5, 2.5, 3.5), {"positive": "c"}, RecipeError, "only a binary target"),
        (repeated("1", "2", "x"), {"task": "regression"}, SchemaError, "first: 2"),
        ([f"word {i}" for i in range(ROWS)], {}, DataError, "free text or an identifier"),
        ([dt.date(2024, 1, 1) + dt.timedelta(i) for i in range(ROWS)], {}, DataError, "dates"),
    ],
)
def test_targets_that_cannot_be_learnt(
    values: list[Any], target: JsonObject, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        with_target(values, **target)


def test_without_a_target_there_is_no_task() -> None:
    schema = infer_schema(people(), recipe())
    assert (schema.task, schema.labels, schema.target) == (None, (), None)


def test_policies_come_from_the_recipe() -> None:
    assert infer_schema(people(), recipe(policies={"unseen_category": "error"})).policies.unseen_category == "error"


@pytest.mark.parametrize("value", ["1" * 50_000 + "x", "1-" * 30_000, "a" * 100_000, "1 " * 30_000])
def test_long_texts_take_no_time(value: str) -> None:
    """Patterns that go back and forth over such texts would take hours."""
    assert column_of([f"{value}{i}" for i in range(ROWS)]).kind in ("text", "category", "identifier")


def test_a_number_of_many_values_is_a_regression_whichever_rows_are_looked_at() -> None:
    values = [0.5] * 30_000 + [i / 8 for i in range(30)]
    schema = infer_schema(pl.DataFrame({"x": range(len(values)), "y": values}), recipe("y"))
    assert schema.task is Task.REGRESSION and schema.labels == ()
    with pytest.raises(RecipeError, match="positive label"):
        infer_schema(pl.DataFrame({"x": [0.5, 1] * 30, "y": range(60)}), recipe("y", target={"positive": "1"}))


def test_no_column_is_copied_to_be_looked_at() -> None:
    frame = pl.DataFrame({"x": [0.5, 1.5], "y": [True, False]})
    assert read_frame(frame)["x"].to_numpy().ctypes.data == frame["x"].to_numpy().ctypes.data
