"""TableEncoder: the whole table, column by column, and the single row by the same column encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import polars as pl

from rowsmith.conform import ConformingColumns
from rowsmith.schema import Schema
from rowsmith.state import State
from rowsmith.transformation.category import CategoryColumn
from rowsmith.transformation.column import ColumnEncoder
from rowsmith.transformation.datetime import DatetimeColumn
from rowsmith.transformation.number import NumberColumn
from rowsmith.transformation.text import TextColumn
from rowsmith.types import ColumnKind, Feature, Matrix

NOTHING = "nothing"
ROWS_PER_BLOCK = 1 << 15
"""Of 30 columns they fit into the cache of a processor."""
ENCODERS: Mapping[ColumnKind, Callable[[str, pl.Series], ColumnEncoder | None]] = {
    ColumnKind.NUMBER: NumberColumn.fit,
    ColumnKind.INTEGER: NumberColumn.fit,
    ColumnKind.BOOLEAN: NumberColumn.fit,
    ColumnKind.CATEGORY: CategoryColumn.fit,
    ColumnKind.TEXT: TextColumn.fit,
    ColumnKind.DATETIME: DatetimeColumn.fit,
}


class TableEncoder:
    """Implements `rowsmith.model.Encoder`. `columns` holds an encoder for each column that varies, in table order.

    Where none does, the matrix has one column of zeros, since most learners refuse a matrix without columns.
    """

    kind: ClassVar[str] = "table_encoder"

    def __init__(self, columns: Sequence[tuple[str, ColumnEncoder]]) -> None:
        self._columns = tuple(columns)
        self._features = tuple(feature for _, column in columns for feature in column.features)
        self._appends = tuple((name, column.append) for name, column in columns)
        self._is_empty = not self._features
        if self._is_empty:
            self._features = (Feature(NOTHING, NOTHING),)

    @property
    def features(self) -> tuple[Feature, ...]:
        return self._features

    def encode(self, frame: pl.DataFrame | ConformingColumns, out: Matrix | None = None) -> Matrix:
        """Conforming frame to shape (rows, features), float32; into `out`, which is all zeros, where there is one."""
        matrix = np.zeros((frame.height, len(self._features)), dtype=np.float32) if out is None else out
        numbers: list[tuple[str, NumberColumn, int]] = []
        start = 0
        for name, column in self._columns:
            stop = start + len(column.features)
            if isinstance(column, NumberColumn):
                numbers.append((name, column, start))
            else:
                column.encode(frame[name], matrix[:, start:stop])
            start = stop
        # Rows lie one after the other: to write a column from end to end would fetch every line of memory for it.
        for low in range(0, frame.height, ROWS_PER_BLOCK):
            block = matrix[low : low + ROWS_PER_BLOCK]
            for name, number, place in numbers:
                number.encode(_piece(frame, name, low, len(block)), block[:, place : place + 1])
        return matrix

    def encode_row(self, row: Mapping[str, Any]) -> Matrix:
        """Conforming row to shape (features,): the very bits that `encode` gives."""
        numbers: list[float] = []
        for name, append in self._appends:
            append(row[name], numbers)
        return np.array([0.0] if self._is_empty else numbers, dtype=np.float32)

    def to_state(self) -> State:
        children = {f"column-{i}": column.to_state() for i, (_, column) in enumerate(self._columns)}
        return State(self.kind, {"columns": [name for name, _ in self._columns]}, children=children)

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> TableEncoder:
        return cls([(name, parts[f"column-{i}"]) for i, name in enumerate(state.data["columns"])])


def _piece(frame: pl.DataFrame | ConformingColumns, name: str, start: int, length: int) -> pl.Series:
    if isinstance(frame, ConformingColumns):
        return frame.piece(name, start, length)
    return frame[name] if length == frame.height else frame[name].slice(start, length)


def fit_encoder(frame: pl.DataFrame | ConformingColumns, schema: Schema) -> TableEncoder:
    """Learns from the conforming training rows, never from the target. Columns that do not vary are left out."""
    fitted = ((column.name, ENCODERS[column.kind](column.name, frame[column.name])) for column in schema.features)
    return TableEncoder([(name, encoder) for name, encoder in fitted if encoder is not None])
