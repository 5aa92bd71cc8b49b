from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_series_equal

from rowsmith.conform import Conformer, frame_of_rows
from rowsmith.errors import Fault, SchemaError
from rowsmith.schema import Column, Parsing, Policies, Schema
from rowsmith.types import ColumnKind, Role

SCHEMA = Schema(
    (
        Column("age", ColumnKind.INTEGER, minimum=17, maximum=90),
        Column("fare", ColumnKind.NUMBER, missing=0.2, parsing=Parsing(thousands=",", nulls=("NA",))),
        Column("member", ColumnKind.BOOLEAN),
        Column("job", ColumnKind.CATEGORY, categories=("cook", "nurse"), level_count=2),
        Column("town", ColumnKind.CATEGORY, missing=0.1, categories=("Bonn",), level_count=5000),
        Column("remark", ColumnKind.TEXT, missing=0.1),
        Column("hired", ColumnKind.DATETIME, minimum=0.0, maximum=1.7e9),
        Column("id", ColumnKind.IDENTIFIER),
        Column("note", ColumnKind.TEXT, roles=(Role.IGNORED,)),
        Column("income", ColumnKind.NUMBER, roles=(Role.TARGET,)),
    )
)
GOOD: dict[str, Any] = {
    "age": 41,
    "fare": "1,250.50",
    "member": True,
    "job": "cook",
    "town": "Ulm ",
    "remark": " likes  tea ",
    "hired": "2020-02-29",
}
CONFORMING = {
    "age": 41.0,
    "fare": 1250.5,
    "member": True,
    "job": "cook",
    "town": "Ulm",
    "remark": "likes  tea",
    "hired": datetime(2020, 2, 29),
}


def frame_of(*rows: dict[str, Any]) -> pl.DataFrame:
    return frame_of_rows(rows)


def conformer(**policies: Any) -> Conformer:
    return Conformer(replace(SCHEMA, policies=Policies(**policies)))


def refused(act: Callable[[], object]) -> tuple[Fault, ...]:
    with pytest.raises(SchemaError) as caught:
        act()
    return caught.value.faults


def test_a_row_and_a_frame_come_out_the_same() -> None:
    row = conformer().row(GOOD)
    frame = conformer().frame(frame_of(GOOD))
    assert row.row == CONFORMING and list(row.row) == list(CONFORMING)
    assert frame.frame.row(0, named=True) == CONFORMING
    assert row.warnings == frame.warnings == ()
    dtypes = [pl.Float64, pl.Float64, pl.Boolean, pl.String, pl.String, pl.String, pl.Datetime("us")]
    assert frame.frame.dtypes == dtypes


def test_columns_that_are_no_features_are_dropped_in_silence() -> None:
    row = GOOD | {"id": "x", "note": 5, "income": "much"}
    assert conformer(unknown_column="error").row(row).row == CONFORMING
    assert conformer(unknown_column="error").frame(frame_of(row)).frame.columns == list(CONFORMING)


def test_a_column_that_may_be_missing_may_be_left_out() -> None:
    row = {name: value for name, value in GOOD.items() if name not in ("fare", "town", "remark")}
    assert conformer(missing_column="error").row(row).row["fare"] is None
    frame = conformer(missing_column="error").frame(frame_of(row, row)).frame
    assert frame["fare"].to_list() == [None, None] and frame["fare"].dtype == pl.Float64


