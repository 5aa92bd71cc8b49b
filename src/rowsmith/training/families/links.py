"""From sums to probabilities, in such an order of operations that a row alone gives the bits it gives among others."""

from __future__ import annotations

import numpy as np

from rowsmith.blend import normalised
from rowsmith.types import Array, Scores2D

LARGEST_SUM = 40.0
softmax = normalised


def sigmoid(sums: Array) -> Array:
    """The logistic function, element by element."""
    # np.clip() costs a single row four times as much as these two.
    bounded = np.minimum(np.maximum(sums, -LARGEST_SUM), LARGEST_SUM)
    return np.asarray(1.0 / (1.0 + np.exp(-bounded)))


def chance(sum_: float) -> float:
    """The same of one number, at a third of the price. The power is NumPy's: others round it otherwise."""
    return 1.0 / (1.0 + float(np.exp(-min(max(sum_, -LARGEST_SUM), LARGEST_SUM))))


def two_classes(event: Array) -> Scores2D:
    """Probabilities of the event, shape (rows,), to those of both classes, shape (rows, 2)."""
    both = np.empty((len(event), 2))
    both[:, 1] = event
    np.subtract(1.0, event, out=both[:, 0])
    return both
