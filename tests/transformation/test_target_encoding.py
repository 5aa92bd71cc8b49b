from __future__ import annotations

import numpy as np
import pytest

from rowsmith.transformation.structure import Structure
from rowsmith.transformation.target_encoding import MAX_CLASSES, MAX_COLUMNS, TargetEncoding
from rowsmith.types import Array, Feature, Matrix

ROWS = 6000
LEVELS = 40


def made(seed: int = 0) -> tuple[Matrix, tuple[Feature, ...], Array]:
    """A category whose levels differ in their mean, a number, and codes of the category's truth."""
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, LEVELS, ROWS)
    matrix = np.column_stack([codes, draw.normal(size=ROWS)]).astype(np.float32)
    return matrix, (Feature("town", "town", LEVELS), Feature("size", "size")), codes


def test_levels_get_their_mean() -> None:
    matrix, features, codes = made()
    target = codes * 10.0 + np.random.default_rng(1).normal(size=ROWS)
    encoding, encoded = TargetEncoding.fit(matrix, features, target, 0)
    assert [feature.name for feature in encoding.features] == ["town:mean"]
    assert encoded.shape == (ROWS, 3) and encoded.dtype == np.float32
    np.testing.assert_allclose(encoding.apply(matrix)[:, 2], codes * 10, atol=2)
    np.testing.assert_array_equal(encoded[:, :2], matrix)


def test_missing_and_other_have_places_of_their_own() -> None:
    matrix, features, codes = made()
    target = codes * 1.0
    matrix[codes == 5, 0], target[codes == 5] = np.nan, 1000.0
    encoding, _ = TargetEncoding.fit(matrix, features, target, 0)
    applied = encoding.apply(np.array([[np.nan, 0], [0, 0]], dtype=np.float32))
    np.testing.assert_allclose(applied[:, 2], [1000, 0], rtol=0.01, atol=1)


def test_noise_is_not_learned() -> None:
    """Rows must not see their own target: with three rows a level, it would look like knowledge."""
    draw = np.random.default_rng(2)
    codes = draw.integers(0, 2000, ROWS)
    matrix = codes[:, None].astype(np.float32)
    target = draw.integers(0, 2, ROWS)
    encoding, encoded = TargetEncoding.fit(matrix, [Feature("id", "id", 2000)], target, 2)
    assert abs(np.corrcoef(encoded[:, 1], target)[0, 1]) < 0.1
    assert encoding.apply(matrix)[:, 1].std() < 0.15


def test_small_levels_are_drawn_to_the_overall_mean() -> None:
    matrix, features, codes = made()
    target = np.where(codes == 7, 1.0, 0.0) + np.random.default_rng(0).normal(0, 3, ROWS)
    few = np.flatnonzero(codes == 7)[2:]
    kept = np.setdiff1d(np.arange(ROWS), few)
    encoding, _ = TargetEncoding.fit(matrix[kept], features, target[kept] + 50 * (codes[kept] == 7), 0)
    full, _ = TargetEncoding.fit(matrix, features, target + 50 * (codes == 7), 0)
    row = np.array([[7, 0]], dtype=np.float32)
    assert encoding.apply(row)[0, 2] < full.apply(row)[0, 2]


@pytest.mark.parametrize(("classes", "columns"), [(2, 1), (3, 3), (30, MAX_CLASSES)])
def test_classes_are_encoded_by_their_shares(classes: int, columns: int) -> None:
    matrix, features, codes = made()
    target = codes % classes
    encoding, encoded = TargetEncoding.fit(matrix, features, target, classes)
    assert len(encoding.features) == columns and encoded.shape[1] == 2 + columns
    shares = encoding.apply(matrix)[:, 2:]
    assert (shares >= 0).all() and (shares <= 1).all()
    if classes == 3:
        np.testing.assert_array_equal(shares.argmax(axis=1), target)


def test_weights_count_as_rows_do() -> None:
    matrix, features, _ = made()
    draw = np.random.default_rng(4)
    target = draw.normal(size=ROWS)
    weights = draw.integers(1, 4, ROWS).astype(np.float64)
    weighted, _ = TargetEncoding.fit(matrix, features, target, 0, weights)
    repeats = weights.astype(int)
    repeated, _ = TargetEncoding.fit(np.repeat(matrix, repeats, axis=0), features, np.repeat(target, repeats), 0)
    np.testing.assert_allclose(weighted.table, repeated.table, rtol=0.05, atol=0.02)


def test_the_same_seed_gives_the_same_bits() -> None:
    matrix, features, codes = made()
    target = codes % 2
    first, second = (TargetEncoding.fit(matrix, features, target, 2, seed=5)[1] for _ in range(2))
    other = TargetEncoding.fit(matrix, features, target, 2, seed=6)[1]
    assert first.tobytes() == second.tobytes() != other.tobytes()


def test_small_categories_and_numbers_are_left_alone() -> None:
    matrix, _, _ = made()
    features = (Feature("town", "town", 8), Feature("size", "size"))
    encoding, encoded = TargetEncoding.fit(matrix[matrix[:, 0] < 8], features, np.zeros((matrix[:, 0] < 8).sum()), 0)
    assert encoding.features == () and encoded.shape[1] == 2
    assert encoding.apply(matrix) is matrix


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_very_few_rows(rows: int) -> None:
    matrix = np.arange(rows, dtype=np.float32)[:, None]
    encoding, encoded = TargetEncoding.fit(matrix, [Feature("x", "x", 20)], np.arange(rows) * 1.0, 0)
    assert np.isfinite(encoded).all() and np.isfinite(encoding.table).all()


def test_very_wide_tables_are_kept_in_bounds() -> None:
    matrix = np.random.default_rng(0).integers(0, 20, (50, 600)).astype(np.float32)
    features = [Feature(f"c{i}", f"c{i}", 20 + i % 2) for i in range(600)]
    encoding, _ = TargetEncoding.fit(matrix, features, np.arange(50) % 4, 4)
    assert len(encoding.features) == MAX_COLUMNS
    assert {features[column].levels for column in encoding.columns} == {21}


def test_a_group_does_not_encode_itself() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 10)
    level = groups % 20
    target = rng.normal(size=60)[groups]  # known by the group alone: whoever looks at its other rows knows the answer
    matrix, features = level[:, None].astype(np.float32), [Feature("x", "x", 20)]
    _, leaked = TargetEncoding.fit(matrix, features, target, 0)
    _, encoded = TargetEncoding.fit(matrix, features, target, 0, structure=Structure(groups))
    assert np.corrcoef(leaked[:, 1], target)[0, 1] > 0.3
    assert np.corrcoef(encoded[:, 1], target)[0, 1] < 0.1


def test_the_future_does_not_encode_the_past() -> None:
    times = np.arange(500)
    matrix, features = (times % 10)[:, None].astype(np.float32), [Feature("x", "x", 10)]
    target = np.sin(times % 10)
    later = np.where(times < 300, target, 100.0 * (times % 10))
    structure = Structure(times, is_ordered=True)
    _, first = TargetEncoding.fit(matrix, features, target, 0, structure=structure)
    _, second = TargetEncoding.fit(matrix, features, later, 0, structure=structure)
    assert np.ptp(first[:100, 1]) == 0
    assert np.corrcoef(first[100:300, 1], second[100:300, 1])[0, 1] > 0.99
