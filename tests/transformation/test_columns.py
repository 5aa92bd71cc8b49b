from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from rowsmith.schema import Column, Schema
from rowsmith.transformation import fit_encoder
from rowsmith.transformation.category import CategoryColumn
from rowsmith.transformation.column import ColumnEncoder
from rowsmith.transformation.datetime import DatetimeColumn
from rowsmith.transformation.number import NumberColumn
from rowsmith.transformation.text import TextColumn
from rowsmith.types import Array, ColumnKind


def encoded(column: ColumnEncoder | None, series: pl.Series) -> Array:
    assert column is not None
    out = np.zeros((len(series), len(column.features)), dtype=np.float32)
    column.encode(series, out)
    return out


def _cosine(a: Array, b: Array) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def names(column: ColumnEncoder | None) -> list[str]:
    assert column is not None
    return [feature.name for feature in column.features]


# -- numbers ---------------------------------------------------------------------------------------------------


def test_numbers_pass_with_missing_as_nan_and_infinity_clipped() -> None:
    series = pl.Series("x", [1.5, None, float("inf"), -1e300])
    matrix = encoded(NumberColumn.fit("x", series), series)
    largest = np.finfo(np.float32).max
    np.testing.assert_array_equal(matrix[:, 0], np.array([1.5, np.nan, largest, -largest], dtype=np.float32))


def test_booleans_are_zero_and_one() -> None:
    series = pl.Series("x", [True, None, False])
    np.testing.assert_array_equal(encoded(NumberColumn.fit("x", series), series)[:, 0], [1, np.nan, 0])


def test_large_numbers_close_together_stay_apart() -> None:
    series = pl.Series("x", [1_600_000_000.0 + i for i in range(100)])
    assert len(np.unique(series.to_numpy().astype(np.float32))) < 100
    assert len(np.unique(encoded(NumberColumn.fit("x", series), series))) == 100


@pytest.mark.parametrize("values", [[2.0, 2.0], [None, None], []])
def test_a_number_that_does_not_vary_is_left_out(values: list[Any]) -> None:
    assert NumberColumn.fit("x", pl.Series("x", values, dtype=pl.Float64)) is None


def test_missing_or_not_is_variation() -> None:
    assert NumberColumn.fit("x", pl.Series("x", [2.0, None])) is not None


# -- categories ------------------------------------------------------------------------------------------------


def test_levels_are_coded_by_frequency_and_other_is_zero() -> None:
    column = CategoryColumn.fit("x", pl.Series("x", ["b"] * 3 + ["a"] * 2 + ["c"] * 2 + ["once"]))
    assert column is not None and column.levels == ("b", "a", "c")
    assert column.features[0].levels == 4
    matrix = encoded(column, pl.Series("x", ["b", "a", "c", "once", "B", "new", None]))
    np.testing.assert_array_equal(matrix[:, 0], [1, 2, 3, 0, 0, 0, np.nan])


def test_many_levels_tell_how_frequent_they_are() -> None:
    series = pl.Series("x", [f"v{i}" for i in range(30) for _ in range(i + 1)])
    column = CategoryColumn.fit("x", series)
    assert names(column) == ["x", "x:share"]
    shares = encoded(column, pl.Series("x", ["v29", "v1", "v0", "new"]))[:, 1]
    np.testing.assert_allclose(shares, [30 / 465, 2 / 465, 0, 0], rtol=1e-6)


def test_dirty_levels_are_also_read_as_text() -> None:
    titles = [
        f"{grade} {trade}" for grade in ("Senior", "Junior", "Chief") for trade in map("trade{}".format, range(20))
    ]
    column = CategoryColumn.fit("x", pl.Series("x", titles * 3))
    assert column is not None and column.embedding is not None
    texts = pl.Series("x", ["Senior trade7", "senior  trade7.", "Junior trade3", "Köln"])
    near, twin, far, foreign = encoded(column, texts)[:, 2:]
    assert _cosine(near, twin) > 0.9 and _cosine(near, far) < 0.5
    assert not foreign.any()
    clean = CategoryColumn.fit("x", pl.Series("x", [f"N{i}" for i in range(60)] * 3))
    assert clean is not None and clean.embedding is None


# -- dates -----------------------------------------------------------------------------------------------------


