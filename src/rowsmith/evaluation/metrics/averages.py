"""The weighted mean and median that the metrics share. Without rows, or without weight, both are NaN."""

from __future__ import annotations

import numpy as np

from rowsmith.types import Vector

NAN = float("nan")


def mean(values: Vector, weights: Vector | None) -> float:
    if weights is None:
        return float(values.mean()) if len(values) else NAN
    total = float(weights.sum())
    return float(np.dot(values, weights)) / total if total > 0 else NAN


def median(values: Vector, weights: Vector | None) -> float:
    """Half of the weight lies on either side; between two values when it splits evenly there."""
    if weights is None:
        return float(np.median(values)) if len(values) else NAN
    kept = weights > 0
    if not kept.any():
        return NAN
    order = np.argsort(values[kept])
    ordered, upto = values[kept][order], np.cumsum(weights[kept][order])
    half = upto[-1] / 2
    last = len(ordered) - 1
    lower = min(int(np.searchsorted(upto, half, side="left")), last)
    upper = min(int(np.searchsorted(upto, half, side="right")), last)
    return float((ordered[lower] + ordered[upper]) / 2)
