"""A neural network for tables, learned in NumPy: what RealMLP does (see `neural_network.py`), within seconds.

It errs elsewhere than trees do, and so helps an ensemble where it is not the best alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rowsmith.training.data import Shape
from rowsmith.training.families.base import Choice, Family, Fit, Fitted, Params, Part, Real, Space, Stopping, Whole
from rowsmith.training.families.linear import width
from rowsmith.training.families.neural_learner import KIND, NAME, NeuralLearner, restorer
from rowsmith.training.families.neural_losses import Check, slope_of
from rowsmith.training.families.neural_network import Floats, Network, Plan
from rowsmith.transformation.dense import DenseView
from rowsmith.types import Rows, Task

MOST_CLASSES = 200
MOST_COLUMNS = 2000
SECONDS = 10.0
"""Of a fit, by and large: so many rows that they are seen LEAST_EPOCHS times, and so many epochs."""
ROWS_SEEN = 300_000
"""In all epochs together, where the time allows."""
LEAST_EPOCHS, MOST_EPOCHS = 8, 60
LARGEST_VIEW_CELLS = 40_000_000
PATIENCE = 0.75
"""Of the epochs: how long the validation rows may be answered worse than before."""
FEW_VALUES = 8
"""Numbers of no more values than that gain nothing from cosines."""
MOST_EMBEDDED = 48
EMBEDDING_WIDTH = 3
LOOKED_AT = 4096
HEAP_BYTES = 30_000_000
BEYOND = 1.2
"""Answers reach no further than this times the training targets, which are around 0."""

NUMBERS: Params = {
    "hidden": 128,
    "layers": 2,
    "activation": "mish",
    "members": 3,
    "frequencies": 16,
    "sigma": 3.0,
    "dropout": 0.15,
    "lr": 0.1,
    "decay": 0.02,
}
CLASSES: Params = {**NUMBERS, "lr": 0.2, "decay": 0.2}
FEW_ROWS = 2000
"""With fewer the steps are smaller and the networks too."""


def portfolio(shape: Shape) -> Mapping[str, Params]:
    """The rate of learning is not called `learning_rate`: a larger one does not make it quicker, as with boosting."""
    if shape.outputs > MOST_CLASSES or shape.columns > MOST_COLUMNS:
        return {}
    first = {**_default(shape), "epochs": _epochs(shape), "batch": _batch(shape)}
    return {
        "middle": first,
        "several": {**first, "hidden": 64, "members": 6, "sigma": 1.0},
        "deep": {**first, "layers": 3, "dropout": 0.3},
    }


def _default(shape: Shape) -> Params:
    default = CLASSES if shape.task.is_classification else NUMBERS
    if shape.rows < FEW_ROWS:
        return {**default, "hidden": 64, "members": 4, "lr": 0.05, "dropout": 0.4}
    return default


def _epochs(shape: Shape) -> int:
    rows = _rows(shape)
    epochs = min(ROWS_SEEN, SECONDS / _row_seconds(shape, _default(shape))) / rows
    return min(max(round(epochs), LEAST_EPOCHS), MOST_EPOCHS)


def _batch(shape: Shape) -> int:
    return 64 if shape.rows < FEW_ROWS else 128 if shape.rows < 5000 else 256


def _rows(shape: Shape) -> int:
    """More are left out. The same for all configurations, because a row is not worth less to a larger network."""
    in_time = SECONDS / (LEAST_EPOCHS * _row_seconds(shape, _default(shape)))
    return max(int(min(shape.rows, in_time, LARGEST_VIEW_CELLS / width(shape))), min(shape.rows, 1000))


def _row_seconds(shape: Shape, params: Params) -> float:
    """Of learning from one row once: 75 billion operations a second, and what is done to each unit."""
    hidden, layers = int(params["hidden"]), int(params["layers"])
    units = hidden * layers + 2 * _inputs(shape, params) + _embedded_columns(shape, params) * int(params["frequencies"])
    return int(params["members"]) * (8e-11 * _weights(shape, params) + 6e-9 * units)


def _weights(shape: Shape, params: Params) -> int:
    """Of one member."""
    hidden, layers = int(params["hidden"]), int(params["layers"])
    return hidden * (_inputs(shape, params) + (layers - 1) * hidden + shape.outputs)


def _inputs(shape: Shape, params: Params) -> int:
    return width(shape) + EMBEDDING_WIDTH * _embedded_columns(shape, params)


def _embedded_columns(shape: Shape, params: Params) -> int:
    """A guess: half of the columns are numbers of many values."""
    half = shape.columns // 2
    return half if params["frequencies"] and half <= MOST_EMBEDDED else 0


def space(shape: Shape) -> Space:
    return {
        "hidden": Choice((64, 128, 256, 384)),
        "layers": Whole(1, 3),
        "activation": Choice(("mish", "selu")),
        "sigma": Real(0.1, 10.0, log=True),
        "dropout": Real(0.0, 0.5),
        "lr": Real(0.02, 0.3, log=True),
        "decay": Real(1e-3, 0.5, log=True),
    }


def cost(shape: Shape, params: Params) -> float:
    rows = _rows(shape)
    seen = rows * int(params["epochs"])
    steps = seen / min(int(params["batch"]), rows)
    one_step = 3e-4 + 2e-9 * int(params["members"]) * _weights(shape, params)
    return 0.05 + seen * _row_seconds(shape, params) + steps * one_step


def memory(shape: Shape, params: Params) -> float:
    """The rows in doubles and in singles, a few arrays as large as the weights, and the rows under way."""
    return 1.5 * 8 * _rows(shape) * width(shape) / 1e6 + 60.0 * int(params["members"])


def fit(fit: Fit) -> Fitted:
    _keep_freed_memory()
    train = _chosen(fit)
    view, dense = DenseView.fit(
        train.matrix, fit.features, train.target, fit.classes, train.weights, fit.seed, structure=train.structure
    )
    rows: Floats = dense.astype(np.float32)
    del dense
    rng = np.random.default_rng(fit.seed)
    network = Network(_plan(fit, rows, len(view.numbers)), rng)
    network.begin(rows)
    bound = BEYOND * float(np.abs(train.target).max()) if fit.task is Task.REGRESSION else 0.0
    check = None if fit.validation is None else Check(fit, view, fit.validation, bound)
    rounds = _learn(fit, network, rows, train, check, rng)
    learner = NeuralLearner.of(network, view, rows[:LOOKED_AT], task=fit.task, classes=fit.classes, bound=bound)
    return Fitted(learner, rounds)


def _keep_freed_memory() -> None:
    """glibc gives arrays of more than 128 kB back to the kernel as soon as they are freed, and getting them again
    with each step takes nearly half of the time. A freed block of this size moves both of its limits (mallopt(3),
    M_MMAP_THRESHOLD); elsewhere this does nothing."""
    np.empty(HEAP_BYTES, dtype=np.uint8)


def _chosen(fit: Fit) -> Part:
    """The rows that have a weight, or a sample of them; weights are 1 in the mean."""
    train, weights = fit.train, fit.train.weights
    rows = np.arange(len(train.target)) if weights is None else np.flatnonzero(weights > 0)
    most = _rows(fit.shape)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng([fit.seed, 1]).choice(rows, most, replace=False))
    if weights is None and len(rows) == len(train.target):
        return train
    chosen = train.take(rows)
    return chosen if chosen.weights is None else replace(chosen, weights=chosen.weights / chosen.weights.mean())


def _plan(fit: Fit, rows: Floats, numbers: int) -> Plan:
    params = fit.params
    return Plan(
        inputs=rows.shape[1],
        hidden=(int(params["hidden"]),) * int(params["layers"]),
        outputs=fit.classes if fit.task is Task.MULTICLASS and fit.classes > 2 else 1,
        members=int(params["members"]),
        embedded=_embedded(rows, numbers if params["frequencies"] else 0),
        frequencies=int(params["frequencies"]),
        width=EMBEDDING_WIDTH,
        sigma=float(params["sigma"]),
        activation=str(params["activation"]),
    )


def _embedded(rows: Floats, numbers: int) -> Rows:
    """Columns of the view, among its first `numbers`, that have more than a few values; none where they are many."""
    found = [i for i in range(numbers) if len(np.unique(rows[:LOOKED_AT, i])) > FEW_VALUES]
    return np.array(found if len(found) <= MOST_EMBEDDED else [], dtype=np.int64)


def _learn(fit: Fit, network: Network, rows: Floats, train: Part, check: Check | None, rng: np.random.Generator) -> int:
    """The epochs after which the validation rows were answered best; the network is then as it was after them.

    The schedule depends on `epochs` alone, so a run that is told to end there ends with the same weights.
    """
    epochs = int(fit.params["epochs"])
    slope = slope_of(fit, train)
    stopping = Stopping(fit, patience=max(math.ceil(PATIENCE * epochs), 3))
    best = network.flat.copy()
    for epoch in range(min(fit.rounds or epochs, epochs)):
        _epoch(fit.params, epoch, epochs, network, rows, slope, rng)
        ended = stopping.after_round(None if check is None else check.loss(network))
        if stopping.best_rounds == epoch + 1:
            best[:] = network.flat
        if ended:
            break
    network.flat[:] = best
    return stopping.best_rounds


def _epoch(
    params: Params, epoch: int, epochs: int, network: Network, rows: Floats, slope: Any, rng: np.random.Generator
) -> None:
    """Once through the rows in random order; those that fill no batch wait for another epoch."""
    batch = min(int(params["batch"]), len(rows))
    steps = len(rows) // batch
    order = rng.permutation(len(rows))
    for step in range(steps):
        part = order[step * batch : (step + 1) * batch]
        share = _flat_then_down((epoch + (step + 0.5) / steps) / epochs)
        network.learn(
            rows[part],
            slope(part),
            rate=float(params["lr"]) * share,
            decay=float(params["decay"]) * share,
            dropout=float(params["dropout"]) * share,
        )


def _flat_then_down(at: float) -> float:
    """The "flat_cos" schedule of RealMLP: 1 for half of the time, then half a cosine down to 0."""
    return 1.0 if at < 0.5 else 0.5 * (1 + math.cos(math.pi * (2 * at - 1)))


FAMILY = Family(
    name=NAME,
    title="Neural network",
    portfolio=portfolio,
    space=space,
    fit=fit,
    cost=cost,
    memory=memory,
    restorers={KIND: restorer},
    libraries=("numpy",),
)
