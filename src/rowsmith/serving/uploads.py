"""Uploads: what a file would become is looked at before anything is made of it.

A file of kilobytes can unpack to gigabytes, name a million columns, or repeat one value a billion times. Each is
refused by what it is, not by what its name says, and before it takes more than a fixed amount of memory or disk.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import polars as pl
import zstandard

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.local_file import GZIP, ZSTD

CHUNK_BYTES = 1 << 20
EXPANSION = 10
"""A packed file may become so many times the size that an upload may have."""
MAX_LINE_BYTES = 16 << 20
MAX_WINDOW_BYTES = 1 << 27
MAX_COLUMNS = 20_000
MAX_CELLS = 1_000_000_000
PARQUET = b"PAR1"
ARROW = b"ARROW1"
ZIP = b"PK\x03\x04"
TABLES = (PARQUET, ARROW, ZIP)
DAMAGE = (OSError, EOFError, zlib.error, zstandard.ZstdError)


def check_upload(path: Path, *, name: str, max_bytes: int) -> None:
    """Raises SourceError for a file that would become more than `max_bytes` times EXPANSION, or is no honest table.

    Nothing is unpacked to disk, and at most some megabytes are held at once.
    """
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(PARQUET):
        _check_parquet(path, name)
    elif not head.startswith(TABLES):
        _check_text(path, name, head, max_bytes * EXPANSION)


def _check_parquet(path: Path, name: str) -> None:
    # A damaged file is the reader's business, which says what is wrong with it.
    with suppress(pl.exceptions.PolarsError, OSError):
        columns = len(pl.read_parquet_schema(path))
        _require(columns <= MAX_COLUMNS, name, f"{columns:,} columns", f"{MAX_COLUMNS:,} columns")
        rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        _require(rows * columns <= MAX_CELLS, name, f"{rows:,} rows of {columns} columns", f"{MAX_CELLS:,} cells")


def _check_text(path: Path, name: str, head: bytes, most: int) -> None:
    """The unpacked size, and the longest line where there are lines."""
    size, line = 0, 0
    is_first = True
    with suppress(*DAMAGE):
        for chunk in _chunks(path, head):
            if is_first:
                is_first = False
                _require(not chunk.startswith((GZIP, ZSTD)), name, "a pack in a pack", "one that is packed once")
                _require(chunk.count(b"\0") < len(chunk) // 2 + 1, name, "a binary file", "a table")
            size += len(chunk)
            _require(size <= most, name, f"more than {most >> 20:,} MB unpacked", f"up to {most >> 20:,} MB")
            first, last = chunk.find(b"\n"), chunk.rfind(b"\n")
            line = line + len(chunk) if last < 0 else max(line + first, len(chunk) - last)
            # One document may be one line, as JSON often is; it is bounded by the size then.
            if not _is_document(name):
                _require(
                    line <= MAX_LINE_BYTES, name, "a line of many megabytes", f"lines of {MAX_LINE_BYTES >> 20} MB"
                )
            line = len(chunk) - last if last >= 0 else line


def _is_document(name: str) -> bool:
    return ".json" in name.lower() and ".jsonl" not in name.lower()


def _chunks(path: Path, head: bytes) -> Iterator[bytes]:
    with path.open("rb") as file:
        stream: IO[bytes] = file
        if head.startswith(GZIP):
            stream = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
        elif head.startswith(ZSTD):
            unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
            stream = unpacker.stream_reader(file, read_across_frames=True)
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _require(holds: bool, name: str, received: str, allowed: str) -> None:
    if not holds:
        raise SourceError(
            "this file would become too large, or is no table",
            where=name,
            received=received,
            allowed=allowed,
            next_step="score it on the machine itself with rowsmith predict, or in parts",
        )
