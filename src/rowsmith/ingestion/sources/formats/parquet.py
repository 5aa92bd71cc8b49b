"""Parquet."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from rowsmith.conform.plain import plain_type
from rowsmith.ingestion.sources.formats.lazy_table import LazyTable, translated
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Table
from rowsmith.recipe_data import DataSection

MARKS = (b"PAR1", b"PARE")


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
        return LazyTable(file.name, self.title, frame, types, file.keeper)
