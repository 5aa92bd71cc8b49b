"""The logical hash of a table: of its names, types and values in order, not of the bytes of any file.

Rows are hashed in blocks of `BLOCK_ROWS`, counted from the first row of the table, so the hash does not depend on the
batches that rows come in, and an append goes on where the last whole block ended. Each column of a block is SHA-256
of its missing values as bits, then of its values as little-endian numbers, or as lengths and UTF-8. `_row_bytes.c`,
where it was compiled, makes these bytes from Arrow's buffers; polars and NumPy make the same.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

try:
    from rowsmith.ingestion._row_bytes import row_bytes
except ImportError:
    is_compiled = False
else:
    is_compiled = sys.byteorder == "little"

BLOCK_ROWS = 1 << 16
FORMAT = 1


class RowHash:
    """`columns` maps names to type names; `blocks` are those of rows before these, each `BLOCK_ROWS` long."""

    def __init__(self, columns: Mapping[str, str], blocks: Sequence[str] = ()) -> None:
        self.rows = len(blocks) * BLOCK_ROWS
        self._columns = columns
        self._blocks = list(blocks)
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = 0

    def update(self, frame: pl.DataFrame) -> None:
        """Rows with just the columns that were named, of plain types."""
        self.rows += frame.height
        self._pending_rows += frame.height
        self._pending.append(frame)
        if self._pending_rows < BLOCK_ROWS:
            return
        rows = pl.concat(self._pending)
        whole = rows.height - rows.height % BLOCK_ROWS
        for start in range(0, whole, BLOCK_ROWS):
            self._blocks.append(hash_block(rows.slice(start, BLOCK_ROWS)))
        self._pending = [rows.slice(whole)]
        self._pending_rows = rows.height - whole

    @property
    def blocks(self) -> tuple[str, ...]:
        """Those of whole blocks; an append takes them up."""
        return tuple(self._blocks)

    def hexdigest(self) -> str:
        rest = hash_block(pl.concat(self._pending)) if self._pending_rows else ""
        document = {
            "format": FORMAT,
            "columns": list(self._columns.items()),
            "rows": self.rows,
            "blocks": [*self._blocks, rest],
        }
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def hash_block(frame: pl.DataFrame) -> str:
    digest = hashlib.sha256()
    for series in frame:
        digest.update(hashlib.sha256(_bytes_of(series)).digest())
    return digest.hexdigest()


def _bytes_of(series: pl.Series) -> bytes:
    """The values of a plain type, with what stands for a missing one always the same."""
    found = row_bytes(series.__arrow_c_stream__()) if is_compiled else None
    return bytes_by_numpy(series) if found is None else found


def bytes_by_numpy(series: pl.Series) -> bytes:
    """The twin of the compiled loop."""
    nulls = np.packbits(series.is_null().to_numpy()).tobytes() if series.null_count() else b""
    return b"".join((len(nulls).to_bytes(8, "little"), nulls, *_contents(series)))


def _contents(series: pl.Series) -> tuple[bytes | memoryview, ...]:
    if isinstance(series.dtype, pl.String):
        lengths = _filled(series.str.len_bytes()).cast(pl.UInt32)
        # As bytes from the first: Python would look at every character of a text.
        text: bytes = series.str.join("").cast(pl.Binary).item()
        return _little_endian(lengths), text
    if isinstance(series.dtype, pl.Boolean):
        return (_little_endian(_filled(series.cast(pl.UInt8))),)
    return (_little_endian(_filled(series.to_physical())),)


def _filled(numbers: pl.Series) -> pl.Series:
    """Zero for missing; the very series where nothing is, which polars would copy."""
    return numbers.fill_null(0) if numbers.null_count() else numbers


def _little_endian(numbers: pl.Series) -> memoryview:
    array = numbers.to_numpy()
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data