@pytest.mark.parametrize(
    ("change", "code", "received", "words"),
    [
        ({"age": "abc"}, "wrong_type", '"abc"', "read as a number"),
        ({"age": 91.0}, "out_of_range", "91.0", "outside the range"),
        ({"age": "5"}, "out_of_range", '"5"', "outside the range"),
        ({"age": float("inf")}, "out_of_range", "inf", "outside the range"),
        ({"age": None}, "missing_value", "", "no value"),
        ({"age": float("nan")}, "missing_value", "", "no value"),
        ({"fare": "1,25"}, "wrong_type", '"1,25"', "read as a number"),
        ({"member": 2}, "wrong_type", "2", "true or false"),
        ({"job": "Cook"}, "unseen_category", '"Cook"', "did not see"),
        ({"hired": "x" * 500}, "wrong_type", "x" * 40, "a date"),
        ({"hired": "1950-01-01"}, "out_of_range", "1950", "outside the range"),
    ],
)
@pytest.mark.parametrize("policy", ["error", "warn", "accept"])
def test_each_fault_follows_its_policy_in_rows_and_frames(
    change: dict[str, Any], code: str, received: str, words: str, policy: str
) -> None:
    (column,) = change
    subject = conformer(**{code: policy})
    row = GOOD | change
    if policy == "error":
        (of_row,) = refused(lambda: subject.row(row))
        (of_frame,) = refused(lambda: subject.frame(frame_of(GOOD, row)))
        assert of_frame.row == 1
    else:
        conforming = subject.row(row)
        frame = subject.frame(frame_of(GOOD, row))
        assert frame.frame.row(1, named=True) == conforming.row
        if policy == "accept":
            assert conforming.warnings == frame.warnings == ()
            return
        (of_row,), (of_frame,) = conforming.warnings, frame.warnings
    assert of_row == replace(of_frame, row=None)
    assert (of_row.code, of_row.column) == (code, column)
    assert received in of_row.received and len(of_row.received) <= 60
    assert words in of_row.message and f'"{column}"' in of_row.message
    assert of_row.allowed


def test_a_missing_column_is_named_with_the_one_that_looks_like_it() -> None:
    row = {("Age" if name == "age" else name): value for name, value in GOOD.items()}
    subject = conformer(unknown_column="warn")
    for act in (lambda: subject.row(row), lambda: subject.frame(frame_of(row))):
        (fault,) = refused(act)
        assert fault.code == "missing_column" and '"Age" looks like it' in fault.message
    lenient = conformer(missing_column="accept", unknown_column="warn").row(row)
    (warning,) = lenient.warnings
    assert warning.code == "unknown_column" and '"age" looks like it' in warning.message
    assert lenient.row["age"] is None


def test_an_error_lists_every_fault_of_a_row() -> None:
    faults = refused(lambda: conformer().row({"age": "old", "member": "?", "job": "cook"}))
    assert [(fault.code, fault.column) for fault in faults] == [
        ("missing_column", "hired"),
        ("wrong_type", "age"),
        ("wrong_type", "member"),
    ]


def test_a_million_bad_rows_do_not_make_a_million_faults() -> None:
    rows = 1_000_000
    frame = pl.select(pl.repeat("abc", rows).alias("age"), pl.repeat("x", rows).alias("member")).with_columns(
        **{name: pl.lit(value) for name, value in GOOD.items() if name not in ("age", "member")}
    )
    faults = refused(lambda: conformer().frame(frame))
    assert 2 < len(faults) <= 101
    assert "1000000 rows" in faults[-1].message
    assert [fault.row for fault in faults[:3]] == [0, 1, 2]
    (age, member) = conformer(wrong_type="warn").frame(frame).warnings
    assert "1000000 rows" in age.message and age.row is None and member.column == "member"


def test_the_list_of_faults_ends_when_many_columns_are_bad() -> None:
    schema = Schema(tuple(Column(f"n{i}", ColumnKind.NUMBER) for i in range(30)))
    faults = refused(lambda: Conformer(schema).frame(pl.DataFrame({f"n{i}": ["x"] * 50 for i in range(30)})))
    assert len(faults) == 101
    assert "more faults" in faults[-1].message and "n29" in faults[-1].message


DAY = datetime(2020, 1, 2)


