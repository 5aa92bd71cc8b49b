"""Regularised linear models: logistic regression for classes, ridge for numbers, over the dense view.

Both are fitted by L-BFGS (Liu and Nocedal 1989, doi:10.1007/BF01589116), which can be stopped at any iteration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rowsmith.state import State
from rowsmith.training.data import Shape
from rowsmith.training.families import price
from rowsmith.training.families.base import Family, Fit, Fitted, Params, Part, Real, Space
from rowsmith.training.families.links import sigmoid, softmax, two_classes
from rowsmith.transformation.dense import DenseView
from rowsmith.types import Array, Matrix, Scores2D, Task, Vector

NAME = "linear"
KIND = "linear"
ITERATIONS = 100
CHUNK_CELLS = 1 << 20
LARGEST_VIEW_CELLS = 60_000_000
"""Of the dense training rows (half a gigabyte); more rows than that teach a linear model little."""


def portfolio(shape: Shape) -> Mapping[str, Params]:
    return {"middle": {"c": 1.0}, "strict": {"c": 0.02}, "loose": {"c": 50.0}}


def space(shape: Shape) -> Space:
    return {"c": Real(1e-4, 1e3, log=True)}


def cost(shape: Shape, params: Params) -> float:
    """Two products with the rows an iteration."""
    return 0.1 + 60 * 3e-9 * _rows(shape) * width(shape) * max(shape.outputs, 1)


def memory(shape: Shape, params: Params) -> float:
    return 3 * 8 * _rows(shape) * width(shape) / 1e6


def width(shape: Shape) -> int:
    """A guess of the dense view's columns: each column its number, with some spread categories."""
    return int(1.5 * shape.columns) + min(shape.widest_category, 32) + 1


