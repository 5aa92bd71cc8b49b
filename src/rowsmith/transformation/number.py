"""Numbers, and booleans as 0 and 1. Missing is NaN: trees learn from it as it is, and dense views add an indicator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from rowsmith.state import State
from rowsmith.transformation.column import FLOAT32_MAX, NAN
from rowsmith.types import Feature, Matrix, Vector

ROWS_LOOKED_AT = 10_000


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """`offset` is taken off first, where large numbers close together would become the same float32."""

    kind: ClassVar[str] = "number_column"

    name: str
    offset: float = 0.0

    @classmethod
    def fit(cls, name: str, series: pl.Series) -> NumberColumn | None:
        """None for a column that does not vary."""
        values = (series.drop_nulls() if series.null_count() else series).cast(pl.Float64).to_numpy()
        varies = len(values) and (len(values) < len(series) or values.min() < values.max())
        return cls(name, _offset(values)) if varies else None

    @property
    def features(self) -> tuple[Feature, ...]:
        return (Feature(self.name, self.name),)

    def encode(self, series: pl.Series, out: Matrix) -> None:
        values = series.cast(pl.Float64).to_numpy() - self.offset
        out[:, 0] = np.clip(values, -FLOAT32_MAX, FLOAT32_MAX)

    def append(self, value: Any, out: list[float]) -> None:
        if value is None:
            out.append(NAN)
            return
        value -= self.offset
        out.append(value if -FLOAT32_MAX <= value <= FLOAT32_MAX else max(-FLOAT32_MAX, min(FLOAT32_MAX, value)))

    def to_state(self) -> State:
        return State(self.kind, {"name": self.name, "offset": self.offset})

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> NumberColumn:
        return cls(state.data["name"], state.data["offset"])


def _offset(values: Vector) -> float:
    values = np.sort(np.clip(values[:ROWS_LOOKED_AT], -FLOAT32_MAX, FLOAT32_MAX))
    if np.array_equal(np.diff(values.astype(np.float32)) > 0, np.diff(values) > 0):
        return 0.0
    return float(values[len(values) // 2])
