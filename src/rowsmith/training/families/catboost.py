"""Gradient-boosted symmetric trees: CatBoost (Prokhorenkova et al. 2018, https://arxiv.org/abs/1706.09516).

Categories come as columns of 0 and 1 where they have few levels, target encoded where they have more: on adult that
is within 0.0005 of the AUC of CatBoost's own statistics of categories, in an eighth of the time. It also makes every
split a comparison with a number, so a model is a few arrays, which answer a row in a third of the library's time.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rowsmith.state import State
from rowsmith.training.data import Shape
from rowsmith.training.families.base import Family, Fit, Fitted, Params, Part, Real, Restorer, Space, Whole
from rowsmith.training.families.links import sigmoid, softmax, two_classes
from rowsmith.training.families.tree_learner import clipped, prepare
from rowsmith.transformation.target_encoding import TargetEncoding
from rowsmith.types import Array, Matrix, Rows, Scores2D, Task, Vector

NAME = "catboost"
KIND = "symmetric_trees"
ONE_HOT_LEVELS = 16
FEW_LEVELS = 3
MOST_CLASSES = 50
MIDDLE: Params = {
    "learning_rate": 0.08,
    "depth": 6,
    "l2_leaf_reg": 3.0,
    "rsm": 1.0,
    "random_strength": 1.0,
    "rounds": 2000,
}
PORTFOLIO: Mapping[str, Params] = {
    "middle": MIDDLE,
    "deep": {**MIDDLE, "depth": 8, "rsm": 0.6, "learning_rate": 0.06},
    "shallow": {**MIDDLE, "depth": 4},
    "calm": {
        **MIDDLE,
        "learning_rate": 0.06,
        "l2_leaf_reg": 30.0,
        "rsm": 0.5,
        "random_strength": 4.0,
        "bootstrap_type": "Bernoulli",
        "subsample": 0.7,
    },
    "eager": {
        **MIDDLE,
        "depth": 7,
        "learning_rate": 0.05,
        "l2_leaf_reg": 1.0,
        "rsm": 0.8,
        "random_strength": 0.2,
        "bootstrap_type": "Bernoulli",
        "subsample": 0.85,
    },
}


def portfolio(shape: Shape) -> Mapping[str, Params]:
    return PORTFOLIO if shape.outputs <= MOST_CLASSES else {}


def space(shape: Shape) -> Space:
    return {
        "learning_rate": Real(0.03, 0.2, log=True),
        "depth": Whole(3, 9),
        "l2_leaf_reg": Real(0.3, 100.0, log=True),
        "rsm": Real(0.3, 1.0),
        "random_strength": Real(0.1, 10.0, log=True),
    }


def cost(shape: Shape, params: Params) -> float:
    rounds = float(min(params["rounds"], 20 / params["learning_rate"] + 100))
    one_round = shape.rows * (1.5e-7 + 4e-9 * shape.columns * params["depth"]) + 1e-6 * 2.0 ** params["depth"] + 3e-4
    return float(0.2 + rounds * one_round * (1 if shape.outputs == 1 else 0.7 * shape.outputs))


def memory(shape: Shape, params: Params) -> float:
    return shape.rows * (shape.columns * 6 + 60 * shape.outputs) / 1e6 + 40


def fit(fit: Fit) -> Fitted:
    from catboost import CatBoost, Pool

    ready = prepare(fit, native_levels=ONE_HOT_LEVELS)
    spread = OneHot.of(fit)

    def pool(part: Part) -> Any:
        return Pool(clipped(spread.apply(part.matrix)), part.target, weight=part.weights)

    model = CatBoost(_settings(fit))
    validation = pool(ready.validation) if ready.validation is not None else None
    model.fit(pool(ready.train), eval_set=validation, callbacks=[_Clock(fit)] if fit.deadline is not None else None)
    rounds = int(model.tree_count_)
    return Fitted(SymmetricTrees(spread, ready.encoding, *_plain(model), fit.task, fit.classes), rounds)


def _settings(fit: Fit) -> dict[str, Any]:
    own = {key: value for key, value in fit.params.items() if key != "rounds"}
    loss = "MAE" if fit.absolute else "RMSE"
    stopping: dict[str, Any] = {}
    if fit.validation is not None:
        stopping = {"od_type": "Iter", "od_wait": int(20 + 2 / fit.params["learning_rate"]), "use_best_model": True}
    return {
        "loss_function": {Task.BINARY: "Logloss", Task.MULTICLASS: "MultiClass"}.get(fit.task, loss),
        "iterations": fit.rounds or int(fit.params["rounds"]),
        "random_seed": fit.seed,
        "thread_count": fit.threads,
        "boosting_type": "Plain",
        # Left alone it is chosen by the number of iterations, and a replay would come out differently.
        "leaf_estimation_iterations": 8 if fit.task is Task.BINARY else 1,
        "allow_writing_files": False,
        "verbose": False,
        **stopping,
        **own,
    }


class _Clock:
    """CatBoost asks after each round whether to go on."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit

    def after_iteration(self, info: Any) -> bool:
        return not self._fit.out_of_time


