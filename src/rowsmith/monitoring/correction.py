"""Correction of p-values for having looked at many things at once."""

from __future__ import annotations

import numpy as np

from rowsmith.types import Vector


def benjamini_hochberg(p_values: Vector) -> Vector:
    """p-values corrected so that a threshold on them bounds the share of false discoveries, in the same order.

    Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    count = len(p_values)
    order = np.argsort(p_values)[::-1]
    scaled = p_values[order] * count / np.arange(count, 0, -1)
    corrected = np.empty(count)
    corrected[order] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return corrected
