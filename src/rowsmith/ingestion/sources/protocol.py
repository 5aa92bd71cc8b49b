"""What a source is, and what it gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from rowsmith.recipe import DataSection
from rowsmith.types import JsonObject


class Table(Protocol):
    """Something opened: its columns and their types are known, its rows are not read yet."""

    @property
    def columns(self) -> Mapping[str, pl.DataType]:
        """Names in order. `pl.Null` stands for a column without any value."""
        ...

    @property
    def facts(self) -> JsonObject:
        """How it was read: plain JSON."""
        ...

    @property
    def description(self) -> str:
        """Its name for people: the path, or what kind of thing it is."""
        ...

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        """The rows in order, brought to `types`, which are those of `columns` or wider. May be called once."""
        ...


class Source(Protocol):
    """A kind of place that rows come from."""

    @property
    def name(self) -> str: ...

    def accepts(self, origin: object) -> bool:
        """Whether this is the source for what the user named; looks, does not read."""
        ...

    def open(self, origin: object, options: DataSection) -> Table:
        """Raises SourceError for what cannot be read, RecipeError for options that make no sense."""
        ...


@dataclass(frozen=True)
class Reading:
    """What `read_batches` answers. The iterator can be walked once."""

    batches: Iterator[pl.DataFrame]
    facts: JsonObject
    description: str
