from __future__ import annotations

import numpy as np
import pytest

from rowsmith.transformation.dense import DenseView
from rowsmith.types import Array, Feature, Matrix

FEATURES = (
    Feature("amount", "amount"),
    Feature("when:days", "when"),
    Feature("when:month", "when"),
    Feature("still", "still"),
    Feature("colour", "colour", 4),
    Feature("town", "town", 60),
)


def made(rows: int = 1000) -> tuple[Matrix, Array]:
    draw = np.random.default_rng(0)
    when = np.where(draw.random(rows) < 0.2, np.nan, 1.0)
    columns = [
        draw.lognormal(3, 2, rows),
        when * draw.integers(0, 9000, rows),
        when * draw.integers(1, 13, rows),
        np.ones(rows),
        np.where(draw.random(rows) < 0.1, np.nan, draw.integers(1, 4, rows)),
        draw.integers(0, 60, rows),
    ]
    return np.column_stack(columns).astype(np.float32), draw.integers(0, 2, rows)


def test_the_layout() -> None:
    matrix, target = made()
    view, dense = DenseView.fit(matrix, FEATURES, target, 2)
    # Four numbers and the town's target mean, one indicator for both parts of the date, colours 1 to 3 and missing.
    assert view.width == 5 + 1 + 4
    assert dense.shape == (1000, 10) and dense.dtype == np.float64
    np.testing.assert_array_equal(dense[:, 5], np.isnan(matrix[:, 1]))
    np.testing.assert_array_equal(dense[:, 6:].sum(axis=1), np.ones(1000))
    np.testing.assert_array_equal(dense[:, 9], np.isnan(matrix[:, 4]))


def test_numbers_are_centred_scaled_and_softly_bounded() -> None:
    matrix, target = made()
    _, dense = DenseView.fit(matrix, FEATURES, target, 2)
    assert np.abs(dense[:, :5]).max() < 3
    assert abs(np.median(dense[:, 0])) < 1e-6
    assert (np.diff(dense[np.argsort(matrix[:, 0]), 0]) >= 0).all()
    np.testing.assert_array_equal(dense[np.isnan(matrix[:, 1]), 1], 0)
    np.testing.assert_array_equal(dense[:, 3], 0)


def test_new_rows_with_anything_in_them_stay_finite() -> None:
    matrix, target = made()
    view, _ = DenseView.fit(matrix, FEATURES, target, 2)
    largest = np.finfo(np.float32).max
    hostile = np.array([[np.nan] * 6, [largest] * 4 + [0, 0], [-largest, 0, 1e-45, 7, 3, 59]], dtype=np.float32)
    dense = view.apply(hostile)
    assert np.isfinite(dense).all()
    np.testing.assert_array_equal(dense[0, :4], 0)
    np.testing.assert_array_equal(dense[1, 6:], 0)


def test_training_rows_do_not_see_their_own_target() -> None:
    matrix, target = made()
    view, dense = DenseView.fit(matrix, FEATURES, target, 2)
    assert not np.array_equal(dense[:, 4], view.apply(matrix)[:, 4])
    np.testing.assert_array_equal(np.delete(dense, 4, axis=1), np.delete(view.apply(matrix), 4, axis=1))


def test_an_amount_that_is_mostly_zero_still_counts() -> None:
    matrix = np.zeros((1000, 1), dtype=np.float32)
    matrix[:50, 0] = np.arange(1, 51)
    _, dense = DenseView.fit(matrix, [Feature("x", "x")], np.zeros(1000), 0)
    assert dense[:50, 0].min() > 0 and (dense[50:, 0] == 0).all()


@pytest.mark.parametrize("features", [[Feature("x", "x")], [Feature("x", "x", 3)]])
def test_a_column_that_is_missing_everywhere(features: list[Feature]) -> None:
    matrix = np.full((10, 1), np.nan, dtype=np.float32)
    view, dense = DenseView.fit(matrix, features, np.arange(10) % 2, 2)
    assert dense.shape == (10, view.width) and np.isfinite(dense).all()
    assert np.isfinite(view.apply(np.array([[1.0]], dtype=np.float32))).all()
