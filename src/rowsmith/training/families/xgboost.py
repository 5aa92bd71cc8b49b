"""Gradient-boosted trees, level by level: XGBoost (Chen and Guestrin 2016, doi:10.1145/2939672.2939785).

The grown trees are kept in the common form (see `trees.py`), so XGBoost itself is needed to train alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from rowsmith.training.data import Shape
from rowsmith.training.families.base import Family, Fit, Fitted, Params, Part, Real, Space, Stopping, Whole
from rowsmith.training.families.tree_learner import RESTORERS, TreeLearner, clipped, prepare
from rowsmith.training.families.trees import Tree, TreeText, model_text
from rowsmith.types import Array, Task

NAME = "xgboost"
FEW_LEVELS = 3
MOST_CLASSES = 50
MIDDLE: Params = {
    "learning_rate": 0.07,
    "max_depth": 6,
    "min_child_weight": 2.0,
    "subsample": 0.9,
    "colsample_bytree": 0.8,
    "colsample_bynode": 0.8,
    "reg_lambda": 2.0,
    "rounds": 2000,
}
PORTFOLIO: Mapping[str, Params] = {
    "middle": MIDDLE,
    "deep": {**MIDDLE, "max_depth": 10, "min_child_weight": 8.0, "colsample_bytree": 0.5, "learning_rate": 0.05},
    "shallow": {**MIDDLE, "max_depth": 3, "colsample_bytree": 0.6},
    "calm": {
        **MIDDLE,
        "learning_rate": 0.06,
        "max_depth": 5,
        "min_child_weight": 20.0,
        "subsample": 0.6,
        "colsample_bytree": 0.5,
        "reg_lambda": 20.0,
    },
    "eager": {
        **MIDDLE,
        "learning_rate": 0.05,
        "max_depth": 8,
        "min_child_weight": 0.5,
        "subsample": 0.8,
        "colsample_bytree": 1.0,
        "colsample_bynode": 0.4,
        "reg_lambda": 0.1,
    },
}


def portfolio(shape: Shape) -> Mapping[str, Params]:
    return PORTFOLIO if shape.outputs <= MOST_CLASSES else {}


def space(shape: Shape) -> Space:
    return {
        "learning_rate": Real(0.02, 0.2, log=True),
        "max_depth": Whole(2, 11),
        "min_child_weight": Real(0.1, 50.0, log=True),
        "subsample": Real(0.5, 1.0),
        "colsample_bytree": Real(0.3, 1.0),
        "colsample_bynode": Real(0.3, 1.0),
        "reg_lambda": Real(0.01, 100.0, log=True),
    }


def cost(shape: Shape, params: Params) -> float:
    rounds = float(min(params["rounds"], 8 / params["learning_rate"] + 40))
    one_round = 5e-9 * shape.rows * max(shape.columns, 4) * params["max_depth"] + 2e-5 * 2.0 ** params["max_depth"]
    return float(0.1 + rounds * shape.outputs * one_round)


def memory(shape: Shape, params: Params) -> float:
    return shape.rows * (shape.columns * 6 + 40 * shape.outputs) / 1e6 + 20


def fit(fit: Fit) -> Fitted:
    import xgboost

    ready = prepare(fit, native_levels=FEW_LEVELS)
    data = _matrix(xgboost, ready.train, fit)
    validation = _matrix(xgboost, ready.validation, fit, reference=data) if ready.validation is not None else None
    booster = xgboost.Booster(_settings(fit), [data] if validation is None else [data, validation])
    stopping = Stopping(fit, patience=int(20 + 2 / fit.params["learning_rate"]))
    for number in range(fit.rounds or int(fit.params["rounds"])):
        booster.update(data, number)
        loss = None
        if validation is not None:
            loss = float(booster.eval_set([(validation, "validation")], number).rsplit(":", 1)[1])
        if stopping.after_round(loss):
            break
    rounds = max(stopping.best_rounds, 1)
    text = _text(booster, fit, ready.train.matrix.shape[1], rounds)
    return Fitted(TreeLearner(text, fit.shape, ready.encoding), rounds, stopping.rounds)


def _settings(fit: Fit) -> dict[str, Any]:
    own = {key: value for key, value in fit.params.items() if key != "rounds"}
    return {
        **_objective(fit),
        "tree_method": "hist",
        "max_bin": 255,
        "nthread": fit.threads,
        "seed": fit.seed,
        "verbosity": 0,
        **own,
    }


def _objective(fit: Fit) -> dict[str, Any]:
    """With a margin of 0 to start from, so that the trees are the whole model."""
    if fit.task is Task.BINARY:
        return {"objective": "binary:logistic", "eval_metric": "logloss", "base_score": 0.5}
    if fit.task is Task.MULTICLASS:
        return {
            "objective": "multi:softprob",
            "eval_metric": "mlogloss",
            "num_class": fit.classes,
            "base_score": 0.0,
        }
    kind, metric = ("reg:absoluteerror", "mae") if fit.absolute else ("reg:squarederror", "rmse")
    return {"objective": kind, "eval_metric": metric, "base_score": 0.0}


def _matrix(xgboost: Any, part: Part, fit: Fit, reference: Any = None) -> Any:
    return xgboost.QuantileDMatrix(
        clipped(part.matrix),
        part.target,
        weight=part.weights,
        ref=reference,
        max_bin=255,
        nthread=fit.threads,
    )


def _text(booster: Any, fit: Fit, features: int, rounds: int) -> TreeText:
    outputs = fit.classes if fit.task is Task.MULTICLASS else 1
    model = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]
    grown = model["trees"][: rounds * outputs]
    return model_text([_plain(tree) for tree in grown], features=features, outputs=outputs)


def _plain(tree: dict[str, Any]) -> Tree:
    """XGBoost goes left below the threshold, we at it: the float32 before theirs splits alike. Leaves hold their
    value where nodes hold their threshold."""
    conditions: Array = np.array(tree["split_conditions"], dtype=np.float32)
    return Tree.of_nodes(
        np.array(tree["left_children"]),
        np.array(tree["right_children"]),
        np.array(tree["split_indices"]),
        np.nextafter(conditions, np.float32(-np.inf)),
        np.array(tree["default_left"]),
        conditions,
    )


FAMILY = Family(
    name=NAME,
    title="XGBoost",
    portfolio=portfolio,
    space=space,
    fit=fit,
    cost=cost,
    memory=memory,
    restorers=RESTORERS,
    libraries=("xgboost",),
    more_rounds=1.1,
    cuts=True,
)
