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
from typing import Any

import numpy as np

from rowsmith.training.data import Shape
from rowsmith.training.families.base import Family, Fit, Fitted, Params, Part, Real, Space, Whole
from rowsmith.training.families.symmetric_trees import ONE_HOT_LEVELS, RESTORERS, OneHot, SymmetricTrees
from rowsmith.training.families.tree_learner import clipped, prepare
from rowsmith.types import Array, Matrix, Rows, Task, Vector

NAME = "catboost"
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
    grown = rounds if validation is None else min(rounds + _patience(fit), int(fit.params["rounds"]))
    return Fitted(SymmetricTrees(spread, ready.encoding, *_plain(model), fit.task, fit.classes), rounds, grown)


def _patience(fit: Fit) -> int:
    return int(20 + 2 / fit.params["learning_rate"])


def _settings(fit: Fit) -> dict[str, Any]:
    own = {key: value for key, value in fit.params.items() if key != "rounds"}
    loss = "MAE" if fit.absolute else "RMSE"
    stopping: dict[str, Any] = {}
    if fit.validation is not None:
        stopping = {"od_type": "Iter", "od_wait": _patience(fit), "use_best_model": True}
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
    more_rounds=1.1,
    cuts=True,
)