@pytest.mark.parametrize(
    ("kind", "series", "expected"),
    [
        *(
            (ColumnKind.NUMBER, pl.Series([1, None, 3], dtype=dtype), [1.0, None, 3.0])
            for dtype in (pl.Int8, pl.UInt16, pl.Int64, pl.UInt64, pl.Int128, pl.Float32, pl.Decimal(10, 2))
        ),
        (ColumnKind.NUMBER, pl.Series([0.5, float("nan"), float("-inf")]), [0.5, None, float("-inf")]),
        (ColumnKind.NUMBER, pl.Series([True, None, False]), [1.0, None, 0.0]),
        (ColumnKind.NUMBER, pl.Series(["1", " ", "2.5"], dtype=pl.Categorical), [1.0, None, 2.5]),
        (ColumnKind.NUMBER, pl.Series([None, None, None], dtype=pl.Null), [None, None, None]),
        (ColumnKind.NUMBER, pl.Series([timedelta(1), None, timedelta(0)]), [86400.0, None, 0.0]),
        (ColumnKind.NUMBER, pl.Series([time(1), None, time(0)]), [3600.0, None, 0.0]),
        (ColumnKind.NUMBER, pl.Series([1, None, "2"], dtype=pl.Object), [1.0, None, 2.0]),
        (ColumnKind.BOOLEAN, pl.Series([1, 0, None]), [True, False, None]),
        (ColumnKind.BOOLEAN, pl.Series(["Yes", "no", ""]), [True, False, None]),
        (ColumnKind.CATEGORY, pl.Series([1.0, 2.5, float("nan")]), ["1", "2.5", None]),
        (ColumnKind.CATEGORY, pl.Series([True, False, None]), ["true", "false", None]),
        (ColumnKind.CATEGORY, pl.Series(["a", None, "b"], dtype=pl.Enum(["a", "b"])), ["a", None, "b"]),
        (ColumnKind.CATEGORY, pl.Series([Decimal("1.00"), Decimal("2.50"), None]), ["1", "2.5", None]),
        (ColumnKind.CATEGORY, pl.Series([date(2020, 1, 2), None, None]), ["2020-01-02", None, None]),
        (ColumnKind.TEXT, pl.Series([b"a", b"b ", None]), ["a", "b", None]),
        (ColumnKind.DATETIME, pl.Series([date(2020, 1, 2), None, None]), [DAY, None, None]),
        *(
            (ColumnKind.DATETIME, pl.Series([DAY, None, DAY], dtype=pl.Datetime(unit)), [DAY, None, DAY])
            for unit in ("ms", "us", "ns")
        ),
        (
            ColumnKind.DATETIME,
            pl.Series([DAY, None, DAY]).dt.replace_time_zone("Asia/Tokyo"),
            [datetime(2020, 1, 1, 15), None, datetime(2020, 1, 1, 15)],
        ),
        (ColumnKind.DATETIME, pl.Series(["2020-01-02", "2020-01-02T00:00Z", ""]), [DAY, DAY, None]),
    ],
)
def test_every_input_type_of_a_frame(kind: ColumnKind, series: pl.Series, expected: list[Any]) -> None:
    schema = Schema((Column("x", kind, missing=0.5),))
    result = Conformer(schema).frame(series.alias("x").to_frame())
    assert result.frame["x"].to_list() == expected
    assert result.warnings == ()
    rows = [Conformer(schema).row({"x": value}).row["x"] for value in series.to_list()]
    assert rows == expected


