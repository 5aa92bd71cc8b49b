"""Rows that came as a table: columns stay columns, and a row is made when somebody asks for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import polars as pl

from rowsmith.conform import ConformingRow
from rowsmith.conform.series import DTYPES
from rowsmith.errors import Fault
from rowsmith.schema import Schema


class TableRows(Sequence[Mapping[str, Any]]):
    """What a caller sent as a table (Arrow, CSV, tensors)."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __len__(self) -> int:
        return self.frame.height

    @overload
    def __getitem__(self, place: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, place: slice) -> TableRows: ...

    def __getitem__(self, place: int | slice) -> Mapping[str, Any] | TableRows:
        return TableRows(self.frame[place]) if isinstance(place, slice) else self.frame.row(place, named=True)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.frame.to_dicts())


class ConformingTable(Sequence[ConformingRow]):
    """Rows that conform, as a frame. `faults` are those that were let pass, by row, of the rows that have any; `notes`
    are warnings about many rows at once."""

    def __init__(self, frame: pl.DataFrame, faults: Mapping[int, Sequence[Fault]], notes: Sequence[str] = ()) -> None:
        self.frame = frame
        self.notes = tuple(notes)
        self._faults = faults

    @property
    def warnings(self) -> dict[int, tuple[str, ...]]:
        """By row, of those that have any."""
        return {row: tuple(fault.message for fault in faults) for row, faults in self._faults.items()}

    def __len__(self) -> int:
        return self.frame.height

    @overload
    def __getitem__(self, place: int) -> ConformingRow: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[ConformingRow]: ...

    def __getitem__(self, place: int | slice) -> ConformingRow | Sequence[ConformingRow]:
        if isinstance(place, slice):
            return list(self)[place]
        return ConformingRow(self.frame.row(place, named=True), tuple(self._faults.get(place, ())))

    def __iter__(self) -> Iterator[ConformingRow]:
        for number, row in enumerate(self.frame.to_dicts()):
            yield ConformingRow(row, tuple(self._faults.get(number, ())))


def frame_of_conforming(schema: Schema, rows: Sequence[ConformingRow]) -> pl.DataFrame:
    """Conforming rows as a conforming frame."""
    return pl.DataFrame(
        [
            pl.Series(column.name, [item.row[column.name] for item in rows], dtype=DTYPES[column.kind])
            for column in schema.features
        ]
    )
