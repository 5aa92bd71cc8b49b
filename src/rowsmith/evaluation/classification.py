"""What the report draws of a classifier: confusion, calibration, ROC and precision-recall curves, distribution."""

from __future__ import annotations

import numpy as np

from rowsmith.evaluation.intervals import effective_rows, plain, wilson
from rowsmith.evaluation.metrics.labels import confusion
from rowsmith.evaluation.testset import TestSet
from rowsmith.types import Array, JsonObject, Vector

CURVE_POINTS = 200
CURVES = 8
CALIBRATION_BINS = 10
HISTOGRAM_BINS = 20
CONFUSION_LABELS = 20
ALL_OTHERS = "(all others)"


def classification_charts(test: TestSet) -> JsonObject:
    """All of them as plain data; curves have at most 200 points together."""
    return {
        "confusion": _confusion(test),
        "calibration": calibration(test),
        "roc": _curves(test, "roc"),
        "precision_recall": _curves(test, "precision_recall"),
        "distribution": _distribution(test),
    }


def _confusion(test: TestSet) -> JsonObject:
    """Rows (unweighted) by true and predicted label: the 20 most frequent labels, the rest as one."""
    labels, classes = list(test.model.labels), len(test.model.labels)
    counts = confusion(test.truth * classes + test.chosen, None, classes)
    if classes > CONFUSION_LABELS:
        order = np.argsort(-counts.sum(axis=1), kind="stable")
        kept, rest = np.sort(order[: CONFUSION_LABELS - 1]), np.sort(order[CONFUSION_LABELS - 1 :])
        side = [counts[:, kept], counts[:, rest].sum(axis=1, keepdims=True)]
        wide = np.concatenate(side, axis=1)
        counts = np.concatenate([wide[kept], wide[rest].sum(axis=0, keepdims=True)])
        labels = [labels[code] for code in kept] + [ALL_OTHERS]
    return {"labels": labels, "counts": counts.astype(int).tolist()}


def calibration(test: TestSet) -> JsonObject:
    """Promised against observed, in ten bins of equal weight, and their mean gap.

    Two classes: the probability of the event. More: the probability of the class that was chosen. `error` is the
    expected calibration error with bins of equal mass (Nixon et al. 2019, arXiv:1904.01685). Observed shares
    have Wilson intervals.
    """
    if test.outputs == 2:
        promised, happened = test.scores[:, 1], (test.truth == 1).astype(np.float64)
    else:
        promised = test.scores[np.arange(test.rows), test.chosen]
        happened = (test.truth == test.chosen).astype(np.float64)
    weights = np.ones(test.rows) if test.weights is None else test.weights
    bins = [
        _calibration_bin(promised[rows], happened[rows], weights[rows])
        for rows in _equal_parts(promised)
        if weights[rows].sum() > 0
    ]
    total = sum(item["weight"] for item in bins)
    gaps = [item["weight"] * abs(item["promised"] - item["observed"]) for item in bins]
    return {
        "of": "event" if test.outputs == 2 else "chosen",
        "bins": bins,
        "error": sum(gaps) / total if total else None,
    }


def _equal_parts(values: Vector) -> list[Array]:
    """Row positions, lowest values first; equal values stay together."""
    if len(values) == 0:
        return []
    edges = np.unique(np.quantile(values, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], method="lower"))
    codes = np.searchsorted(edges, values, side="left")
    return [rows for code in range(len(edges) + 1) if len(rows := np.flatnonzero(codes == code))]


def _calibration_bin(promised: Vector, happened: Vector, weights: Vector) -> JsonObject:
    observed = float(np.average(happened, weights=weights))
    interval = wilson(observed, effective_rows(weights, len(weights)))
    return {
        "promised": float(np.average(promised, weights=weights)),
        "observed": observed,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "rows": len(weights),
        "weight": float(weights.sum()),
    }


def _curves(test: TestSet, kind: str) -> list[JsonObject]:
    """Of the event, or of each of the 8 most frequent classes against the rest. `x` and `y` run from 0 to 1."""
    counts = np.bincount(test.truth, minlength=test.outputs)
    codes = [1] if test.outputs == 2 else np.argsort(-counts, kind="stable")[:CURVES].tolist()
    weights = np.ones(test.rows) if test.weights is None else test.weights
    found = []
    for code in codes:
        hits, misses = _cumulated(test.truth == code, test.scores[:, code], weights)
        if hits[-1] <= 0 or (kind == "roc" and misses[-1] <= 0):
            continue
        if kind == "roc":
            x, y = misses / misses[-1], hits / hits[-1]
        else:
            x, y = hits[1:] / hits[-1], hits[1:] / np.maximum(hits[1:] + misses[1:], np.finfo(np.float64).tiny)
        kept = _thinned(x, y, CURVE_POINTS // len(codes))
        share = float(hits[-1] / (hits[-1] + misses[-1]))
        item = {"label": test.model.labels[code], "x": x[kept].tolist(), "y": y[kept].tolist(), "share": share}
        found.append(item)
    return found


def _cumulated(event: Array, score: Vector, weights: Vector) -> tuple[Vector, Vector]:
    """Weight of the event and of the others at or above each distinct score, highest first, starting from 0."""
    order = np.argsort(-score, kind="stable")
    ranked, ordered, events = score[order], weights[order], event[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    hits, misses = np.cumsum(ordered * events)[ends], np.cumsum(ordered * ~events)[ends]
    return np.concatenate([[0.0], hits]), np.concatenate([[0.0], misses])


def _thinned(x: Vector, y: Vector, limit: int) -> Array:
    """Positions of at most `limit` points, spread evenly along the curve, both ends kept."""
    if len(x) <= limit:
        return np.arange(len(x))
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    return np.unique(np.append(np.searchsorted(way, np.linspace(0, way[-1], limit - 1)), len(x) - 1))


def _distribution(test: TestSet) -> JsonObject:
    """Histogram of the probability of the event by true label; of more classes, of the chosen one by right or wrong."""
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    if test.outputs == 2:
        values, names, member = test.scores[:, 1], list(test.model.labels), test.truth
    else:
        values, names = test.scores[np.arange(test.rows), test.chosen], ["wrong", "right"]
        member = (test.truth == test.chosen).astype(np.int64)
    counts = [np.histogram(values[member == code], edges)[0].tolist() for code in range(2)]
    return {
        "of": "event" if test.outputs == 2 else "chosen",
        "edges": edges.tolist(),
        "series": [{"label": name, "counts": count} for name, count in zip(names, counts, strict=True)],
        "threshold": plain(test.model.threshold) if test.outputs == 2 else None,
    }
