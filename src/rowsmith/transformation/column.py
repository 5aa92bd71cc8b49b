"""What every column encoder is."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import polars as pl

from rowsmith.state import State
from rowsmith.types import Feature, Matrix

FLOAT32_MAX = float(np.finfo(np.float32).max)
NAN = float("nan")


class ColumnEncoder(Protocol):
    """One column of a conforming table to one or more columns of the matrix."""

    @property
    def features(self) -> tuple[Feature, ...]: ...

    def encode(self, series: pl.Series, out: Matrix) -> None:
        """Fills `out`, shape (rows, features), which is a view of the whole matrix."""
        ...

    def append(self, value: Any, out: list[float]) -> None:
        """The same for one value: appends one number per feature, within the range of float32."""
        ...

    def to_state(self) -> State: ...


def varies(series: pl.Series) -> bool:
    """Whether a column holds two different values, missing being one."""
    if series.null_count():
        return series.null_count() < len(series)
    return series.n_unique() > 1
