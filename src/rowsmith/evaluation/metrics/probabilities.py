"""Metrics of the probabilities themselves: proper scoring rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rowsmith.evaluation.metrics.averages import mean
from rowsmith.types import Array, Metric, Scores2D, Task, Vector

TINY = float(np.finfo(np.float64).eps)


def log_loss(truth: Array, predicted: Scores2D, weights: Vector | None) -> float:
    """Mean of minus the logarithm of the probability given to the true class (nats).

    Probabilities are clipped to [eps, 1 - eps], so that a sure and wrong answer costs about 36 and not infinity.
    Source: Good 1952, Rational Decisions.
    """
    return mean(_log_losses(truth, predicted), weights)


def brier(truth: Array, predicted: Scores2D, weights: Vector | None) -> float:
    """Mean squared distance between probabilities and what happened.

    Two classes: of the event alone, 0 to 1. More: summed over the classes, 0 to 2.
    Source: Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    return mean(_squared_distances(truth, predicted), weights)


def _log_losses(truth: Array, predicted: Scores2D) -> Vector:
    chosen = np.take_along_axis(predicted, truth[:, None], axis=1)[:, 0]
    losses: Vector = -np.log(np.clip(chosen, TINY, 1 - TINY))
    return losses


def _squared_distances(truth: Array, predicted: Scores2D) -> Vector:
    if predicted.shape[1] == 2:
        distances: Vector = (predicted[:, 1] - truth) ** 2
        return distances
    chosen = np.take_along_axis(predicted, truth[:, None], axis=1)[:, 0]
    squared: Vector = np.einsum("ij,ij->i", predicted, predicted) - 2 * chosen + 1
    return squared


def _prepared(losses: Callable[[Array, Scores2D], Vector]) -> Callable[[Array, Array], Callable[[Vector], float]]:
    def prepare(truth: Array, predicted: Array) -> Callable[[Vector], float]:
        values = losses(truth, predicted)
        return lambda weights: mean(values, weights)

    return prepare


LOG_LOSS = Metric(
    name="log_loss",
    title="Log loss",
    tasks=frozenset({Task.BINARY, Task.MULTICLASS}),
    needs="probabilities",
    greater_is_better=False,
    function=log_loss,
    source="Good 1952, Rational Decisions",
    prepare=_prepared(_log_losses),
)
BRIER = Metric(
    name="brier",
    title="Brier score",
    tasks=frozenset({Task.BINARY, Task.MULTICLASS}),
    needs="probabilities",
    greater_is_better=False,
    function=brier,
    source="doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    prepare=_prepared(_squared_distances),
)
