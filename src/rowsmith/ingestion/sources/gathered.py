"""Gathered: a table that came in pieces, of which each has its own columns and types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from rowsmith.conform.plain import NULL, common_type, plain_series
from rowsmith.errors import StorageError
from rowsmith.ingestion.sources.local_file import TemporaryFile
from rowsmith.types import JsonObject

MAX_BYTES_KEPT = 1 << 26


@dataclass
class Gathered:
    """Pieces beyond the first `MAX_BYTES_KEPT` wait on disk. A column that a piece lacks is missing there."""

    description: str
    facts: JsonObject
    columns: dict[str, pl.DataType] = field(default_factory=dict)
    rows: int = 0
    _pieces: list[pl.DataFrame | TemporaryFile] = field(default_factory=list)
    _kept: int = 0

    def add(self, piece: pl.DataFrame) -> None:
        """`piece` has plain types. Raises StorageError where there is no room."""
        for name, dtype in piece.schema.items():
            self.columns[name] = common_type([self.columns.get(name, NULL), dtype])
        self.rows += piece.height
        self._kept += int(piece.estimated_size())
        self._pieces.append(piece if self._kept <= MAX_BYTES_KEPT else _put_aside(piece))

    def highest(self, name: str) -> object:
        """The greatest value of a column, as plain JSON; None where there is none."""
        found = [series.max() for piece in self._frames() if name in piece.columns for series in [piece[name]]]
        values = [value for value in found if value is not None]
        if not values:
            return None
        highest = max(values, key=lambda value: (str(type(value)), value))
        return highest if isinstance(highest, int | float | str) else str(highest)

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        for piece in self._frames():
            yield pl.DataFrame([self._column(piece, name, dtype) for name, dtype in types.items()])

    def _column(self, piece: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Series:
        if name not in piece.columns:
            return pl.Series(name, [None] * piece.height, dtype=dtype)
        return plain_series(piece[name], dtype, where=self.description)

    def _frames(self) -> Iterator[pl.DataFrame]:
        for piece in self._pieces:
            yield piece if isinstance(piece, pl.DataFrame) else pl.read_ipc(piece.path)


def _put_aside(piece: pl.DataFrame) -> TemporaryFile:
    keeper = TemporaryFile()
    try:
        piece.write_ipc(keeper.path)
    except OSError as problem:
        raise StorageError(
            f"there is no room for what is fetched: {problem}",
            where=str(keeper.path.parent),
            next_step="set TMPDIR to a folder with more room; nothing was kept",
        ) from problem
    return keeper
