"""Extremely randomised trees (Geurts et al. 2006, doi:10.1007/s10994-006-6226-1), grown by scikit-learn.

Good company for boosted trees in an ensemble, because it errs elsewhere. This file is also the example of a family:
settings to try, what tuning may change, a price, a fit, and a record at the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rowsmith.training.data import Shape
from rowsmith.training.families.base import Choice, Family, Fit, Fitted, Params, Real, Space
from rowsmith.training.families.forest import RESTORERS, Forest
from rowsmith.training.families.tree_learner import clipped, prepare
from rowsmith.training.families.trees import Tree
from rowsmith.types import Array, Task

NAME = "extra_trees"
TREES = 120
TREES_AT_A_TIME = 4
MOST_CELLS = 2_000_000
"""Of all trees together, a leaf counting four and one for each output: about 6 MB."""
MOST_CLASSES = 200
FEW_LEVELS = 3
"""Categories of more levels are target encoded; the codes of so few are as good as numbers."""


def portfolio(shape: Shape) -> Mapping[str, Params]:
    if shape.outputs > MOST_CLASSES:
        return {}
    return {
        "middle": {"max_features": 0.5, "leaf_share": 0.0},
        "coarse": {"max_features": 1.0, "leaf_share": 0.001},
    }


def space(shape: Shape) -> Space:
    return {"max_features": Real(0.1, 1.0), "leaf_share": Choice((0.0, 0.0005, 0.001, 0.003))}


def cost(shape: Shape, params: Params) -> float:
    depth = math.log2(max(shape.rows / _rows_in_leaf(shape, params), 2.0))
    share = float(params["max_features"])
    return 0.1 + TREES * shape.rows * depth * (2e-8 * shape.columns * share + 1.5e-7)


def memory(shape: Shape, params: Params) -> float:
    return (shape.rows * shape.columns * 4 + 40 * MOST_CELLS) / 1e6


def fit(fit: Fit) -> Fitted:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    train = prepare(fit, native_levels=FEW_LEVELS)
    kind = ExtraTreesClassifier if fit.task.is_classification else ExtraTreesRegressor
    forest = kind(
        n_estimators=0,
        warm_start=True,
        max_features=float(fit.params["max_features"]),
        min_samples_leaf=_rows_in_leaf(fit.shape, fit.params),
        random_state=fit.seed,
        n_jobs=fit.threads,
    )
    matrix = clipped(train.train.matrix)
    wanted = fit.rounds or TREES
    while forest.n_estimators < wanted:
        forest.n_estimators += min(TREES_AT_A_TIME, wanted - forest.n_estimators)
        forest.fit(matrix, fit.train.target, sample_weight=fit.train.weights)
        if fit.out_of_time:
            break
    trees = [_plain(grown.tree_, fit.task) for grown in forest.estimators_]
    learner = Forest.of(trees, features=matrix.shape[1], task=fit.task, classes=fit.classes, encoding=train.encoding)
    return Fitted(learner, forest.n_estimators)


def _rows_in_leaf(shape: Shape, params: Params) -> int:
    """A forest left alone fills the artifact with leaves of single rows."""
    return max(1, math.ceil(shape.rows * float(params["leaf_share"])), math.ceil(shape.rows * TREES / _leaves(shape)))


def _leaves(shape: Shape) -> float:
    return MOST_CELLS / (4 + shape.outputs)


def _plain(tree: Any, task: Task) -> Tree:
    """Class shares (for two classes, that of the event) or the mean in each leaf."""
    values: Array = tree.value[:, 0, :]
    if task.is_classification:
        values = values / values.sum(axis=1, keepdims=True)
        values = values if task is Task.MULTICLASS else values[:, 1:]
    default_left = np.asarray(tree.missing_go_to_left, dtype=bool)
    return Tree.of_nodes(tree.children_left, tree.children_right, tree.feature, tree.threshold, default_left, values)


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
)
