"""Extremely randomised trees (Geurts et al. 2006, doi:10.1007/s10994-006-6226-1), grown by scikit-learn.

Good company for boosted trees in an ensemble, because it errs elsewhere. Trees are grown to their ends where the whole
forest stays small enough: out of fold on wine_quality (7 classes) a log loss of 0.77, against 0.99 with leaves of five
rows.
This file is also the example of a family: settings to try, what tuning may change, a price, a fit, and a record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rowsmith.training.data import Shape
from rowsmith.training.families.base import Family, Fit, Fitted, Params, Real, Space, Whole
from rowsmith.training.families.forest import RESTORERS, Forest, grown_of
from rowsmith.training.families.tree_learner import clipped, prepare
from rowsmith.types import Array, Matrix, Task, Vector

NAME = "extra_trees"
TREES = 150
TREES_AT_A_TIME = 4
LEAST_TREES = 60
MOST_BYTES = 7_500_000
"""Of all trees in memory; half of it on disk, a quarter of a second to load. Where fully grown trees would take more,
there are fewer of them, and where too few would be left, their leaves hold more rows."""
BYTES_OF_A_LEAF = 8
LEAST_SHARE = 0.03
MOST_CLASSES = 200
FEW_LEVELS = 3
"""Categories of more levels are target encoded; the codes of so few are as good as numbers."""
PRIOR_TREES = 0.5
"""The shares of the classes over all rows count as much as this many trees, so that none is impossible."""


def portfolio(shape: Shape) -> Mapping[str, Params]:
    """Tables of two classes tend to overlap, and to want leaves of several rows: out of fold on telco_churn a log loss
    of 0.43 with ten rows, 0.46 with one. More classes and numbers want single rows, and differ in `max_features`.
    """
    if shape.outputs > MOST_CLASSES:
        return {}
    few = few_features(shape)
    rows_in_leaf = {
        Task.BINARY: {"few": 10, "half": 3, "all": 1, "other": 1},
        Task.MULTICLASS: {"few": 1, "half": 1, "all": 1, "other": 5},
        Task.REGRESSION: {"few": 2, "half": 1, "all": 2, "other": 5},
    }[shape.task]
    shares = {"few": few, "half": 0.5, "all": 1.0, "other": 0.5 if shape.task is Task.REGRESSION else few}
    return {
        name: {"max_features": share, "rows_in_leaf": rows_in_leaf[name], "trees": TREES}
        for name, share in shares.items()
    }


def few_features(shape: Shape) -> float:
    """The square root of their number, as a share."""
    return round(max(1.0 / math.sqrt(max(shape.columns, 1)), LEAST_SHARE), 3)


def space(shape: Shape) -> Space:
    return {
        "max_features": Real(LEAST_SHARE, 1.0),
        "rows_in_leaf": Whole(1, max(2, min(50, shape.rows // 20)), log=True),
    }


def cost(shape: Shape, params: Params) -> float:
    most_leaves = MOST_BYTES / BYTES_OF_A_LEAF
    rows_in_leaf = max(float(params["rows_in_leaf"]), shape.rows * LEAST_TREES / most_leaves)
    trees = min(float(params["trees"]), max(most_leaves * 1.5 * rows_in_leaf / shape.rows, LEAST_TREES))
    depth = math.log2(max(shape.rows / rows_in_leaf, 2.0))
    tried = shape.columns * float(params["max_features"])
    return float(0.1 + trees * (2e-3 + shape.rows * depth * (6e-9 * tried + 3e-8)))


def memory(shape: Shape, params: Params) -> float:
    return (shape.rows * shape.columns * 4 + (120 + 8 * shape.outputs) * MOST_BYTES / BYTES_OF_A_LEAF) / 1e6


def fit(fit: Fit) -> Fitted:
    train = prepare(fit, native_levels=FEW_LEVELS)
    matrix = clipped(train.train.matrix)
    rows_in_leaf = int(fit.params["rows_in_leaf"])
    forest = _first_tree(fit, matrix, rows_in_leaf)
    # Without a look at the clock: a replay of the trees that there was time for has to choose the same leaves.
    while (excess := _size(forest, fit) * LEAST_TREES / MOST_BYTES) > 1.0:
        rows_in_leaf = max(math.ceil(rows_in_leaf * excess), rows_in_leaf + 1)
        forest = _first_tree(fit, matrix, rows_in_leaf)
    wanted = fit.rounds or max(min(int(fit.params["trees"]), int(MOST_BYTES / _size(forest, fit))), 1)
    while forest.n_estimators < wanted and not fit.out_of_time:
        forest.n_estimators += min(TREES_AT_A_TIME, wanted - forest.n_estimators)
        _grow(forest, fit, matrix)
    trees = [grown.tree_ for grown in forest.estimators_]
    arrays = grown_of(trees, [_value(tree, fit.task) for tree in trees]).packed()
    prior_trees = 0.0
    if fit.task.is_classification:
        prior_trees = PRIOR_TREES
        arrays["prior"] = _prior(fit)
    learner = Forest(
        arrays,
        task=fit.task,
        classes=fit.classes,
        encoding=train.encoding,
        prior_trees=prior_trees,
    )
    return Fitted(learner, forest.n_estimators)


def _first_tree(fit: Fit, matrix: Matrix, rows_in_leaf: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    kind = ExtraTreesClassifier if fit.task.is_classification else ExtraTreesRegressor
    forest = kind(
        n_estimators=1,
        warm_start=True,
        max_features=float(fit.params["max_features"]),
        min_samples_leaf=rows_in_leaf,
        random_state=fit.seed,
        n_jobs=fit.threads,
    )
    return _grow(forest, fit, matrix)


def _grow(forest: Any, fit: Fit, matrix: Matrix) -> Any:
    return forest.fit(matrix, fit.train.target, sample_weight=fit.train.weights)


def _size(forest: Any, fit: Fit) -> float:
    """Bytes of a tree, about: its leaves, and what those of several rows hold, since few others hold the same."""
    tree = forest.estimators_[0].tree_
    is_leaf = tree.children_left < 0
    mixed = tree.n_node_samples[is_leaf] > 1
    if fit.task.is_classification:
        values = tree.value[is_leaf, 0, :]
        mixed &= values.max(axis=1) < values.sum(axis=1)
    return float(BYTES_OF_A_LEAF * is_leaf.sum() + 4 * fit.shape.outputs * mixed.sum())


def _value(tree: Any, task: Task) -> Array:
    """Class shares (for two classes, that of the event) or the mean in each node."""
    values: Array = tree.value[:, 0, :]
    if task.is_classification:
        values = values / values.sum(axis=1, keepdims=True)
        values = values if task is Task.MULTICLASS else values[:, 1:]
    return values


def _prior(fit: Fit) -> Vector:
    shares = np.bincount(fit.train.target, weights=fit.train.weights, minlength=fit.classes) / len(fit.train.target)
    shares /= shares.sum()
    return shares if fit.task is Task.MULTICLASS else shares[1:]


FAMILY = Family(
    name=NAME,
    title="Extra trees",
    portfolio=portfolio,
    space=space,
    fit=fit,
    cost=cost,
    memory=memory,
    restorers=RESTORERS,
    libraries=("sklearn.ensemble",),
    refit=True,
    cuts=True,
)
