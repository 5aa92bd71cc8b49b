"""Metrics of the order that probabilities put the rows in: areas under the ROC and the precision-recall curve.

Several classes are compared one against the rest, and the plain mean is taken over the classes for which the
score is defined. The rows of one score count as tied. A missing probability makes the score NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rowsmith.types import Array, Metric, Scores2D, Task, Vector

NAN = float("nan")
OneClass = Callable[[Vector, Vector], float]


def roc_auc(truth: Array, predicted: Scores2D, weights: Vector | None) -> float:
    """Area under the ROC curve: the chance that a row of the class is ranked above one of the others.

    NaN when the truth holds one class only. Source: Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    if weights is None:
        return _over_classes(truth, predicted, _unweighted_auc)
    return prepare_roc_auc(truth, predicted)(weights)


def average_precision(truth: Array, predicted: Scores2D, weights: Vector | None) -> float:
    """Precision averaged over the steps of recall, without interpolation.

    NaN when there is no row of the class. Source: Zhu 2004, Recall, Precision and Average Precision.
    """
    return prepare_average_precision(truth, predicted)(np.ones(len(truth)) if weights is None else weights)


def prepare_roc_auc(truth: Array, predicted: Scores2D) -> Callable[[Vector], float]:
    return _prepare(truth, predicted, _area_under_roc)


def prepare_average_precision(truth: Array, predicted: Scores2D) -> Callable[[Vector], float]:
    return _prepare(truth, predicted, _area_of_precision)


def _unweighted_auc(event: Array, score: Vector) -> float:
    """By the ranks of the rows of the class among the others: two sorts, no permutation of anything."""
    positive, negative = np.sort(score[event]), np.sort(score[~event])
    pairs = len(positive) * len(negative)
    if pairs == 0 or np.isnan(positive[-1]) or np.isnan(negative[-1]):
        return NAN
    below = np.searchsorted(negative, positive, side="left").sum()
    not_above = np.searchsorted(negative, positive, side="right").sum()
    return float((below + not_above) / (2 * pairs))


def _over_classes(truth: Array, predicted: Scores2D, one_class: Callable[[Array, Vector], float]) -> float:
    if predicted.shape[1] == 2:
        return one_class(truth == 1, np.ascontiguousarray(predicted[:, 1]))
    found = [one_class(truth == code, np.ascontiguousarray(predicted[:, code])) for code in range(predicted.shape[1])]
    return _mean_of_defined(found)


def _mean_of_defined(scores: list[float]) -> float:
    defined = [score for score in scores if not np.isnan(score)]
    return float(np.mean(defined)) if defined else NAN


def _prepare(truth: Array, predicted: Scores2D, area: OneClass) -> Callable[[Vector], float]:
    classes = (1,) if predicted.shape[1] == 2 else range(predicted.shape[1])
    prepared = [_prepare_class(truth == code, predicted[:, code], area) for code in classes]
    if len(prepared) == 1:
        return prepared[0]
    return lambda weights: _mean_of_defined([score(weights) for score in prepared])


def _prepare_class(event: Array, score: Vector, area: OneClass) -> Callable[[Vector], float]:
    """Sorts once, best score first; asked with weights, it only adds up."""
    if len(score) == 0 or np.isnan(score).any():
        return lambda weights: NAN
    order = np.argsort(-score, kind="stable")
    ranked, events = score[order], event[order].astype(np.float64)
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    tied = len(starts) < len(ranked)

    def ask(weights: Vector) -> float:
        ordered = weights[order]
        hits = ordered * events
        misses = ordered - hits
        if tied:
            hits, misses = np.add.reduceat(hits, starts), np.add.reduceat(misses, starts)
        return area(hits, misses)

    return ask


def _area_under_roc(hits: Vector, misses: Vector) -> float:
    """From the weight of the class, and of the others, at each distinct score, best first."""
    found = np.cumsum(hits)
    pairs = float(found[-1] * misses.sum())
    return float(np.dot(misses, found - hits / 2)) / pairs if pairs > 0 else NAN


def _area_of_precision(hits: Vector, misses: Vector) -> float:
    found = np.cumsum(hits)
    if found[-1] <= 0:
        return NAN
    total = found + np.cumsum(misses)
    precision = np.divide(found, total, out=np.zeros_like(found), where=total > 0)
    return float(np.dot(hits, precision) / found[-1])


CLASSIFICATION = frozenset({Task.BINARY, Task.MULTICLASS})

ROC_AUC = Metric(
    name="roc_auc",
    title="ROC AUC",
    tasks=CLASSIFICATION,
    needs="probabilities",
    greater_is_better=True,
    function=roc_auc,
    source="doi:10.1148/radiology.143.1.7063747",
    prepare=prepare_roc_auc,
)
AVERAGE_PRECISION = Metric(
    name="average_precision",
    title="Average precision",
    tasks=CLASSIFICATION,
    needs="probabilities",
    greater_is_better=True,
    function=average_precision,
    source="Zhu 2004, Recall, Precision and Average Precision",
    prepare=prepare_average_precision,
)
