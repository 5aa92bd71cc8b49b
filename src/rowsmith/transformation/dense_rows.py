"""densify and multiply: dense rows and their product with a layer, compiled where the installation had a compiler,
otherwise in NumPy.

Both have the same bits. `_dense.c` makes a call of what takes thirty in NumPy, and asks no BLAS, whose threads wait for
each other over a single row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from rowsmith.types import Array, Matrix, Rows, Vector

Densify: TypeAlias = Callable[[Matrix, Rows, Vector, Vector, Rows, Rows, Rows, Rows, Rows, Array, int, float], None]
"""Matrix of float32 (rows, columns); the columns that are numbers, their centre and scale; those whose absence is told;
those that are categories, the first slot of each, its slot for a missing value, and where each slot sets a 1 (nowhere
if negative); what is filled, zeros of float64 (rows, width); rows; the soft limit of numbers."""
Multiply: TypeAlias = Callable[[Array, Array, Array, Array, float, float, int, int], None]
"""Signal (members or 1, rows, inputs), weight (members, inputs, outputs) of float32, bias (members, 1, outputs), what
is filled (members, rows, outputs), unit, limit, members, rows. `clip(rint(signal * unit), -limit, limit) @ weight +
bias`, where every sum is exact."""


def densify_numpy(
    matrix: Matrix,
    numbers: Rows,
    centre: Vector,
    scale: Vector,
    indicators: Rows,
    categories: Rows,
    first: Rows,
    missing: Rows,
    spread: Rows,
    dense: Array,
    rows: int,
    soft_limit: float,
) -> None:
    """The twin of the compiled loop."""
    matrix, dense = matrix.reshape(rows, -1), dense.reshape(rows, -1)
    with np.errstate(all="ignore"):
        scaled = (matrix[:, numbers] - centre) * scale
        scaled /= np.sqrt(1 + (scaled / soft_limit) ** 2)
    scaled[np.isnan(scaled)] = 0
    stop = len(numbers) + len(indicators)
    dense[:, : len(numbers)] = scaled
    dense[:, len(numbers) : stop] = np.isnan(matrix[:, indicators])
    codes = matrix[:, categories]
    is_code = (codes >= 0) & (codes < 2.0**31)
    slots = np.where(np.isnan(codes), missing, np.where(is_code, codes, 0).astype(np.int64) + first)
    is_slot = (is_code | np.isnan(codes)) & (slots >= 0) & (slots < len(spread))
    columns = np.full(slots.shape, -1)
    columns[is_slot] = spread[slots[is_slot]]
    those, which = np.nonzero((columns >= 0) & (columns < dense.shape[1]))
    dense[those, columns[those, which]] = 1


def multiply_numpy(
    signal: Array, weight: Array, bias: Array, sums: Array, unit: float, limit: float, members: int, rows: int
) -> None:
    """The twin of the compiled loop."""
    digits = signal * unit
    np.rint(digits, out=digits)
    np.minimum(digits, limit, out=digits)
    np.maximum(digits, -limit, out=digits)
    np.matmul(digits, weight.astype(np.float64), out=sums)
    sums += bias


densify: Densify
multiply: Multiply
try:
    from rowsmith.transformation._dense import densify, multiply
except ImportError:
    is_compiled = False
    densify, multiply = densify_numpy, multiply_numpy
else:
    is_compiled = True
