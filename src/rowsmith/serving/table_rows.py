"""Rows that came as a table: columns stay columns, and a row is made when somebody asks for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import polars as pl

from rowsmith.conform import ConformingFrame, ConformingRow
from rowsmith.errors import Fault


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
    """The same, conforming. `notes` are the warnings about many of its rows at once."""

    def __init__(self, conforming: ConformingFrame) -> None:
        self.frame = conforming.frame
        self.notes = tuple(fault.message for fault in conforming.warnings if fault.row is None)
        self._faults: dict[int, list[Fault]] = {}
        for fault in conforming.warnings:
            if fault.row is not None:
                self._faults.setdefault(fault.row, []).append(fault)

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
