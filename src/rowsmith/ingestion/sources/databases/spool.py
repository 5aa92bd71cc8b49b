"""Spool: rows on disk until the types of their columns are known."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from rowsmith.conform.plain import NULL, common_type, plain_frame, plain_series, plain_type, spell
from rowsmith.storage.files import writing_to


class Spool:
    """Batches of rows as Python's values, each kept with the types it turned out to have."""

    def __init__(self, names: Sequence[str], *, where: str) -> None:
        self._names = names
        self._where = where
        self._folder = Path(tempfile.mkdtemp(prefix="rowsmith-"))
        self._files: list[Path] = []
        self.columns: dict[str, pl.DataType] = dict.fromkeys(names, NULL)
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        columns = [_series(name, values) for name, values in zip(self._names, zip(*rows, strict=True), strict=True)]
        frame = pl.DataFrame([plain_series(one, plain_type(one.dtype), where=self._where) for one in columns])
        self.columns = {name: common_type([self.columns[name], frame.schema[name]]) for name in self._names}
        path = self._folder / f"{len(self._files)}.arrow"
        with writing_to(path):
            frame.write_ipc(path, compression="zstd")
        self._files.append(path)

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        for path in self._files:
            yield plain_frame(pl.read_ipc(path), types, where=self._where)
            path.unlink()


def _series(name: str, values: Sequence[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if Decimal in kinds:
        values = [float(value) if isinstance(value, Decimal) else value for value in values]
        kinds = {float if kind is Decimal else kind for kind in kinds}
    if bytes in kinds or memoryview in kinds:
        values = [bytes(value).hex() if isinstance(value, bytes | memoryview) else value for value in values]
        kinds = {str if kind in (bytes, memoryview) else kind for kind in kinds}
    if len(kinds) > 1 and not kinds <= {int, float}:
        return pl.Series(name, [spell(value) for value in values], dtype=pl.String)
    try:
        return pl.Series(name, values, strict=False)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, [spell(value) for value in values], dtype=pl.String)
