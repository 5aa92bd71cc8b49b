"""Metrics of the chosen labels. All of them follow from the (weighted) confusion matrix.

Precision, recall and F1 have two records: of class 1, the event, for two classes; for more, the plain mean over
the classes that occur in the truth or in the answers. A ratio with nothing below the line counts as 0, as in
scikit-learn; without rows the score is NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rowsmith.types import Array, Metric, Task, Vector

NAN = float("nan")
FromConfusion = Callable[[Array], float]
Ratio = Callable[[Array], tuple[Vector, Vector]]
BINARY = frozenset({Task.BINARY})
MULTICLASS = frozenset({Task.MULTICLASS})
VAN_RIJSBERGEN = "van Rijsbergen 1979, Information Retrieval"


def confusion(cells: Array, weights: Vector | None, classes: int) -> Array:
    """Weight of each cell `truth * classes + predicted`: shape (true classes, predicted classes)."""
    counts = np.bincount(cells, weights=weights, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.float64)


def _accuracy(matrix: Array) -> float:
    return float(np.trace(matrix) / matrix.sum())


def _balanced_accuracy(matrix: Array) -> float:
    rows = matrix.sum(axis=1)
    return float((np.diag(matrix)[rows > 0] / rows[rows > 0]).mean())


def _mcc(matrix: Array) -> float:
    total, true, said = matrix.sum(), matrix.sum(axis=1), matrix.sum(axis=0)
    shared = np.trace(matrix) * total - np.dot(true, said)
    spread = (total**2 - np.dot(said, said)) * (total**2 - np.dot(true, true))
    return float(shared / np.sqrt(spread)) if spread > 0 else 0.0


def _precision(matrix: Array) -> tuple[Vector, Vector]:
    return np.diag(matrix), matrix.sum(axis=0)


def _recall(matrix: Array) -> tuple[Vector, Vector]:
    return np.diag(matrix), matrix.sum(axis=1)


def _f1(matrix: Array) -> tuple[Vector, Vector]:
    return 2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1)


def _divided(above: Vector, below: Vector) -> Vector:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)


def _of_event(ratio: Ratio) -> FromConfusion:
    return lambda matrix: float(_divided(*ratio(matrix))[1])


def _macro(ratio: Ratio) -> FromConfusion:
    def mean(matrix: Array) -> float:
        occurs = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
        return float(_divided(*ratio(matrix))[occurs].mean())

    return mean


def _metric(name: str, title: str, tasks: frozenset[Task], score: FromConfusion, source: str = "") -> Metric:
    def prepare(truth: Array, predicted: Array) -> Callable[[Vector | None], float]:
        classes = 1 + max(1, int(truth.max(initial=0)), int(predicted.max(initial=0)))
        cells = truth * classes + predicted

        def ask(weights: Vector | None) -> float:
            matrix = confusion(cells, weights, classes)
            return score(matrix) if matrix.sum() > 0 else NAN

        return ask

    def function(truth: Array, predicted: Array, weights: Vector | None) -> float:
        return prepare(truth, predicted)(weights)

    return Metric(name, title, tasks, "labels", True, function, source, prepare)


ACCURACY = _metric("accuracy", "Accuracy", BINARY | MULTICLASS, _accuracy)
BALANCED_ACCURACY = _metric(
    "balanced_accuracy", "Balanced accuracy", BINARY | MULTICLASS, _balanced_accuracy, "doi:10.1109/ICPR.2010.764"
)
MCC = _metric("mcc", "Matthews correlation", BINARY | MULTICLASS, _mcc, "doi:10.1016/j.compbiolchem.2004.09.006")
PRECISION = _metric("precision", "Precision", BINARY, _of_event(_precision), VAN_RIJSBERGEN)
RECALL = _metric("recall", "Recall", BINARY, _of_event(_recall), VAN_RIJSBERGEN)
F1 = _metric("f1", "F1", BINARY, _of_event(_f1), VAN_RIJSBERGEN)
MACRO_PRECISION = _metric("precision", "Precision (mean of classes)", MULTICLASS, _macro(_precision), VAN_RIJSBERGEN)
MACRO_RECALL = _metric("recall", "Recall (mean of classes)", MULTICLASS, _macro(_recall), VAN_RIJSBERGEN)
MACRO_F1 = _metric("f1", "F1 (mean of classes)", MULTICLASS, _macro(_f1), VAN_RIJSBERGEN)
