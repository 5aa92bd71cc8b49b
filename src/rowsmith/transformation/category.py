"""Categories: a code for each level that is not rare; where levels are many, also how frequent and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import polars as pl

from rowsmith.state import State
from rowsmith.transformation.column import NAN, varies
from rowsmith.transformation.embedding import TextEmbedding
from rowsmith.transformation.ngrams import normalised
from rowsmith.transformation.text import fill_by_different_values
from rowsmith.types import Array, Feature, Matrix

RARE = 2
"""A level needs this many rows for a code of its own, and this many more ..."""
ROWS_PER_RARE = 50_000
"""... for every so many rows of the table."""
MAX_LEVELS = 10_000
MANY_LEVELS = 20
DIRTY_LEVELS = 40
DIRTY_SHARE = 0.3
"""From so many levels, of which at least this share has several words, a level is also read as text."""
DIMENSIONS = 16


@dataclass(frozen=True, eq=False)
class CategoryColumn:
    """`levels` have the codes 1, 2, ..., most frequent first; 0 is any other level. `shares` are of training rows.

    `shares` is None for a column of few levels, `embedding` for one whose levels are not worth reading.
    """

    kind: ClassVar[str] = "category_column"

    name: str
    levels: tuple[str, ...]
    shares: tuple[float, ...] | None = None
    embedding: TextEmbedding | None = None
    _codes: dict[str, int] = field(init=False, repr=False)
    _answered: dict[str | None, list[float]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_codes", {level: i + 1 for i, level in enumerate(self.levels)})

    @classmethod
    def fit(cls, name: str, series: pl.Series) -> CategoryColumn | None:
        """None for a column that does not vary."""
        if not varies(series):
            return None
        counts = series.rename("level").drop_nulls().value_counts().sort("count", "level", descending=[True, False])
        texts: list[str] = counts["level"].to_list()
        rows: list[int] = counts["count"].to_list()
        rare = RARE + len(series) // ROWS_PER_RARE
        levels = [text for text, count in zip(texts, rows, strict=True) if count >= rare][:MAX_LEVELS]
        shares = [count / len(series) for count in rows[: len(levels)]] if len(texts) > MANY_LEVELS else None
        return cls(name, tuple(levels), tuple(shares) if shares else None, _embedding(texts))

    @property
    def features(self) -> tuple[Feature, ...]:
        names = ["share"] if self.shares else []
        names += [f"meaning_{i + 1}" for i in range(self.embedding.dimensions if self.embedding else 0)]
        code = Feature(self.name, self.name, len(self.levels) + 1)
        return (code, *(Feature(f"{self.name}:{name}", self.name) for name in names))

    def encode(self, series: pl.Series, out: Matrix) -> None:
        places = series.cast(self._enum, strict=False) if self.levels else None
        if places is None or places.null_count() > series.null_count():  # a level that has no code of its own
            fill_by_different_values(series, out, self._numbers)
            return
        which = places.to_physical().to_numpy()
        if places.null_count():  # then they are floats
            which = np.where(np.isnan(which), len(self.levels), which).astype(np.int64)
        out[:] = self._known[which]

    @cached_property
    def _enum(self) -> pl.Enum:
        return pl.Enum(self.levels)

    @cached_property
    def _known(self) -> Matrix:
        """What is said of each level, shape (levels + 1, features); the last row is that of a missing value."""
        table = np.full((len(self.levels) + 1, len(self.features)), np.nan, dtype=np.float32)
        table[:-1] = self._numbers(self.levels)
        return table

    def append(self, value: Any, out: list[float]) -> None:
        numbers = self._answered.get(value)
        if numbers is None:
            numbers = [NAN] * len(self.features) if value is None else self._numbers([value])[0].tolist()
            if value is None or value in self._codes:  # remembers no more than there are levels
                self._answered[value] = numbers
        out.extend(numbers)

    def _numbers(self, texts: Sequence[str]) -> Array:
        """Shape (texts, features), float64."""
        codes = np.array([self._codes.get(text, 0) for text in texts], dtype=np.int64)
        numbers = [codes[:, None].astype(np.float64)]
        if self.shares:
            numbers.append(np.array((0.0, *self.shares))[codes][:, None])
        if self.embedding:
            numbers.append(self.embedding.embed([normalised(text) for text in texts]))
        return np.hstack(numbers)

    def to_state(self) -> State:
        data = {"name": self.name, "levels": list(self.levels), "shares": list(self.shares) if self.shares else None}
        return State(self.kind, data, children={"embedding": self.embedding.to_state()} if self.embedding else {})

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> CategoryColumn:
        data = state.data
        shares = tuple(data["shares"]) if data["shares"] else None
        return cls(data["name"], tuple(data["levels"]), shares, parts.get("embedding"))


def _embedding(levels: Sequence[str]) -> TextEmbedding | None:
    """Of dirty levels, such as job titles: many, with several words. Codes alone would make strangers of near twins."""
    several_words = sum(" " in level.strip() for level in levels)
    if len(levels) < DIRTY_LEVELS or several_words < DIRTY_SHARE * len(levels):
        return None
    return TextEmbedding.fit(list(dict.fromkeys(normalised(level) for level in levels)), DIMENSIONS)
