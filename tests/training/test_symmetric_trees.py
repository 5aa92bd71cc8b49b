"""Symmetric trees: the compiled loop, its twin in NumPy and a row alone have the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.training.families import symmetric_trees, traverse
from rowsmith.training.families.symmetric_trees import OneHot, SymmetricTrees
from rowsmith.types import Matrix, Scores2D, Task

COLUMNS = 5
VALUES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1.0, 2.0, 3.0]
compiled_alone = pytest.mark.skipif(not traverse.is_compiled, reason="there was no compiler when this was installed")


def random_trees(seed: int, trees: int, depth: int, outputs: int) -> SymmetricTrees:
    """Column 4 is a category that is spread; some levels have a border that no value passes."""
    rng = np.random.default_rng(seed)
    spread = OneHot(np.full(4, COLUMNS - 1), np.array([-1, 0, 1, 2], dtype=np.float32))
    borders = rng.choice(np.array([*VALUES[1:], *rng.normal(size=20)], dtype=np.float32), (trees, depth))
    task = Task.BINARY if outputs == 1 else Task.MULTICLASS
    return SymmetricTrees(
        spread,
        None,
        rng.integers(0, COLUMNS + 4, (trees, depth)),
        borders,
        rng.normal(size=(trees, 2**depth, outputs)).astype(np.float32),
        rng.normal(size=outputs),
        task,
        max(outputs, 2),
    )


def hostile_rows(seed: int, rows: int) -> Matrix:
    rng = np.random.default_rng(seed)
    matrix = rng.choice(np.array([*VALUES, *rng.normal(size=20)], dtype=np.float32), (rows, COLUMNS))
    matrix[:, -1] = rng.choice(np.array([np.nan, 0, 1, 2, 7], dtype=np.float32), rows)
    return matrix


def by_numpy(model: SymmetricTrees, matrix: Matrix) -> Scores2D:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(symmetric_trees, "add_symmetric", None)
        return model.predict(matrix)


def assert_same_bits(one: Scores2D, other: Scores2D) -> None:
    np.testing.assert_array_equal(np.ascontiguousarray(one).view(np.int64), np.ascontiguousarray(other).view(np.int64))


@compiled_alone
@given(
    seed=st.integers(0, 10**6),
    trees=st.integers(0, 30),
    depth=st.integers(1, 11),
    outputs=st.sampled_from([1, 3]),
    rows=st.integers(1, 300),
)
@settings(max_examples=60, deadline=None)
def test_compiled_and_twin_have_the_same_bits(seed: int, trees: int, depth: int, outputs: int, rows: int) -> None:
    model = random_trees(seed, trees, depth, outputs)
    matrix = hostile_rows(seed, rows)
    scores = model.predict(matrix)
    assert_same_bits(scores, by_numpy(model, matrix))
    for i in range(0, rows, 37):
        assert_same_bits(model.predict_row(matrix[i])[None, :], scores[i : i + 1])


@pytest.mark.parametrize("rows", [255, 256, 257, 600])
def test_any_number_of_rows_and_any_order_in_memory(rows: int) -> None:
    model = random_trees(1, 20, 6, 1)
    matrix = hostile_rows(2, rows)
    scores = model.predict(matrix)
    assert_same_bits(scores, by_numpy(model, matrix))
    assert_same_bits(scores, model.predict(np.asfortranarray(matrix)))
    assert len(np.unique(scores)) > rows / 4


@compiled_alone
def test_trees_that_ask_for_a_column_that_there_is_not_are_refused() -> None:
    model = random_trees(1, 3, 2, 1)
    with pytest.raises(IndexError, match="columns"):
        SymmetricTrees(
            OneHot(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)),
            None,
            model.columns + COLUMNS,
            model.borders,
            model.leaves,
            model.bias,
            Task.BINARY,
            2,
        ).predict(hostile_rows(0, 3))
