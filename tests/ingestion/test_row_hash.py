"""The compiled loop and its twin make the same bytes of a column, however it is cut, and ids stay what they were."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.ingestion import row_hash
from rowsmith.ingestion.row_hash import RowHash, bytes_by_numpy

RowBytes = Callable[[object], bytes | None]
TYPES = (
    pl.Int64(),
    pl.Float64(),
    pl.Boolean(),
    pl.String(),
    pl.Date(),
    pl.Datetime("us"),
    pl.Datetime("us", "Europe/Berlin"),
)
WHOLE = st.integers(-(2**63), 2**63 - 1)
EPOCH = datetime(1970, 1, 1)
DAYS = st.integers(-700_000, 2_900_000).map(lambda day: date(1970, 1, 1) + timedelta(days=day))
MOMENTS = st.integers(-(2**55), 2**55).map(lambda micros: EPOCH + timedelta(microseconds=micros))
# Around the twelve bytes that a view holds itself, and far beyond; more than a byte to a character, and none at all.
TEXTS = st.one_of(
    st.text(max_size=16), st.text(max_size=40), st.sampled_from(["", "x" * 11, "é" * 6, "x" * 13, "y" * 5000])
)
VALUES = {
    "Int64": WHOLE,
    "Float64": st.floats(allow_nan=False),
    "Boolean": st.booleans(),
    "String": TEXTS,
    "Date": DAYS,
}


@pytest.fixture(scope="module")
def row_bytes() -> RowBytes:
    compiled: RowBytes = pytest.importorskip("rowsmith.ingestion._row_bytes").row_bytes
    return compiled


@st.composite
def columns(draw: st.DrawFn) -> pl.Series:
    """Of some chunks, each a piece of something longer, with or without missing values."""
    dtype = draw(st.sampled_from(TYPES))
    values = VALUES.get(type(dtype).__name__, MOMENTS)
    if draw(st.booleans()):
        values = st.one_of(values, st.none())
    found = draw(st.lists(values, min_size=1, max_size=70))
    series = pl.Series("x", found, dtype=dtype if dtype != TYPES[-1] else pl.Datetime("us"))
    series = series.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin") if dtype == TYPES[-1] else series
    cuts = sorted(draw(st.sets(st.integers(1, len(found)), max_size=4)))
    chunks = [series[start:end] for start, end in pairwise([0, *cuts, len(found)])]
    whole = pl.concat(chunks, rechunk=False)
    start = draw(st.integers(0, len(found) - 1))
    return whole[start : draw(st.integers(start + 1, len(found)))]


@settings(max_examples=300, deadline=None)
@given(columns())
def test_compiled_and_twin_make_the_same_bytes(row_bytes: RowBytes, series: pl.Series) -> None:
    assert row_bytes(series.__arrow_c_stream__()) == bytes_by_numpy(series)


def test_what_stands_under_a_missing_value_does_not_matter(row_bytes: RowBytes) -> None:
    hidden = pl.DataFrame({"n": [1, 2, 3], "t": ["a", "of more than twelve bytes", "c"], "b": [True, True, False]})
    masked = hidden.select(pl.when(pl.col("n") != 2).then(pl.all()).name.keep())
    plain = pl.DataFrame({"n": [1, None, 3], "t": ["a", None, "c"], "b": [True, None, False]})
    for name in plain.columns:
        expected = bytes_by_numpy(plain[name])
        assert row_bytes(masked[name].__arrow_c_stream__()) == expected == bytes_by_numpy(masked[name])


def test_types_that_are_not_plain_are_left_to_the_twin(row_bytes: RowBytes) -> None:
    for series in (pl.Series([1], dtype=pl.Int32), pl.Series(["a"], dtype=pl.Categorical), pl.Series([[1]])):
        assert row_bytes(series.__arrow_c_stream__()) is None
    with pytest.raises(ValueError, match="PyCapsule"):
        row_bytes(object())


@pytest.mark.parametrize("compiled", [True, False])
def test_an_id_is_what_it_has_always_been(monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    monkeypatch.setattr(row_hash, "is_compiled", compiled and row_hash.is_compiled)
    rows = 70_000
    number = pl.int_range(rows, eager=True)
    frame = pl.DataFrame(
        {
            "number": number,
            "part": number / 8,
            "even": number % 2 == 0,
            "text": "row " + (number * number).cast(pl.String),
            "day": (number % 20_000).cast(pl.Int32).cast(pl.Date),
            "moment": number.cast(pl.Datetime("us")),
            "zoned": number.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        }
    ).with_columns(pl.when(number % 7 != 0).then(pl.all()).name.suffix(" or not"))
    digest = RowHash({name: type(dtype).__name__ for name, dtype in frame.schema.items()})
    for batch in frame.iter_slices(9_999):
        digest.update(batch)
    assert digest.hexdigest() == "6903c6e9d90802c4272974e689c8d608ce3fc1a26bec69733481856dc812d2c1"