def test_dates_become_parts() -> None:
    series = pl.Series("x", [datetime(1970, 1, 2, 12), datetime(2024, 2, 29, 23, 30), None, datetime(1969, 12, 31)])
    column = DatetimeColumn.fit("x", series)
    assert names(column) == [f"x:{part}" for part in ("days", "year", "month", "day", "weekday", "day_of_year", "hour")]
    matrix = encoded(column, series)
    assert matrix[0].tolist() == [1.5, 1970, 1, 2, 5, 2, 12]
    assert matrix[1].tolist()[1:] == [2024, 2, 29, 4, 60, 23.5]
    assert np.isnan(matrix[2]).all()
    assert matrix[3].tolist() == [-1, 1969, 12, 31, 3, 365, 0]


def test_parts_that_do_not_vary_are_left_out() -> None:
    series = pl.Series("x", [datetime(2024, 1, day) for day in range(1, 8)])
    assert names(DatetimeColumn.fit("x", series)) == ["x:days", "x:day", "x:weekday", "x:day_of_year"]
    assert DatetimeColumn.fit("x", pl.Series("x", [datetime(2024, 1, 1)] * 3)) is None
    assert names(DatetimeColumn.fit("x", pl.Series("x", [datetime(2024, 1, 1), None]))) == ["x:days"]
    assert DatetimeColumn.fit("x", pl.Series("x", [None], dtype=pl.Datetime("us"))) is None


# -- text ------------------------------------------------------------------------------------------------------


def test_texts_of_like_words_lie_close() -> None:
    sport = ["the team won the match", "a goal decided the match", "the team lost a goal", "match day for the team"]
    food = ["boil the rice slowly", "rice with fresh beans", "fry the beans slowly", "fresh bread and rice"]
    series = pl.Series("x", [f"{text} {i}" for i in range(5) for text in sport + food])
    column = TextColumn.fit("x", series)
    texts = pl.Series("x", ["team match goal", "TEAM, goal: Match!", "rice beans bread"])
    matrix = encoded(column, texts)[:, : names(column).index("x:characters")]
    assert _cosine(matrix[0], matrix[1]) > 0.95 and _cosine(matrix[0], matrix[2]) < 0.6


def test_the_shape_of_a_text() -> None:
    column = TextColumn.fit("x", pl.Series("x", ["one thing", "another thing"]))
    matrix = encoded(column, pl.Series("x", ["Call  0800!", None]))
    at = names(column).index("x:characters")
    np.testing.assert_allclose(matrix[0, at:], [10, 2, 0.4, 0.1, 0.1], rtol=1e-6)
    assert np.isnan(matrix[1]).all()


def test_texts_with_nothing_in_common_keep_their_shape_alone() -> None:
    series = pl.Series("x", ["abc", "xyz"])
    assert names(TextColumn.fit("x", series))[0] == "x:characters"
    assert encoded(TextColumn.fit("x", series), series).shape == (2, 5)


def test_no_words_of_the_rows_are_kept() -> None:
    series = pl.Series("x", ["secret alpha one", "secret beta two", "secret alpha two"] * 5)
    column = TextColumn.fit("x", series)
    assert column is not None and column.embedding is not None
    state = column.to_state()
    assert state.data == {"name": "x"}
    assert {array.dtype.kind for array in state.children["embedding"].arrays.values()} <= set("uf")


# -- the table -------------------------------------------------------------------------------------------------


def test_a_table_without_variation_has_one_column_of_zeros() -> None:
    schema = Schema((Column("x", ColumnKind.NUMBER),))
    encoder = fit_encoder(pl.DataFrame({"x": [1.0, 1.0]}), schema)
    assert encoder.encode(pl.DataFrame({"x": [1.0, 2.0, None]})).tolist() == [[0], [0], [0]]
    assert encoder.encode_row({"x": 3.0}).tolist() == [0]
    assert len(encoder.features) == 1
    no_columns = fit_encoder(pl.DataFrame(height=3), Schema(()))
    assert no_columns.encode(pl.DataFrame(height=3)).shape == (3, 1)
    assert no_columns.encode_row({}).shape == (1,)


def test_a_table_without_rows_is_encoded() -> None:
    schema = Schema((Column("x", ColumnKind.TEXT), Column("y", ColumnKind.CATEGORY), Column("z", ColumnKind.DATETIME)))
    moments = [datetime(2024, 1, day) for day in (1, 2, 3)]
    frame = pl.DataFrame({"x": ["a b", "b c", "c"], "y": ["p", "q", "p"], "z": moments})
    encoder = fit_encoder(frame, schema)
    assert encoder.encode(frame.clear()).shape == (0, len(encoder.features))
