"""Edge: the newest rows of a source, given again at the next reading. When they are all of it, nothing is new."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

import polars as pl

from rowsmith.conform.plain import type_name
from rowsmith.ingestion.row_hash import RowHash
from rowsmith.ingestion.sources.cursor import Cursor

# With more rows at its edge a source is compared with its snapshot, which takes longer.
MAX_EDGE_ROWS = 50_000


class Edge:
    """Sees rows go by and keeps those that the next reading begins with, as long as they are not too many."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._rows: list[pl.DataFrame] = []
        self._is_known = cursor.column is not None

    def watched(self, batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for batch in batches:
            if self._is_known:
                self._see(batch)
            yield batch

    def digest(self) -> str | None:
        rows = self._trimmed() if self._is_known else []
        return digest_of(pl.concat(rows)) if rows and sum(one.height for one in rows) <= MAX_EDGE_ROWS else None

    def _see(self, batch: pl.DataFrame) -> None:
        column = self._cursor.column
        if column not in batch.columns:
            self._is_known = False
            return
        self._cursor.see(batch)
        self._rows.append(batch)
        if sum(one.height for one in self._rows) > MAX_EDGE_ROWS:
            self._rows = self._trimmed()
            self._is_known = sum(one.height for one in self._rows) <= 2 * MAX_EDGE_ROWS

    def _trimmed(self) -> list[pl.DataFrame]:
        start, column = self._cursor.start, self._cursor.column
        if start is None or column is None:
            return self._rows
        trimmed = [rows.filter(pl.col(column) >= pl.lit(like(start, rows.schema[column]))) for rows in self._rows]
        return [rows for rows in trimmed if rows.height]


def digest_of(rows: pl.DataFrame) -> str:
    """The same for the same rows in any order."""
    ordered = rows.select(sorted(rows.columns))
    digest = RowHash({name: type_name(dtype) for name, dtype in ordered.schema.items()})
    digest.update(ordered.sort(ordered.columns, nulls_last=True))
    return digest.hexdigest()


def like(value: Any, dtype: pl.DataType) -> Any:
    """A value of a mark as a column has it: times of a zone are kept in UTC."""
    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    return value.replace(tzinfo=UTC) if zoned else value
