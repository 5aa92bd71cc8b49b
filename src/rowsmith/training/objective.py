"""Objective: the metric as the search sees it, an error to make small."""

from __future__ import annotations

import numpy as np

from rowsmith.training.data import TrainingData
from rowsmith.types import Array, Metric, Rows, Scores2D, Task, Vector

ABSOLUTE = frozenset({"mae", "mape", "median_ae"})
THRESHOLDS = 64
TINY = 1e-15


class Objective:
    """Errors and scores of answers for some rows of the data.

    A metric of labels changes in jumps, so the search compares by log loss instead; the threshold is then
    chosen for the metric at the end (Fawcett 2006, doi:10.1016/j.patrec.2005.10.010).
    """

    def __init__(self, metric: Metric, data: TrainingData) -> None:
        self.metric = metric
        self._task = data.task
        self._target = data.target
        self._weights = data.weights

    @property
    def is_classification(self) -> bool:
        return self._task.is_classification

    @property
    def absolute(self) -> bool:
        """Whether large errors should count by their size rather than its square."""
        return self.metric.name in ABSOLUTE

    def truth(self, rows: Rows) -> Array:
        return self._target[rows]

    def weights(self, rows: Rows) -> Vector | None:
        return None if self._weights is None else self._weights[rows]

    def error(self, scores: Scores2D, rows: Rows) -> float:
        """Lower is better; infinite where the metric is not defined. `scores` has one row for each of `rows`."""
        if self.metric.needs == "labels":
            value = log_loss(self.truth(rows), scores, self.weights(rows))
        else:
            value = self.metric.error(self._call(scores, rows, 0.5))
        return value if np.isfinite(value) else np.inf

    def score(self, scores: Scores2D, rows: Rows) -> float:
        """The metric itself; NaN where it is not defined. Labels of two classes are cut at their best threshold."""
        threshold = 0.5
        if self.metric.needs == "labels" and self._task is Task.BINARY:
            threshold = self.threshold(self.metric, scores, rows)
        return self._call(scores, rows, threshold)

    def threshold(self, metric: Metric | None, scores: Scores2D, rows: Rows) -> float:
        """The cut of the event's probability that is best by a metric of labels; balanced accuracy when None."""
        truth, weights = self.truth(rows), self.weights(rows)
        event = scores[:, 1]
        cuts = np.unique(np.quantile(event, np.linspace(0, 1, THRESHOLDS + 1)))
        cuts = np.concatenate([[0.5], (cuts[1:] + cuts[:-1]) / 2])
        best, found = np.inf, 0.5
        for cut in cuts:
            chosen = (event >= cut).astype(np.int64)
            if metric is None:
                error = -_balanced_accuracy(truth, chosen, weights)
            else:
                error = metric.error(metric.function(truth, chosen, weights))
            if error < best:
                best, found = error, float(cut)
        return found

    def _call(self, scores: Scores2D, rows: Rows, threshold: float) -> float:
        try:
            predicted = self.metric.predicted(scores, threshold)
            return float(self.metric.function(self.truth(rows), predicted, self.weights(rows)))
        except (ValueError, ZeroDivisionError, FloatingPointError):
            return float("nan")


def log_loss(truth: Array, scores: Scores2D, weights: Vector | None) -> float:
    """Mean of minus the logarithm of the true class's probability (nats)."""
    chosen = np.take_along_axis(scores, truth[:, None], axis=1)[:, 0]
    return float(np.average(-np.log(np.clip(chosen, TINY, 1.0)), weights=weights))


def _balanced_accuracy(truth: Array, chosen: Array, weights: Vector | None) -> float:
    shares = []
    for code in (0, 1):
        rows = truth == code
        if rows.any() and (weights is None or weights[rows].sum() > 0):
            shares.append(np.average(chosen[rows] == code, weights=None if weights is None else weights[rows]))
    return float(np.mean(shares)) if shares else 0.0