@pytest.mark.parametrize("kind", [ColumnKind.NUMBER, ColumnKind.CATEGORY, ColumnKind.DATETIME])
@pytest.mark.parametrize(
    "series",
    [
        pl.Series([[1], None, [2, 3]]),
        pl.Series([{"a": 1}, None, {"a": 2}]),
        pl.Series([[1], None, {"a"}], dtype=pl.Object),
        pl.Series([[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int64, 2)),
    ],
)
def test_nested_values_are_refused_row_by_row(kind: ColumnKind, series: pl.Series) -> None:
    schema = Schema((Column("x", kind, missing=0.5),))
    faults = refused(lambda: Conformer(schema).frame(series.alias("x").to_frame()))
    assert [(fault.code, fault.row) for fault in faults] == [("wrong_type", 0), ("wrong_type", 2)]


@pytest.mark.parametrize("kind", [ColumnKind.DATETIME, ColumnKind.CATEGORY])
@pytest.mark.parametrize("dtype", [pl.Date, pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ms", "Europe/Berlin")])
def test_dates_beyond_the_calendar_are_refused(kind: ColumnKind, dtype: pl.DataType) -> None:
    ticks = pl.Series("x", [0, 2**30 if dtype == pl.Date else 2**60, None])
    series = ticks.cast(pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype)
    schema = Schema((Column("x", kind, missing=0.5),), policies=Policies(wrong_type="accept"))
    assert Conformer(schema).frame(series.to_frame()).frame["x"].null_count() == 2


def test_an_infinite_number_is_a_number() -> None:
    schema = Schema((Column("x", ColumnKind.NUMBER),))
    assert Conformer(schema).row({"x": "inf"}).row["x"] == float("inf")
    assert Conformer(schema).row({"x": 10**400}).row["x"] == float("inf")


def test_levels_not_all_listed_are_not_judged() -> None:
    assert conformer(unseen_category="error").row(GOOD | {"town": "Nowhere"}).warnings == ()


def test_a_table_without_rows_or_without_features() -> None:
    empty = conformer().frame(frame_of(GOOD).clear())
    assert empty.frame.height == 0 and empty.frame.columns == list(CONFORMING)
    no_features = Schema((Column("id", ColumnKind.IDENTIFIER),))
    assert Conformer(no_features).frame(pl.DataFrame({"id": [1, 2, 3]})).frame.shape == (3, 0)
    assert Conformer(no_features).row({"id": 1}).row == {}


def test_text_keeps_its_own_series_when_nothing_changes() -> None:
    series = pl.Series("x", ["a", "b", None])
    schema = Schema((Column("x", ColumnKind.TEXT, missing=0.1),))
    assert_series_equal(Conformer(schema).frame(series.to_frame()).frame["x"], series)


def test_rows_keep_their_values_in_a_frame() -> None:
    rows: list[dict[str, Any]] = [{"a": 3.0, "b": 1, "c": None}, {"a": "x", "b": 2**200, "d": [1]}]
    frame = frame_of_rows(rows)
    assert frame.columns == ["a", "b", "c", "d"]
    assert frame["a"].to_list() == [3.0, "x"] and frame["b"].to_list() == [1, 2**200]
    assert frame["c"].dtype == pl.Null and frame["d"].to_list() == [None, [1]]
    assert frame_of_rows([{}, {}]).shape == (2, 0) and frame_of_rows([]).shape == (0, 0)
    schema = Schema((Column("a", ColumnKind.CATEGORY),))
    assert Conformer(schema).frame(frame.select("a")).frame["a"].to_list() == ["3", "x"]


def test_columns_say_what_the_frame_says() -> None:
    frame = pl.concat([frame_of(GOOD, {**GOOD, "age": 17}), frame_of({**GOOD, "age": 90, "town": None})])
    frame = frame.drop("remark").with_columns(pl.Series("age", [41.0, float("nan"), 90.0]))
    lenient = conformer(missing_column="accept", missing_value="accept")
    whole, columns = lenient.frame(frame).frame, lenient.columns(frame)
    some = lenient.columns(frame, np.array([0, 2]))
    assert (columns.height, some.height) == (3, 2)
    for name in whole.columns:
        assert_series_equal(columns[name], whole[name])
        assert_series_equal(columns.piece(name, 1, 2), whole[name][1:])
        assert_series_equal(some[name], whole[name][[0, 2]])
        assert_series_equal(some.piece(name, 1, 1), whole[name][[2]])


def test_columns_refuse_what_the_frame_refuses() -> None:
    frame = frame_of(GOOD, {**GOOD, "age": "old", "job": None}, {**GOOD, "member": "perhaps"})
    strict = conformer()
    assert refused(lambda: strict.columns(frame)) == refused(lambda: strict.frame(frame))
