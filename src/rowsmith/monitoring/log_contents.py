"""Contents of entries that stand for many rows, from the database or the files they were moved to; and frames of many
such pieces as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from sqlalchemy import Connection, select

from rowsmith.monitoring.log_archive import LogArchive
from rowsmith.monitoring.log_table import Content, read_content
from rowsmith.monitoring.log_values import column_of
from rowsmith.storage.tables import predictions
from rowsmith.types import JsonObject

ENTRIES_A_QUERY = 500


def read_contents(connection: Connection, ids: Sequence[str], archive: LogArchive | None = None) -> dict[str, Content]:
    """By entry, of those that have any. Raises StorageError."""
    p = predictions.c
    query = select(p.id, p.content, p.archive)
    found: dict[str, Content] = {}
    for start in range(0, len(ids), ENTRIES_A_QUERY):
        moved: dict[str, int] = {}
        for id_, content, number in connection.execute(query.where(p.id.in_(ids[start : start + ENTRIES_A_QUERY]))):
            if content is not None:
                found[id_] = read_content(content)
            elif number is not None:
                moved[id_] = number
        if moved and archive is not None:
            found |= archive.contents(connection, moved)
    return found


def frame_of(rows: Sequence[JsonObject], columns: Sequence[str] | None = None) -> pl.DataFrame:
    """JSON objects as columns of their common types; all that occur where none are named."""
    names = list(dict.fromkeys(name for row in rows for name in row)) if columns is None else columns
    return _frame({name: column_of(name, [row.get(name) for row in rows]) for name in names}, len(rows))


def joined(pieces: Sequence[pl.DataFrame], columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Frames one below the other, each column in the common type of its values, as `frame_of` would have it."""
    whole: list[list[pl.DataFrame]] = []
    for piece in pieces:
        if whole and whole[-1][0].schema == piece.schema:
            whole[-1].append(piece)
        elif piece.height:
            whole.append([piece])
    parts = [pl.concat(alike) if len(alike) > 1 else alike[0] for alike in whole]
    names = list(dict.fromkeys(name for part in parts for name in part.columns)) if columns is None else columns
    return _frame({name: _joined_column(name, parts) for name in names}, sum(piece.height for piece in pieces))


def _frame(columns: Mapping[str, pl.Series], height: int) -> pl.DataFrame:
    return pl.DataFrame(columns) if columns else pl.DataFrame(height=height)


def _joined_column(name: str, pieces: Sequence[pl.DataFrame]) -> pl.Series:
    parts = [
        piece[name] if name in piece.columns else pl.Series(name, [None] * piece.height, dtype=pl.Null)
        for piece in pieces
    ]
    types = {part.dtype for part in parts} - {pl.Null()}
    if len(types) > 1 and types != {pl.Int64(), pl.Float64()}:
        return column_of(name, [value for part in parts for value in part.to_list()])
    dtype = pl.Null() if not types else types.pop() if len(types) == 1 else pl.Float64()
    return pl.concat([part.cast(dtype) for part in parts]) if parts else pl.Series(name, [], dtype=dtype)
