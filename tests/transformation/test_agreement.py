"""One row and a whole table must give the same bits, whatever is in them, also after a round trip through a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.conform import Conformer, frame_of_rows
from rowsmith.state import State
from rowsmith.storage import archive
from rowsmith.transformation import RESTORERS, TableEncoder, fit_encoder, table
from rowsmith.transformation.dense import DenseView
from rowsmith.transformation.target_encoding import TargetEncoding
from tests.transformation.tables import PLACES, SCHEMA, TITLES, TRADES, make_table

FRAME = make_table()
FITTED = fit_encoder(FRAME, SCHEMA)
CONFORMER = Conformer(SCHEMA)

WORDS = st.sampled_from(
    [*TITLES, *TRADES, *PLACES, "senior", "NURSE", "ß", "İ", "﷽", "e\u0301", "🐴🐴", "\u00a0", "\x00", "-", "_"]
)
TEXTS = st.one_of(
    st.text(max_size=30),
    st.lists(WORDS, max_size=8).map(" ".join),
    st.sampled_from(
        ["red", " red", "Red", "N7", "N7 ", "1,234.5", "1.5e3", "inf", "-inf", "nan", "9" * 400, "\ud800", ""]
    ),
    st.sampled_from(["31.12.2019", "2019-12-31T23:59:59.999999Z", "0001-01-01", "9999-12-31", "yes", "FALSE", "1"]),
)
FLOATS = st.one_of(st.floats(), st.sampled_from([3.4e38, 3.5e38, -1e300, 1e-320, -0.0, 1.6e9, math.inf, math.nan]))
INTEGERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 3))
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999))
ODD = st.sampled_from([[1], {"a": 1}, 10**400, Decimal("1.5"), b"x", datetime(2020, 1, 1, tzinfo=UTC), np.float32(0.1)])
ANY = st.one_of(TEXTS, FLOATS, INTEGERS, MOMENTS, st.dates(date(1, 1, 1)), st.booleans(), ODD)


@st.composite
def columns(draw: st.DrawFn, rows: int) -> list[Any]:
    """Values of one type, as a typed frame has them, or of any."""
    values = draw(st.sampled_from([TEXTS, FLOATS, INTEGERS, MOMENTS, st.booleans(), ANY]))
    return draw(st.lists(st.one_of(values, st.none()), min_size=rows, max_size=rows))


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = draw(st.integers(1, 6))
    drawn = {name: draw(columns(rows)) for name in SCHEMA.names}
    return [{name: values[i] for name, values in drawn.items()} for i in range(rows)]


def through_a_file(component: Any, folder: Path) -> Any:
    return _restored(archive.read(archive.write(folder, component.to_state())))


def _restored(state: State) -> Any:
    parts = {name: _restored(child) for name, child in state.children.items()}
    return RESTORERS[state.kind](state, parts)


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory: pytest.TempPathFactory) -> TableEncoder:
    encoder: TableEncoder = through_a_file(FITTED, tmp_path_factory.mktemp("encoder") / "artifact")
    return encoder


@settings(max_examples=100, deadline=None)
@given(rows=tables())
def test_a_row_has_the_bits_of_the_table(reloaded: TableEncoder, rows: list[dict[str, Any]]) -> None:
    frame = CONFORMER.frame(frame_of_rows(rows)).frame
    conforming = [CONFORMER.row(row).row for row in rows]
    assert frame.to_dicts() == conforming
    matrix = FITTED.encode(frame)
    assert matrix.dtype == np.float32 and matrix.shape == (len(rows), len(FITTED.features))
    assert not np.isinf(matrix).any()
    for i, row in enumerate(conforming):
        assert FITTED.encode_row(row).tobytes() == matrix[i].tobytes()
        assert reloaded.encode_row(row).tobytes() == matrix[i].tobytes()
    assert reloaded.encode(frame).tobytes() == matrix.tobytes()


def test_a_row_has_the_bits_of_batches_of_any_size(reloaded: TableEncoder) -> None:
    frame = make_table(300, seed=7)
    matrix = FITTED.encode(frame)
    assert len(np.unique(matrix, axis=0)) == 300
    for size in (1, 2, 7, 64, 299):
        parts = [FITTED.encode(frame[start : start + size]) for start in range(0, 300, size)]
        assert np.concatenate(parts).tobytes() == matrix.tobytes()
    rows = [reloaded.encode_row(row) for row in frame.iter_rows(named=True)]
    assert np.stack(rows).tobytes() == matrix.tobytes()
    assert FITTED.encode(frame.reverse())[::-1].tobytes() == matrix.tobytes()


def test_a_long_text_is_embedded_the_same_alone_and_in_chunks() -> None:
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(TITLES + TRADES + PLACES, size=draw.integers(1, 600))) for _ in range(400)]
    frame = make_table(400).with_columns(remark=pl.Series(texts))
    matrix = FITTED.encode(frame)
    for i in range(0, 400, 37):
        assert FITTED.encode_row(frame.row(i, named=True)).tobytes() == matrix[i].tobytes()


@pytest.mark.parametrize("classes", [0, 2, 4])
@pytest.mark.parametrize("view", [TargetEncoding, DenseView])
def test_supervised_views_agree_by_row_and_after_a_file(view: Any, classes: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(classes)
    target = draw.integers(0, classes, FRAME.height) if classes else draw.normal(size=FRAME.height)
    fitted, _ = view.fit(FITTED.encode(FRAME), FITTED.features, target, classes)
    restored = through_a_file(fitted, tmp_path / "artifact")
    matrix = FITTED.encode(make_table(200, seed=3))
    whole = fitted.apply(matrix)
    assert restored.apply(matrix).tobytes() == whole.tobytes()
    assert fitted.apply(matrix[::-1])[::-1].tobytes() == whole.tobytes()
    for i in range(len(matrix)):
        assert restored.apply_row(matrix[i]).tobytes() == whole[i].tobytes()


def test_state_survives_unchanged(tmp_path: Path, reloaded: TableEncoder) -> None:
    def described(state: State) -> Mapping[str, Any]:
        arrays = {name: (array.dtype.str, array.tobytes()) for name, array in state.arrays.items()}
        return {"data": state.data, "arrays": arrays, "children": {k: described(v) for k, v in state.children.items()}}

    assert described(FITTED.to_state()) == described(reloaded.to_state())
    assert reloaded.features == FITTED.features


def test_a_table_has_the_bits_of_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = make_table(250)
    encoder = fit_encoder(frame, SCHEMA)
    whole = encoder.encode(frame)
    monkeypatch.setattr(table, "ROWS_PER_BLOCK", 64)
    out = np.zeros_like(whole)
    columns = Conformer(SCHEMA).columns(frame)
    assert fit_encoder(columns, SCHEMA).encode(columns, out) is out
    assert out.tobytes() == encoder.encode(frame).tobytes() == whole.tobytes()
    rows = np.arange(0, 250, 3)
    assert encoder.encode(Conformer(SCHEMA).columns(frame, rows)).tobytes() == whole[rows].tobytes()
