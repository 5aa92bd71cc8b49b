from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from rowsmith.errors import SourceError
from tests.ingestion.tables import read

DAY = dt.datetime(2024, 1, 31, 12, 30)


@pytest.mark.parametrize(
    ("series", "dtype", "values"),
    [
        (pd.Series([1, 2], dtype="int8"), pl.Int64, [1, 2]),
        (pd.Series([1, None], dtype="Int64"), pl.Int64, [1, None]),
        (pd.Series([1.5, np.nan]), pl.Float64, [1.5, None]),
        (pd.Series([1.5, None], dtype="Float32"), pl.Float64, [1.5, None]),
        (pd.Series([True, False]), pl.Boolean, [True, False]),
        (pd.Series([True, None], dtype="boolean"), pl.Boolean, [True, None]),
        (pd.Series(["x", None]), pl.String, ["x", None]),
        (pd.Series(["x", None], dtype="string"), pl.String, ["x", None]),
        (pd.Series(["x", None], dtype="object"), pl.String, ["x", None]),
        (pd.Series([" x", np.nan, None], dtype="object"), pl.String, ["x", None, None]),
        (pd.Series([" x", np.nan, 1.5, None], dtype="object"), pl.String, ["x", None, "1.5", None]),
        (pd.Series([" x", pd.NA, "\u2003"], dtype="string"), pl.String, ["x", None, ""]),
        (pd.Series(["b", "a", None], dtype="category"), pl.String, ["b", "a", None]),
        (pd.Series([3, 1, None]).astype("category"), pl.String, ["3", "1", None]),
        (pd.Series([1, "b", 2.5, True, None], dtype="object"), pl.String, ["1", "b", "2.5", "true", None]),
        (pd.Series([1, 2.5, None], dtype="object"), pl.Float64, [1.0, 2.5, None]),
        (pd.Series([1, None, pd.NA], dtype="object"), pl.Int64, [1, None, None]),
        (pd.Series([Decimal("1.5"), None], dtype="object"), pl.Float64, [1.5, None]),
        (pd.Series([DAY, None]), pl.Datetime("us"), [DAY, None]),
        (pd.Series([dt.date(2024, 1, 31), None], dtype="object"), pl.Date, [dt.date(2024, 1, 31), None]),
        (pd.Series([dt.date(2024, 1, 31), DAY], dtype="object"), pl.Datetime("us"), [dt.datetime(2024, 1, 31), DAY]),
        (pd.Series([pd.Timedelta(seconds=90), None]), pl.Float64, [90.0, None]),
        (pd.Series([[1, 2], {"a": "x"}], dtype="object"), pl.String, ["[1,2]", '{"a":"x"}']),
    ],
)
def test_pandas_columns(series: pd.Series[Any], dtype: pl.DataType, values: list[object]) -> None:
    frame = read(pd.DataFrame({"x": series}))
    assert frame["x"].dtype == dtype
    assert frame["x"].to_list() == values


def test_pandas_time_zones_are_kept() -> None:
    times = pd.Series(pd.to_datetime(["2024-01-01", "2024-06-01"])).dt.tz_localize("Europe/Paris")
    column = read(pd.DataFrame({"t": times}))["t"]
    assert column.dtype == pl.Datetime("us", "Europe/Paris")
    assert [moment.isoformat() for moment in column] == ["2024-01-01T00:00:00+01:00", "2024-06-01T00:00:00+02:00"]


def test_names_and_index_of_pandas() -> None:
    frame = pd.DataFrame({1: [1], ("a", "b"): [2]}, index=["z"])
    assert read(frame).columns == ["1", "a_b"]
    with pytest.raises(SourceError, match='2 columns have the name "a"'):
        read(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize(
    ("series", "dtype", "values"),
    [
        (pl.Series([1, 2], dtype=pl.UInt8), pl.Int64, [1, 2]),
        (pl.Series([2**63, 1], dtype=pl.UInt64), pl.String, ["9223372036854775808", "1"]),
        (pl.Series([0.5, float("nan")], dtype=pl.Float32), pl.Float64, [0.5, None]),
        (pl.Series(["x", None], dtype=pl.Categorical), pl.String, ["x", None]),
        (pl.Series([None, None]), pl.String, [None, None]),
        (pl.Series([Decimal("1.50")]), pl.Float64, [1.5]),
        (pl.Series([dt.time(9, 30)]), pl.String, ["09:30:00"]),
        (pl.Series([[1, 2], None]), pl.String, ["[1,2]", None]),
        (pl.Series([{"a": 1}]), pl.String, ['{"a":1}']),
        (pl.Series([DAY], dtype=pl.Datetime("ns")), pl.Datetime("us"), [DAY]),
    ],
)
def test_polars_columns(series: pl.Series, dtype: pl.DataType, values: list[object]) -> None:
    frame = read(pl.DataFrame({"x": series}).lazy())
    assert frame["x"].dtype == dtype
    assert frame["x"].to_list() == values


def test_arrow_dicts_and_lists() -> None:
    pa = pytest.importorskip("pyarrow")
    expected = [(1, "x"), (2, None)]
    assert read(pa.table({"a": [1, 2], "b": ["x", None]})).rows() == expected
    assert read({"a": [1, 2], "b": ["x", None]}).rows() == expected
    assert read([{"a": 1, "b": "x"}, {"a": 2}]).rows() == expected


def test_columns_that_no_table_holds_are_named() -> None:
    with pytest.raises(SourceError, match='"x"'):
        read(pl.DataFrame({"x": [b"\xff\xfe", b"\x00"]}))


def test_a_table_without_columns() -> None:
    with pytest.raises(SourceError, match="no columns"):
        read(pl.DataFrame())
