"""Free text: its embedding and its shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from rowsmith.state import State
from rowsmith.transformation.column import NAN, varies
from rowsmith.transformation.embedding import TextEmbedding
from rowsmith.transformation.ngrams import SHAPES, normalised, shape_of_texts
from rowsmith.types import Array, Feature, Matrix

DIMENSIONS = 32


@dataclass(frozen=True, eq=False)
class TextColumn:
    kind: ClassVar[str] = "text_column"

    name: str
    embedding: TextEmbedding | None

    @classmethod
    def fit(cls, name: str, series: pl.Series) -> TextColumn | None:
        """None for a column that does not vary."""
        if not varies(series):
            return None
        texts = [normalised(text) for text in series.drop_nulls().unique(maintain_order=True).to_list()]
        return cls(name, TextEmbedding.fit(texts, DIMENSIONS))

    @property
    def features(self) -> tuple[Feature, ...]:
        dimensions = self.embedding.dimensions if self.embedding else 0
        parts = [*(f"meaning_{i + 1}" for i in range(dimensions)), *SHAPES]
        return tuple(Feature(f"{self.name}:{part}", self.name) for part in parts)

    def encode(self, series: pl.Series, out: Matrix) -> None:
        fill_by_different_values(series, out, self._numbers)

    def append(self, value: Any, out: list[float]) -> None:
        out.extend([NAN] * len(self.features) if value is None else self._numbers([value])[0].tolist())

    def _numbers(self, texts: Sequence[str]) -> Array:
        """Shape (texts, features), float64."""
        texts = [normalised(text) for text in texts]
        shapes = shape_of_texts(texts)
        return np.hstack([self.embedding.embed(texts), shapes]) if self.embedding else shapes

    def to_state(self) -> State:
        children = {"embedding": self.embedding.to_state()} if self.embedding else {}
        return State(self.kind, {"name": self.name}, children=children)

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> TextColumn:
        return cls(state.data["name"], parts.get("embedding"))


def fill_by_different_values(series: pl.Series, out: Matrix, numbers: Callable[[Sequence[str]], Array]) -> None:
    """Computes `numbers(texts)` once for each different text and puts them in its rows; NaN where there is none."""
    texts = series.drop_nulls().unique()
    if texts.is_empty():
        out[:] = np.nan
        return
    places = series.cast(pl.Enum(texts)).to_physical().cast(pl.UInt32)
    which = (places.fill_null(len(texts)) if places.null_count() else places).to_numpy()
    table = np.full((len(texts) + 1, out.shape[1]), np.nan, dtype=np.float32)
    table[:-1] = numbers(texts.to_list())
    out[:] = table[which]
