"""Arithmetic: sums, differences, products and ratios of pairs of numbers, as columns beside the encoded matrix.

Trees cut along one column at a time: people a room takes them many cuts over people and rooms, and one over the ratio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rowsmith.state import State
from rowsmith.transformation.column import FLOAT32_MAX
from rowsmith.types import Array, Feature, Matrix, Rows

OPERATIONS = "+-*/"


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """`operation` is the place in `OPERATIONS` of what joins the columns `left` and `right`. All: shape (columns,)."""

    kind: ClassVar[str] = "arithmetic"

    left: Rows
    right: Rows
    operation: Rows

    @property
    def width(self) -> int:
        """Columns that are appended."""
        return len(self.operation)

    def features(self, features: tuple[Feature, ...]) -> tuple[Feature, ...]:
        """Those of the matrix, and of the columns that are appended, which are numbers."""
        made = []
        for left, right, operation in zip(self.left, self.right, self.operation, strict=True):
            name = f"{features[left].name} {OPERATIONS[operation]} {features[right].name}"
            made.append(Feature(name, features[left].source))
        return (*features, *made)

    def apply(self, matrix: Matrix) -> Matrix:
        """Shape (..., features) to (..., features + width): many rows, or one, with the same bits.

        What has no value (a missing number, a division by 0) is missing; what is too large is the largest number.
        """
        return np.concatenate([matrix, self.made(matrix)], axis=-1)

    def made(self, matrix: Matrix) -> Matrix:
        """Shape (..., features) to (..., width): the columns that `apply` appends."""
        return calculated(matrix[..., self.left], matrix[..., self.right], self.operation)

    @classmethod
    def joined(cls, parts: Sequence[Arithmetic]) -> Arithmetic:
        """One that makes the columns of all of these, in their order."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("left", "right", "operation"))
        )

    def to_state(self) -> State:
        return State(self.kind, arrays={"left": self.left, "right": self.right, "operation": self.operation})

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> Arithmetic:
        return cls(**state.arrays)


def calculated(left: Matrix, right: Matrix, operation: Array) -> Matrix:
    """Shapes (..., columns) twice, and (columns,) places in `OPERATIONS`, to float32 (..., columns)."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    with np.errstate(invalid="ignore"):  # what comes of infinities is missing
        quotient = np.divide(a, b, out=np.full(a.shape, np.nan), where=b != 0.0)
        values = np.choose(operation, (a + b, a - b, a * b, quotient))
    return np.asarray(np.clip(values, -FLOAT32_MAX, FLOAT32_MAX).astype(np.float32))
