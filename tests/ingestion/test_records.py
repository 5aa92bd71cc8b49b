"""Rows of JSON: pages that become one frame are the frames of each, one below the other."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rowsmith.conform.plain import final_type
from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.formats.json_document import columns_of_records
from rowsmith.ingestion.sources.gathered import Gathered
from rowsmith.ingestion.sources.http import visit
from rowsmith.ingestion.sources.records import Columns, frame_of_records
from rowsmith.recipe_data import DataSection

Pages = list[list[dict[str, Any]]]
KINDS = (
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1]),
    st.floats(),
    st.sampled_from(["", " ", "1", "1.0", "true", " a\u00a0", "\x1c", "Zürich"]),
    st.lists(st.integers(0, 2), max_size=2),
    st.dictionaries(st.sampled_from("ab"), st.none() | st.integers(0, 2), max_size=2),
)


@st.composite
def pages(draw: st.DrawFn) -> Pages:
    """Mostly of one kind a column, as APIs answer; sometimes of any."""
    kinds = {name: st.one_of(*draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=2))) for name in "xyz"}
    record = st.fixed_dictionaries({"x": kinds["x"]}, optional={"y": kinds["y"], "z": kinds["z"]})
    whole = st.fixed_dictionaries(kinds)
    shape = st.one_of(whole, record) if draw(st.booleans()) else whole
    return draw(st.lists(st.lists(shape, max_size=4), min_size=1, max_size=6))


def gathered(made: Pages, rows_at_once: int) -> Gathered:
    table = Gathered("pages", {})
    pieces = visit._Pieces(DataSection(), "json", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visit, "ROWS_AT_ONCE", rows_at_once)
        for page in made:
            columns = Columns.of(page, where="page")
            if columns.height:
                pieces.put(columns, table)
        pieces.finish(table)
    return table


def one_by_one(made: Pages) -> Gathered:
    table = Gathered("pages", {})
    for page in made:
        frame = frame_of_records(page, where="page")
        if frame.height:
            table.add(frame)
    return table


def rows_of(table: Gathered) -> pl.DataFrame:
    types = {name: final_type(dtype) for name, dtype in table.columns.items()}
    return pl.concat([pl.DataFrame(schema=types), *table.batches(types)])


@given(pages(), st.sampled_from([1, 3, 100]))
@example([[{"x": None}], [{"x": 1}], [{"x": None}], [{"x": 1.5}], [{"x": "a"}]], 100)
@example([[{"x": True}], [{"x": 1}], [{"x": 1.0}]], 100)
def test_pages_become_the_same_table_together_and_one_by_one(made: Pages, rows_at_once: int) -> None:
    try:
        expected = one_by_one(made)
    except SourceError:
        return  # two values of a row that come to have the same name
    found = gathered(made, rows_at_once)
    assert (dict(found.columns), found.rows) == (dict(expected.columns), expected.rows)
    assert rows_of(found).equals(rows_of(expected))


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3))))
@example([{"a": 1, "b": 2}, {"b": 3, "a": 4}])
@example([{"a": 1, "b": 2}, {"a": 1, "c": 2}])
@example([{"a": 1}, {"a": 1, "b": 2}, {}])
def test_columns_are_in_the_order_of_their_first_appearance(records: list[dict[str, Any]]) -> None:
    names = dict.fromkeys(name for record in records for name in record)
    columns = columns_of_records(records)
    assert list(columns.items()) == [(name, [record.get(name) for record in records]) for name in names]


def test_pages_of_one_type_wait_for_each_other() -> None:
    first, second = ([{"x": number, "y": None} for number in range(start, start + 3)] for start in (0, 3))
    table = gathered([first, second, [{"x": 6, "y": "a"}]], 100)
    (batch,) = table.batches({"x": pl.Int64(), "y": pl.String()})
    assert batch["x"].to_list() == list(range(7)) and batch["y"].to_list() == [None] * 6 + ["a"]
