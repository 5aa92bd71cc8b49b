"""Metrics of predicted numbers. Without rows a score is NaN."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rowsmith.evaluation.metrics.averages import mean, median
from rowsmith.types import Array, Metric, Task, Vector

NAN = float("nan")


def rmse(truth: Array, predicted: Array, weights: Vector | None) -> float:
    """Square root of the mean squared error, in the unit of the target."""
    return math.sqrt(mean((truth - predicted) ** 2, weights))


def mae(truth: Array, predicted: Array, weights: Vector | None) -> float:
    """Mean absolute error, in the unit of the target."""
    return mean(np.abs(truth - predicted), weights)


def median_ae(truth: Array, predicted: Array, weights: Vector | None) -> float:
    """Median absolute error, in the unit of the target."""
    return median(np.abs(truth - predicted), weights)


def r2(truth: Array, predicted: Array, weights: Vector | None) -> float:
    """Share of the variance that is explained. NaN when the truth does not vary."""
    spread = mean((truth - mean(truth, weights)) ** 2, weights)
    return 1 - mean((truth - predicted) ** 2, weights) / spread if spread > 0 else NAN


def rmsle(truth: Array, predicted: Array, weights: Vector | None) -> float:
    """RMSE of log(1 + value). Negative answers count as 0; with a negative truth the score is NaN."""
    if (truth < 0).any():
        return NAN
    return rmse(np.log1p(truth), np.log1p(np.maximum(predicted, 0.0)), weights)


def mape(truth: Array, predicted: Array, weights: Vector | None) -> float:
    """Mean of |error / truth|, as a share (0.1 is 10 %). Rows whose truth is 0 are left out."""
    kept = truth != 0
    errors = np.abs((truth[kept] - predicted[kept]) / truth[kept])
    return mean(errors, None if weights is None else weights[kept])


def _metric(
    name: str, title: str, function: Callable[[Array, Array, Vector | None], float], *, greater: bool = False
) -> Metric:
    return Metric(
        name=name,
        title=title,
        tasks=frozenset({Task.REGRESSION}),
        needs="values",
        greater_is_better=greater,
        function=function,
    )


RMSE = _metric("rmse", "RMSE", rmse)
MAE = _metric("mae", "MAE", mae)
R2 = _metric("r2", "R²", r2, greater=True)
RMSLE = _metric("rmsle", "RMSLE", rmsle)
MAPE = _metric("mape", "MAPE", mape)
MEDIAN_AE = _metric("median_ae", "Median absolute error", median_ae)
