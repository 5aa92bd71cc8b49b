"""The inputs of several learners that answer one row together: the row once, and all that is encoded beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rowsmith.transformation.target_encoding import TargetEncoding
from rowsmith.types import Array, Matrix, Rows


class JoinedInputs:
    """A row followed by the columns that each learner's encoding appends.

    `places(i, features)` says where in it stand the columns of learner i.
    """

    def __init__(self, encodings: Sequence[TargetEncoding | None]) -> None:
        used = [encoding for encoding in encodings if encoding is not None]
        self._encoding = TargetEncoding.joined(used) if used else None
        self._widths = [encoding.table.shape[1] * len(encoding.columns) if encoding else 0 for encoding in encodings]

    def of(self, vector: Matrix) -> Matrix:
        """Shape (features,) to (features + all that is appended,)."""
        return self._encoding.apply_row(vector) if self._encoding else vector

    def places(self, learner: int, features: int) -> Rows:
        """Shape (features + what this learner's encoding appends,)."""
        start = features + sum(self._widths[:learner])
        own: Array = np.arange(start, start + self._widths[learner])
        return np.concatenate([np.arange(features), own])

    @property
    def width(self) -> int:
        """Columns that are appended, for all learners."""
        return sum(self._widths)