def _rows(shape: Shape) -> int:
    return min(shape.rows, max(LARGEST_VIEW_CELLS // width(shape), 1000))


def fit(fit: Fit) -> Fitted:
    train = _limited(fit)
    target, weights = train.target, train.weights
    view, dense = DenseView.fit(
        train.matrix, fit.features, target, fit.classes, weights, fit.seed, structure=train.structure
    )
    outputs = fit.classes if fit.task is Task.MULTICLASS and fit.classes > 2 else 1
    loss = _squared if fit.task is Task.REGRESSION else _logistic if outputs == 1 else _softmax
    answers = np.eye(outputs)[target] if outputs > 1 else target.astype(np.float64)[:, None]
    shares = np.full(len(dense), 1.0 / len(dense)) if weights is None else weights / weights.sum()
    penalty = 1.0 / (float(fit.params["c"]) * len(dense))
    coefficients, rounds = _minimise(fit, loss, dense, answers, shares, penalty)
    return Fitted(LinearLearner(view, coefficients[:-1].T.copy(), coefficients[-1], fit.task, fit.classes), rounds)


def _limited(fit: Fit) -> Part:
    """The rows, or a sample of them where the dense view would be too large. Rows without weight are left out."""
    train = fit.train
    rows = np.arange(len(train.target)) if train.weights is None else np.flatnonzero(train.weights > 0)
    most = _rows(fit.shape)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(fit.seed).choice(rows, most, replace=False))
    return train if len(rows) == len(train.target) else train.take(rows)


def _minimise(fit: Fit, loss: Any, dense: Array, answers: Array, shares: Vector, penalty: float) -> tuple[Array, int]:
    """Coefficients (columns + 1, outputs), the last row being the intercepts, which are not drawn to 0."""
    from scipy.optimize import minimize

    columns = dense.shape[1]
    outputs = answers.shape[1]
    iterations = 0

    def value_and_slope(flat: Vector) -> tuple[float, Vector]:
        w = flat.reshape(columns + 1, outputs)
        value, miss = loss(dense @ w[:-1] + w[-1], answers, shares)
        slope = np.vstack([dense.T @ miss + penalty * w[:-1], miss.sum(axis=0)])
        return value + 0.5 * penalty * float((w[:-1] ** 2).sum()), slope.ravel()

    def count(intermediate: Vector) -> None:
        nonlocal iterations
        iterations += 1
        if fit.out_of_time:
            raise StopIteration

    start = np.zeros((columns + 1) * outputs)
    options = {"maxiter": fit.rounds or ITERATIONS, "gtol": 1e-5, "ftol": 1e-7, "maxcor": 20}
    found = minimize(value_and_slope, start, jac=True, method="L-BFGS-B", callback=count, options=options)
    return found.x.reshape(columns + 1, outputs), max(iterations, 1)


def _squared(sums: Array, answers: Array, shares: Vector) -> tuple[float, Array]:
    miss = sums - answers
    weighted = shares[:, None] * miss
    return 0.5 * float((weighted * miss).sum()), weighted


def _logistic(sums: Array, answers: Array, shares: Vector) -> tuple[float, Array]:
    losses = np.logaddexp(0.0, sums) - answers * sums
    return float(shares @ losses[:, 0]), shares[:, None] * (sigmoid(sums) - answers)


def _softmax(sums: Array, answers: Array, shares: Vector) -> tuple[float, Array]:
    shifted = sums - sums.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    totals = powers.sum(axis=1)
    losses = np.log(totals) - (shifted * answers).sum(axis=1)
    return float(shares @ losses), shares[:, None] * (powers / totals[:, None] - answers)


class LinearLearner:
    """Coefficients (outputs, columns) over a dense view. Sums run along each row, never through a matrix product,
    whose order of adding up depends on how many rows there are."""

    family: ClassVar[str] = NAME

    def __init__(self, view: DenseView, coefficients: Array, intercepts: Vector, task: Task, classes: int) -> None:
        self._view = view
        self._coefficients = np.ascontiguousarray(coefficients)
        self._intercepts = intercepts
        self._task = task
        self._classes = classes

    def predict(self, matrix: Matrix) -> Scores2D:
        with np.errstate(all="ignore"):  # infinite inputs are the view's business, which makes them finite
            step = max(CHUNK_CELLS // max(self._coefficients.shape[1], 1), 1)
            parts = [self._answer(matrix[i : i + step]) for i in range(0, len(matrix), step)]
        return np.concatenate(parts) if parts else np.zeros((0, max(self._classes, 1)))

    def predict_row(self, vector: Matrix) -> Vector:
        with np.errstate(all="ignore"):
            return np.asarray(self._answer(vector[None, :])[0])

    @property
    def row_us(self) -> float:
        return price.LEARNER_US + price.of_linear(self._view.width, len(self._coefficients))

    def _answer(self, matrix: Matrix) -> Scores2D:
        dense = np.ascontiguousarray(self._view.apply(matrix))
        sums = np.empty((len(matrix), len(self._coefficients)))
        if len(matrix) == 1:
            # The same sums along the same columns, for all outputs in one call.
            sums[0] = (dense * self._coefficients).sum(axis=1) + self._intercepts
        else:
            for i, row in enumerate(self._coefficients):
                sums[:, i] = (dense * row).sum(axis=1) + self._intercepts[i]
        if self._task is Task.REGRESSION:
            return np.asarray(sums)
        return two_classes(sigmoid(sums[:, 0].copy())) if len(self._coefficients) == 1 else softmax(sums)

    def to_state(self) -> State:
        return State(
            KIND,
            {"task": self._task.value, "classes": self._classes},
            arrays={"coefficients": self._coefficients, "intercepts": self._intercepts},
            children={"view": self._view.to_state()},
        )


def restorer(state: State, parts: Mapping[str, Any]) -> LinearLearner:
    arrays, data = state.arrays, state.data
    return LinearLearner(
        parts["view"], arrays["coefficients"], arrays["intercepts"], Task(data["task"]), data["classes"]
    )


FAMILY = Family(
    name=NAME,
    title="Linear",
    portfolio=portfolio,
    space=space,
    fit=fit,
    cost=cost,
    memory=memory,
    restorers={KIND: restorer},
    libraries=("scipy.optimize",),
    refit=True,
)
