"""The compiled loops over dense rows have the bits of their twins in NumPy, whatever they are asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.transformation import dense_rows
from rowsmith.transformation.dense_rows import Densify, Multiply, densify_numpy, multiply_numpy
from rowsmith.types import Array

HOSTILE = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3.4e38, -3.4e38, -1.0, 2.0, 5.0, 9.0, 3e9, 0.5]

pytestmark = pytest.mark.skipif(not dense_rows.is_compiled, reason="there was no compiler")


def dense_of(densify: Densify, rng: np.random.Generator, matrix: Array) -> Array:
    """Of two numbers, an indicator and two categories of three and four slots, one of which has no column."""
    numbers, indicators, categories = np.array([3, 0]), np.array([3]), np.array([1, 2])
    first, missing = np.array([0, 3]), np.array([2, 6])
    spread = np.array([3, -1, 4, 5, 6, 7, 8])
    centre, scale = rng.normal(size=2), np.array([rng.choice([0.0, 1e-30, 0.5, 1e30]), 2.0])
    dense = np.zeros((len(matrix), 9))
    densify(matrix, numbers, centre, scale, indicators, categories, first, missing, spread, dense, len(matrix), 3.0)
    return dense


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 7, 40]))
def test_views_have_the_same_bits(seed: int, rows: int) -> None:
    matrix = np.random.default_rng(seed).choice(np.array(HOSTILE, dtype=np.float32), (rows, 4))
    ours = dense_of(dense_rows.densify, np.random.default_rng(seed), matrix)
    theirs = dense_of(densify_numpy, np.random.default_rng(seed), matrix)
    np.testing.assert_array_equal(ours.view(np.int64), theirs.view(np.int64))
    assert np.isfinite(ours).all()


def sums_of(multiply: Multiply, seed: int, members: int, rows: int, outputs: int, *, is_shared: bool) -> Array:
    rng = np.random.default_rng(seed)
    inputs = int(rng.integers(1, 50))
    signal = rng.normal(size=(1 if is_shared else members, rows, inputs)) * rng.choice([0.0, 1.0, 1e3], inputs)
    weight = np.rint(rng.normal(size=(members, inputs, outputs)) * 2.0**20).astype(np.float32) / np.float32(2.0**30)
    sums = np.empty((members, rows, outputs))
    multiply(signal, weight, rng.normal(size=(members, 1, outputs)), sums, 2.0**12, 2.0**22, members, rows)
    return sums


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.sampled_from([1, 3, 4, 9]),
    st.sampled_from([1, 7, 8, 19]),
    st.booleans(),
)
def test_products_have_the_same_bits(seed: int, members: int, rows: int, outputs: int, is_shared: bool) -> None:
    ours = sums_of(dense_rows.multiply, seed, members, rows, outputs, is_shared=is_shared)
    theirs = sums_of(multiply_numpy, seed, members, rows, outputs, is_shared=is_shared)
    np.testing.assert_array_equal(ours.view(np.int64), theirs.view(np.int64))


def test_rows_alone_have_the_bits_they_have_among_others() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.choice(np.array(HOSTILE, dtype=np.float32), (50, 4))
    whole = dense_of(dense_rows.densify, np.random.default_rng(1), matrix)
    for row, expected in zip(matrix, whole, strict=True):
        alone = dense_of(dense_rows.densify, np.random.default_rng(1), row[None, :].copy())
        np.testing.assert_array_equal(alone[0].view(np.int64), expected.view(np.int64))


def test_parts_that_do_not_belong_together_are_refused() -> None:
    places, halves, nothing = np.array([0, 4]), np.zeros(2), np.zeros(0, dtype=np.int64)
    row, dense = np.zeros((1, 4), dtype=np.float32), np.zeros((1, 2))
    with pytest.raises(IndexError, match="columns"):
        dense_rows.densify(row, places, halves, halves, nothing, nothing, nothing, nothing, nothing, dense, 1, 3.0)
    with pytest.raises(ValueError, match="together"):
        dense_rows.densify(row, places, np.zeros(1), halves, nothing, nothing, nothing, nothing, nothing, dense, 1, 3.0)
    weight, bias, sums = np.zeros((2, 3, 4), dtype=np.float32), np.zeros((2, 1, 4)), np.zeros((2, 1, 4))
    with pytest.raises(ValueError, match="shapes"):
        dense_rows.multiply(np.zeros((1, 1, 5)), weight, bias, sums, 1.0, 1.0, 2, 1)
