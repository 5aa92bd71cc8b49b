"""Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import polars as pl

from rowsmith.conform.plain import plain_type
from rowsmith.ingestion.sources.formats.lazy_table import LazyTable, translated
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Original, Table
from rowsmith.recipe_data import DataSection

MARKS = (b"PAR1", b"PARE")
TAIL_BYTES = 8
MOST_FOOTER = 0.01


class Parquet:
    name = "parquet"
    title = "Parquet"
    extensions = (".parquet", ".pq")
    is_text = False

    def recognises(self, head: bytes) -> bool:
        return head.startswith(MARKS)

    def open(self, file: LocalFile, options: DataSection) -> Table:
        with translated(file.name, self.title):
            frame = pl.scan_parquet(file.path, glob=False, hive_partitioning=False)
            columns: Mapping[str, pl.DataType] = frame.collect_schema()
        types = {name: plain_type(dtype) for name, dtype in columns.items()}
        return ParquetTable(file, frame, types)


class ParquetTable(LazyTable):
    """A file; where it is a temporary one, its batches may be taken from it as they are."""

    def __init__(self, file: LocalFile, frame: pl.LazyFrame, columns: Mapping[str, pl.DataType]) -> None:
        super().__init__(file.name, Parquet.title, frame, columns, file.keeper)
        self._file = file
        self._original: Original | None = None

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        for batch in super().batches(types):
            if self._original is None and self._keeper is not None and not _is_in_many_pieces(self._file):
                self._original = Original(self._keeper, self._rows)
            yield batch

    def original_of(self, batch: pl.DataFrame) -> Original | None:
        return self._original if batch is self._unchanged else None


def _is_in_many_pieces(file: LocalFile) -> bool:
    """Whether so much of a file says where its columns are that it has many small groups of rows, slow to read."""
    with file.open() as content:
        content.seek(-TAIL_BYTES, os.SEEK_END)
        footer = int.from_bytes(content.read(4), "little")
    return footer > file.size * MOST_FOOTER
