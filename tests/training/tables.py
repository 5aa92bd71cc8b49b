"""Small made tables for the tests of this room."""

from __future__ import annotations

import numpy as np

from rowsmith.training.data import Fold, TrainingData
from rowsmith.types import Feature, Metric, Task


def folds_of(rows: int, count: int = 3, seed: int = 0) -> tuple[Fold, ...]:
    order = np.random.default_rng(seed).permutation(rows)
    parts = [np.sort(part) for part in np.array_split(order, count)]
    return tuple((np.setdiff1d(np.arange(rows), part), part) for part in parts)


def make_table(
    task: Task, *, rows: int = 400, classes: int = 3, seed: int = 0, weights: bool = False, repeats: int = 0
) -> TrainingData:
    """Three numbers (one with gaps), a small category and a large one; the target depends on all but one."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, 5)).astype(np.float32)
    matrix[:, 3] = rng.integers(0, 5, rows)
    matrix[:, 4] = rng.integers(0, 60, rows)
    matrix[rng.random(rows) < 0.1, 1] = np.nan
    matrix[rng.random(rows) < 0.05, 3] = np.nan
    signal = matrix[:, 0] + np.nan_to_num(matrix[:, 1]) ** 2 + np.nan_to_num(matrix[:, 3]) % 2 + (matrix[:, 4] % 7) / 3
    signal = signal.astype(np.float64) + 0.3 * rng.normal(size=rows)
    target = 100.0 * signal
    if task is Task.BINARY:
        classes, target = 2, (signal > np.median(signal)).astype(np.int64)
    elif task is Task.MULTICLASS:
        cuts = np.quantile(signal, np.linspace(0, 1, classes + 1)[1:-1])
        target = np.digitize(signal, cuts).astype(np.int64)
    names = ("a", "b", "c", "small", "large")
    levels = (0, 0, 0, 5, 60)
    return TrainingData(
        matrix=matrix,
        features=tuple(Feature(name, name, level) for name, level in zip(names, levels, strict=True)),
        target=target,
        weights=rng.random(rows) + 0.5 if weights else None,
        folds=folds_of(rows),
        task=task,
        classes=0 if task is Task.REGRESSION else classes,
        repeats=tuple(folds_of(rows, seed=repeat + 1) for repeat in range(repeats)),
    )


def _log_loss(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None) -> float:
    chosen = np.clip(predicted[np.arange(len(truth)), truth], 1e-15, 1)
    return float(np.average(-np.log(chosen), weights=weights))


def _rmse(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None) -> float:
    return float(np.sqrt(np.average((truth - predicted) ** 2, weights=weights)))


def _accuracy(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None) -> float:
    return float(np.average(truth == predicted, weights=weights))


CLASSIFICATION = frozenset({Task.BINARY, Task.MULTICLASS})
LOG_LOSS = Metric("log_loss", "Log loss", CLASSIFICATION, "probabilities", False, _log_loss)
ACCURACY = Metric("accuracy", "Accuracy", CLASSIFICATION, "labels", True, _accuracy)
RMSE = Metric("rmse", "RMSE", frozenset({Task.REGRESSION}), "values", False, _rmse)


def metric_of(task: Task) -> Metric:
    return RMSE if task is Task.REGRESSION else LOG_LOSS
