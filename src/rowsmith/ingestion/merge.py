"""Merge: rows with a key, put into the parts of a snapshot. A known row takes its old place, a new one comes last.

Only the parts that hold a changed row are written anew, and only the blocks of the hash that such rows lie in are made
again; memory holds one chunk of new rows and one part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rowsmith.conform.plain import type_name
from rowsmith.errors import SourceError
from rowsmith.ingestion.parts import Part, scan_parts, write_part
from rowsmith.ingestion.row_hash import BLOCK_ROWS, RowHash, hash_block
from rowsmith.ingestion.snapshot import Snapshot, SnapshotStore, fitted
from rowsmith.types import JsonObject

CHUNK_ROWS = 1 << 19
# A last part that is smaller than this takes new rows in, so that many small readings make no heap of small files.
SMALL_PART_BYTES = 1 << 22
ROW, NEW = "\x00row", "\x00new"


@dataclass(frozen=True)
class Merged:
    """`snapshot` is None where no row was new and none changed."""

    snapshot: Snapshot | None
    added: int
    replaced: int


def merge(
    store: SnapshotStore,
    parent: Snapshot,
    batches: Iterable[pl.DataFrame],
    key: Sequence[str],
    *,
    replaces: bool,
    source: str,
    facts: JsonObject,
) -> Merged:
    """The parent with these rows; without `replaces` those with a known key are left out.

    Of several new rows with one key the last counts (the first, without `replaces`). Raises SourceError for a row
    without a key, StorageError; nothing is kept then.
    """
    with store.filling() as folder:
        work = _Merge(store, folder, parent, list(key), replaces=replaces, source=source)
        for chunk in _chunks(batches):
            work.take(chunk)
        if not work.added and not work.replaced:
            return Merged(None, 0, 0)
        return Merged(store.publish(folder, work.snapshot(facts)), work.added, work.replaced)


class _Merge:
    def __init__(
        self, store: SnapshotStore, folder: Path, parent: Snapshot, key: list[str], *, replaces: bool, source: str
    ) -> None:
        self._store = store
        self._folder = folder
        self._parent = parent
        self._parts = list(parent.parts)
        self._key = key
        self._replaces = replaces
        self._source = source
        self._dirty: set[int] = set()
        self._types = store.types(parent)
        self.added = self.replaced = 0

    def take(self, chunk: pl.DataFrame) -> None:
        rows = fitted(chunk, self._types, self._source, is_append=True)
        if rows.select(pl.any_horizontal(pl.col(self._key).is_null().any())).item():
            raise SourceError(
                f"a row has no value in its key ({', '.join(self._key)})",
                where=self._source,
                next_step="name a key that every row has, or leave such rows out of the query",
            )
        rows = rows.unique(self._key, keep="last" if self._replaces else "first", maintain_order=True)
        known: list[pl.Series] = []
        start = 0
        for place, part in enumerate(self._parts):
            known.append(self._into_part(place, part, start, rows))
            start += part.rows
        fresh = rows.with_row_index(NEW).join(pl.concat(known).to_frame(), on=NEW, how="anti").drop(NEW)
        if fresh.height:
            self._append(fresh, start)

    def _into_part(self, place: int, part: Part, start: int, rows: pl.DataFrame) -> pl.Series:
        """Let rows take their old places in one part; which of them had one."""
        keys = pl.read_parquet(self._path(part), columns=self._key, hive_partitioning=False).with_row_index(ROW)
        hits = keys.join(rows.select(self._key).with_row_index(NEW), on=self._key, how="inner")
        if self._replaces and hits.height:
            self._rewrite(place, start, hits, rows)
        return hits[NEW].cast(pl.UInt32)

    def _rewrite(self, place: int, start: int, hits: pl.DataFrame, rows: pl.DataFrame) -> None:
        frame = pl.read_parquet(self._path(self._parts[place]), hive_partitioning=False)
        before, now = frame[hits[ROW]], rows[hits[NEW]]
        same = [before[name].eq_missing(now[name]) for name in frame.columns]
        changed = hits.filter(~pl.DataFrame(same).select(pl.all_horizontal(pl.all())).to_series())
        if not changed.height:
            return
        order = pl.Series(range(frame.height), dtype=pl.Int64)
        order = order.scatter(changed[ROW], pl.Series(range(changed.height), dtype=pl.Int64) + frame.height)
        self._parts[place] = write_part(self._folder, pl.concat([frame, rows[changed[NEW]]])[order])
        self._dirty |= set(((changed[ROW].cast(pl.Int64) + start) // BLOCK_ROWS).unique().to_list())
        # A row that came with an earlier chunk was counted as added.
        self.replaced += int((changed[ROW].cast(pl.Int64) + start < self._parent.rows).sum())

    def _append(self, fresh: pl.DataFrame, start: int) -> None:
        self.added += fresh.height
        last = self._parts[-1]
        if last.bytes < SMALL_PART_BYTES:
            fresh = pl.concat([pl.read_parquet(self._path(last), hive_partitioning=False), fresh])
            self._parts.pop()
        self._parts.append(write_part(self._folder, fresh))

    def _path(self, part: Part) -> Path:
        written = self._folder / f"{part.sha256}.parquet"
        return written if written.exists() else self._store.path(part)

    def snapshot(self, facts: JsonObject) -> Snapshot:
        columns = {name: type_name(dtype) for name, dtype in self._types.items()}
        rows = sum(part.rows for part in self._parts)
        frame = scan_parts([self._path(part) for part in self._parts])
        untouched = set(range(len(self._parent.blocks))) - self._dirty
        blocks = [
            self._parent.blocks[block]
            if block in untouched
            else hash_block(frame.slice(block * BLOCK_ROWS, BLOCK_ROWS).collect())
            for block in range(rows // BLOCK_ROWS)
        ]
        digest = RowHash(columns, blocks)
        digest.update(frame.slice(len(blocks) * BLOCK_ROWS).collect())
        return Snapshot(
            id=digest.hexdigest(),
            rows=rows,
            columns=columns,
            parts=tuple(self._parts),
            blocks=tuple(blocks),
            source=self._source,
            created=self._store.now(),
            parent=self._parent.id,
            facts=facts,
        )


def _chunks(batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    held: list[pl.DataFrame] = []
    for batch in batches:
        held.append(batch)
        if sum(one.height for one in held) >= CHUNK_ROWS:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)
