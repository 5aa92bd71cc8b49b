"""Numbers whose sums are exact, so that a sum may be taken in whatever order is quickest and has the same bits."""

from __future__ import annotations

import math

import numpy as np

from rowsmith.types import Array

BITS_OF_A_SUM = 52


def on_a_grid(values: Array, terms: int) -> Array:
    """The numbers as float64, rounded so that a sum of `terms` of them is exact, in whatever order it is taken.

    They become multiples of a power of two with room for the largest sum in the 53 bits of a float64; float32 numbers
    have 24 bits, so those near the largest do not change at all.
    """
    largest = float(np.abs(values).max(initial=0.0)) * max(terms, 1)
    if largest == 0.0:
        return values.astype(np.float64)
    grid = 2.0 ** (math.frexp(largest)[1] - BITS_OF_A_SUM)
    return np.asarray(np.round(values.astype(np.float64) / grid) * grid)
