"""Arrow IPC: the file format (also called Feather version 2) and the stream format."""

from __future__ import annotations

import polars as pl

from rowsmith.conform.plain import plain_type
from rowsmith.ingestion.sources.formats.lazy_table import LazyTable, translated
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Table
from rowsmith.recipe_data import DataSection

FILE_MARK = b"ARROW1"
STREAM_MARK = b"\xff\xff\xff\xff"


class ArrowFile:
    name = "arrow"
    title = "Feather"
    extensions = (".feather", ".arrow", ".ipc")
    is_text = False

    def recognises(self, head: bytes) -> bool:
        return head.startswith(FILE_MARK)

    def open(self, file: LocalFile, options: DataSection) -> Table:
        with translated(file.name, self.title):
            # A path that is mapped into memory would break under a file that another program rewrites.
            frame = pl.scan_ipc(file.path, glob=False, hive_partitioning=False)
            columns = frame.collect_schema()
        types = {name: plain_type(dtype) for name, dtype in columns.items()}
        return LazyTable(file.name, self.title, frame, types, file.keeper)


class ArrowStream:
    name = "arrow-stream"
    title = "Arrow stream"
    extensions = (".arrows",)
    is_text = False

    def recognises(self, head: bytes) -> bool:
        return head.startswith(STREAM_MARK)

    def open(self, file: LocalFile, options: DataSection) -> Table:
        with translated(file.name, self.title), file.open() as content:
            frame = pl.read_ipc_stream(content)
        columns = {name: plain_type(dtype) for name, dtype in frame.schema.items()}
        return LazyTable(file.name, self.title, frame.lazy(), columns)