def _plain(model: Any) -> tuple[Rows, Matrix, Array, Vector]:
    """Split columns and borders (trees, depth), leaves (trees, 2^depth, outputs), and the bias (outputs,).

    Trees that are less deep get splits that no value passes.
    """
    with tempfile.TemporaryDirectory(prefix="rowsmith-") as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        document = json.loads(path.read_bytes())
    scale, bias = document["scale_and_bias"]
    trees = document["oblivious_trees"]
    depth = max((len(tree["splits"] or ()) for tree in trees), default=0)
    outputs = len(bias)
    columns = np.zeros((len(trees), depth), dtype=np.int64)
    borders = np.full((len(trees), depth), np.inf, dtype=np.float32)
    leaves = np.zeros((len(trees), 2**depth, outputs), dtype=np.float32)
    for i, tree in enumerate(trees):
        for k, split in enumerate(tree["splits"] or ()):
            columns[i, k] = split["float_feature_index"]
            borders[i, k] = split["border"]
        values = scale * np.array(tree["leaf_values"]).reshape(-1, outputs)
        leaves[i, : len(values)] = values
    return columns, borders, leaves, np.asarray(bias, dtype=np.float64)


class OneHot:
    """Columns of 0 and 1 beside the matrix, one for each level of each small category and one for its absence."""

    def __init__(self, columns: Rows, levels: Matrix) -> None:
        self.columns = columns
        self.levels = levels

    @classmethod
    def of(cls, fit: Fit) -> OneHot:
        pairs = [
            (column, level)
            for column, feature in enumerate(fit.features)
            if FEW_LEVELS < feature.levels <= ONE_HOT_LEVELS
            for level in range(-1, feature.levels)
        ]
        return cls(
            np.array([column for column, _ in pairs], dtype=np.int64),
            np.array([level for _, level in pairs], dtype=np.float32),
        )

    def apply(self, matrix: Matrix) -> Matrix:
        """The last axis gets longer; works for rows (rows, columns) and for one (columns,)."""
        if not len(self.columns):
            return np.ascontiguousarray(matrix, dtype=np.float32)
        values = matrix[..., self.columns]
        spread = np.where(np.isnan(values), np.float32(-1), values) == self.levels
        return np.concatenate([matrix, spread], axis=-1, dtype=np.float32)


class SymmetricTrees:
    """Trees whose every level asks one question of all rows; leaf numbers are the answers as bits."""

    family: ClassVar[str] = NAME

    def __init__(
        self,
        spread: OneHot,
        encoding: TargetEncoding | None,
        columns: Rows,
        borders: Matrix,
        leaves: Array,
        bias: Vector,
        task: Task,
        classes: int,
    ) -> None:
        self._spread = spread
        self._encoding = encoding
        self._columns = columns
        self._borders = borders
        self._leaves = leaves
        self._bias = bias
        self._task = task
        self._classes = classes
        self._powers = 2 ** np.arange(columns.shape[1], dtype=np.int64)
        self._first_leaf = np.arange(len(columns)) * leaves.shape[1]
        self._all_leaves = leaves.reshape(-1, leaves.shape[2])

    def predict(self, matrix: Matrix) -> Scores2D:
        if not len(matrix):
            return np.zeros((0, max(self._classes, 1)))
        values = self._spread.apply(self._encoding.apply(matrix) if self._encoding else matrix)
        by_column = np.asfortranarray(values)
        sums = np.repeat(self._bias[None, :], len(values), axis=0)
        for columns, borders, leaves in zip(self._columns, self._borders, self._leaves, strict=True):
            place = np.zeros(len(values), dtype=np.int64)
            for k, (column, border) in enumerate(zip(columns.tolist(), borders, strict=True)):
                place |= (by_column[:, column] > border).astype(np.int64) << k
            sums += leaves[place]
        return self._answer(sums)

    def predict_row(self, vector: Matrix) -> Vector:
        values = self._spread.apply(self._encoding.apply_row(vector) if self._encoding else vector)
        place = (values[self._columns] > self._borders) @ self._powers + self._first_leaf
        steps = np.concatenate([self._bias[None, :], self._all_leaves[place]])
        # accumulate() adds in the order of the trees, as `predict` does; sum() would add in pairs.
        return np.asarray(self._answer(np.add.accumulate(steps, axis=0)[-1:])[0])

    def _answer(self, sums: Scores2D) -> Scores2D:
        if self._task is Task.REGRESSION:
            return sums
        return two_classes(sigmoid(sums[:, 0].copy())) if self._task is Task.BINARY else softmax(sums)

    def to_state(self) -> State:
        return State(
            KIND,
            {"task": self._task.value, "classes": self._classes},
            arrays={
                "columns": self._columns,
                "borders": self._borders,
                "leaves": self._leaves,
                "bias": self._bias,
                "one_hot_columns": self._spread.columns,
                "one_hot_levels": self._spread.levels,
            },
            children={"encoding": self._encoding.to_state()} if self._encoding else {},
        )


def restorer(state: State, parts: Mapping[str, Any]) -> SymmetricTrees:
    arrays, data = state.arrays, state.data
    return SymmetricTrees(
        OneHot(arrays["one_hot_columns"], arrays["one_hot_levels"]),
        parts.get("encoding"),
        arrays["columns"],
        arrays["borders"],
        arrays["leaves"],
        arrays["bias"],
        Task(data["task"]),
        data["classes"],
    )


RESTORERS: Mapping[str, Restorer] = {KIND: restorer}

FAMILY = Family(
    name=NAME,
    title="CatBoost",
    portfolio=portfolio,
    space=space,
    fit=fit,
    cost=cost,
    memory=memory,
    restorers=RESTORERS,
    libraries=("catboost",),
)
