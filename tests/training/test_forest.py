"""Forests: the packed form holds the trees that were grown, is small, and is refused where it is damaged."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from rowsmith.errors import ArtifactError
from rowsmith.training.families.exact import on_a_grid
from rowsmith.training.families.extra_trees import FAMILY, LEAST_TREES, MOST_BYTES, TREES
from rowsmith.training.families.forest import Forest, children, grown_of
from rowsmith.training.trials import size_of
from rowsmith.training.unit import Unit, learn
from rowsmith.types import Matrix, Task
from tests.training.tables import make_table


def grown(classes: int, rows: int = 300) -> tuple[ExtraTreesClassifier, Matrix]:
    rng = np.random.default_rng(classes)
    matrix = rng.normal(size=(rows, 4)).astype(np.float32)
    target = rng.integers(0, classes, rows)
    matrix[rng.random(rows) < 0.1, 1] = np.nan
    return ExtraTreesClassifier(20, random_state=0, min_samples_leaf=2).fit(matrix, target), matrix


def packed(forest: ExtraTreesClassifier) -> Forest:
    trees = [tree.tree_ for tree in forest.estimators_]
    arrays = grown_of(trees, [tree.value[:, 0, :] for tree in trees]).packed()
    classes = len(forest.classes_)
    return Forest(arrays, task=Task.MULTICLASS, classes=classes, encoding=None)


def test_a_packed_forest_answers_as_the_library_does() -> None:
    forest, matrix = grown(classes=5)
    np.testing.assert_allclose(packed(forest).predict(matrix), forest.predict_proba(matrix), atol=1e-7)


def test_a_leaf_takes_few_bytes() -> None:
    data = make_table(Task.MULTICLASS, rows=2000)
    params = {**FAMILY.portfolio(data.shape)["half"], "rows_in_leaf": 1}
    learner, trees = learn(data, data.folds[0], Unit(0, FAMILY.name, params, 0))
    state = learner.to_state()
    assert trees == TREES
    assert size_of(state) < 9 * state.arrays["leaves"].sum()


def test_a_large_forest_has_fewer_trees_and_then_larger_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_table(Task.BINARY, rows=1000)
    params = {**FAMILY.portfolio(data.shape)["few"], "rows_in_leaf": 1}
    unit = Unit(0, FAMILY.name, params, 0)
    whole = size_of(learn(data, data.folds[0], unit)[0].to_state())
    assert whole < MOST_BYTES
    monkeypatch.setattr("rowsmith.training.families.extra_trees.MOST_BYTES", 0.7 * whole)
    learner, trees = learn(data, data.folds[0], unit)
    assert LEAST_TREES <= trees < TREES
    assert size_of(learner.to_state()) < 0.9 * whole
    monkeypatch.setattr("rowsmith.training.families.extra_trees.MOST_BYTES", 0.1 * whole)
    learner, _ = learn(data, data.folds[0], unit)
    assert size_of(learner.to_state()) < 0.2 * whole


def test_no_class_is_impossible() -> None:
    data = make_table(Task.MULTICLASS, classes=6)
    learner, _ = learn(data, data.folds[0], Unit(0, FAMILY.name, FAMILY.portfolio(data.shape)["few"], 0))
    assert learner.predict(data.matrix).min() > 1e-4


def test_children_of_a_tree() -> None:
    """One leaf; then a root with a node of two leaves on its left, and one leaf on its right."""
    left, right = children(np.array([2, 1]), np.array([1, 3]))
    assert left.tolist() == [1, ~0]
    assert right.tolist() == [~2, ~1]


@pytest.mark.parametrize(
    ("left_leaves", "leaves"),
    [([2, 1], [4]), ([0, 1], [3]), ([3, 1], [3]), ([1], [0, 3]), ([1, 1], [2])],
)
def test_counts_that_are_no_trees_are_refused(left_leaves: list[int], leaves: list[int]) -> None:
    with pytest.raises(ArtifactError, match="not trees"):
        children(np.array(left_leaves), np.array(leaves))


def test_sums_on_the_grid_do_not_depend_on_their_order() -> None:
    rng = np.random.default_rng(0)
    values = on_a_grid((1e3 * rng.normal(size=2000)).astype(np.float32), 2000)
    assert len({float(np.add.accumulate(rng.permutation(values))[-1]) for _ in range(20)}) == 1
    np.testing.assert_allclose(values, (1e3 * np.random.default_rng(0).normal(size=2000)).astype(np.float32), atol=1e-8)
