"""Refresh: read a source again, and join what is new to its newest snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import polars as pl

from rowsmith.errors import NotFoundError, RecipeError
from rowsmith.ingestion.edge import MAX_EDGE_ROWS, Edge, digest_of, like
from rowsmith.ingestion.feeds import Feed, FeedStore
from rowsmith.ingestion.hashes import Hashes, hashes_of
from rowsmith.ingestion.merge import merge
from rowsmith.ingestion.schema_change import SchemaChange, brought_to, compare, refusal, widened
from rowsmith.ingestion.snapshot import Snapshot, SnapshotStore, Told
from rowsmith.ingestion.sources.cursor import Cursor, mark_value
from rowsmith.ingestion.sources.protocol import Reading
from rowsmith.ingestion.table import Table, copied
from rowsmith.recipe_data import IncrementalSection
from rowsmith.types import Array, JsonObject, OnProgress, no_progress

COUNT, ROW = "\x00count", "\x00row"
Read = Callable[[JsonObject | None], Reading | None]


@dataclass(frozen=True)
class Refreshed:
    """What a reading came to. `before` is None at the first; `nothing_new` when `snapshot` is that of the last one."""

    snapshot: Snapshot
    before: Snapshot | None
    added: int
    replaced: int = 0
    change: SchemaChange | None = None

    @property
    def nothing_new(self) -> bool:
        return self.before is not None and self.snapshot.id == self.before.id


def refresh(
    store: SnapshotStore,
    feeds: FeedStore,
    key: str,
    read: Read,
    options: IncrementalSection,
    *,
    on_progress: OnProgress = no_progress,
) -> Refreshed:
    """Read what is new of the source `key` (`read` takes the mark of the last reading), and keep it.

    All or nothing: until the new snapshot is published and the mark written, the old ones stand. Raises SourceError
    (also for changed columns, as the policy says), RecipeError for options that do not go together, StorageError.
    """
    with feeds.locked(key):
        feed = feeds.get(key)
        before = _snapshot_of(store, feed)
        mark = feed.mark if feed and before else None
        reading = read(mark)
        if reading is None:
            assert before is not None
            return Refreshed(before, before, 0)
        reading, edge = _watched(reading, options, mark)
        if before is not None and feed is not None and feed.edge is not None:
            reading, is_known = _looked_ahead(reading, feed.edge)
            if is_known:
                return Refreshed(before, before, 0)
        if before is None or options.way == "replace":
            found = _whole(store, reading, options, before, on_progress)
        else:
            found = _joined(store, reading, options, before, mark, on_progress)
        feeds.put(key, Feed(reading.description, found.snapshot.id, reading.mark(), store.now(), edge.digest()))
        return found


def _watched(reading: Reading, options: IncrementalSection, mark: JsonObject | None) -> tuple[Reading, Edge]:
    edge = Edge(Cursor(options, mark))
    return replace(reading, batches=edge.watched(reading.batches)), edge


def _looked_ahead(reading: Reading, digest: str) -> tuple[Reading, bool]:
    """Whether the rows of a reading are just those that the last one ended with; nobody looks at the snapshot."""
    held: list[pl.DataFrame] = []
    for batch in reading.batches:
        held.append(batch)
        if sum(one.height for one in held) > MAX_EDGE_ROWS:
            break
    else:
        if not held or digest_of(pl.concat(held)) == digest:
            return reading, True
    return replace(reading, batches=chain(held, reading.batches)), False


def _snapshot_of(store: SnapshotStore, feed: Feed | None) -> Snapshot | None:
    if feed is None:
        return None
    try:
        return store.get(feed.snapshot)
    except NotFoundError:
        # It was pruned: the source is read as for the first time.
        return None


def _whole(
    store: SnapshotStore,
    reading: Reading,
    options: IncrementalSection,
    before: Snapshot | None,
    on_progress: OnProgress,
) -> Refreshed:
    """All rows of the source; of those with one key the last (or the first, where rows are only appended)."""
    keys = _Keys(options.key, where=reading.description)
    snapshot = store.add(
        keys.watched(reading.batches),
        source=reading.description,
        facts=reading.facts,
        original_of=reading.original_of,
        expected_rows=reading.expected_rows,
        on_progress=on_progress,
    )
    doubles = keys.doubles(store, snapshot, keep="first" if options.way == "append" else "last")
    if len(doubles):
        snapshot = store.add(
            _without(store.batches(snapshot), doubles),
            source=reading.description,
            facts={**reading.facts, "doubles_left_out": len(doubles)},
            parent=snapshot.id,
            on_progress=on_progress,
        )
    return Refreshed(snapshot, before, snapshot.rows)


class _Keys:
    """Sees the keys of a table go by, to know which rows have one that another has too; memory holds only those."""

    def __init__(self, key: tuple[str, ...], *, where: str) -> None:
        self._key = list(key)
        self._where = where
        self._hashes = Hashes()

    def watched(self, batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for batch in batches:
            if self._key:
                _require_columns(self._key, batch.columns, self._where)
                self._hashes.add(hashes_of(batch.select(self._key)))
            yield batch

    def doubles(self, store: SnapshotStore, snapshot: Snapshot, *, keep: Any) -> pl.Series:
        """Positions of the rows to leave out."""
        nothing = pl.Series([], dtype=pl.UInt32)
        if not self._key:
            return nothing
        repeated = self._hashes.repeated()
        if not len(repeated):
            return nothing
        # Equal hashes are looked at once more: two keys may share one.
        rows = pl.concat(self._suspects(Table.of_snapshot(store, snapshot), repeated))
        kept = rows.unique(self._key, keep=keep, maintain_order=True)
        return rows.select(ROW).join(kept.select(ROW), on=ROW, how="anti").to_series().sort()

    def _suspects(self, table: Table, repeated: Array) -> Iterator[pl.DataFrame]:
        for start, batch in table.batches():
            keys = batch.select(self._key)
            suspects = pl.Series(np.isin(hashes_of(keys), repeated))
            yield copied(keys.with_row_index(ROW, offset=start).filter(suspects))


def _without(batches: Iterable[pl.DataFrame], positions: pl.Series) -> Iterator[pl.DataFrame]:
    start = 0
    for batch in batches:
        kept = batch.with_row_index(ROW, offset=start).filter(~pl.col(ROW).is_in(positions.implode()))
        start += batch.height
        if kept.height:
            yield kept.drop(ROW)


def _joined(
    store: SnapshotStore,
    reading: Reading,
    options: IncrementalSection,
    before: Snapshot,
    mark: JsonObject | None,
    on_progress: OnProgress,
) -> Refreshed:
    parent, batches, change = _agreed(store, reading, options, before)
    told = Told(None, on_progress)
    batches = _telling(batches, told)
    facts = {**reading.facts, **({"schema_change": change.to_dict()} if change else {})}
    if options.key:
        _require_columns(options.key, parent.columns, reading.description)
        done = merge(
            store,
            parent,
            batches,
            options.key,
            replaces=options.way == "upsert",
            source=reading.description,
            facts=facts,
        )
        return Refreshed(done.snapshot or parent, before, done.added, done.replaced, change or None)
    if not reading.only_new:
        raise RecipeError(
            "this source gives all of its rows again, and nothing says which of them are new",
            where="data.incremental",
            next_step='name a key (--key COLUMN), or read all of it every time: mode = "replace"',
        )
    fresh = _unknown(store, parent, batches, mark)
    first = next(fresh, None)
    if first is None:
        return Refreshed(parent, before, 0, change=change or None)
    snapshot = store.add(
        chain([first], fresh),
        source=reading.description,
        facts=facts,
        append_to=parent.id,
        original_of=reading.original_of,
    )
    return Refreshed(snapshot, before, snapshot.rows - parent.rows, change=change or None)


def _agreed(
    store: SnapshotStore, reading: Reading, options: IncrementalSection, before: Snapshot
) -> tuple[Snapshot, Iterator[pl.DataFrame], SchemaChange]:
    """A parent and batches with the same columns, as the policy says."""
    old: Mapping[str, pl.DataType] = store.types(before)
    change = compare(old, reading.columns)
    if not change:
        return before, reading.batches, change
    where = reading.description
    if options.on_schema_change == "stop":
        raise refusal(change, where=where, columns=old)
    types = widened(old, reading.columns) if options.on_schema_change == "add" else dict(old)
    batches = (brought_to(batch, types, where=where) for batch in reading.batches)
    if types == dict(old):
        return before, batches, change
    # An old snapshot with a column more is another one, with all of its rows.
    parent = store.add(
        (brought_to(batch, types, where=where) for batch in store.batches(before)),
        source=before.source,
        facts={**before.facts, "schema_change": change.to_dict()},
        parent=before.id,
    )
    return parent, batches, change


def _unknown(
    store: SnapshotStore, parent: Snapshot, batches: Iterable[pl.DataFrame], mark: JsonObject | None
) -> Iterator[pl.DataFrame]:
    """The rows that the parent does not hold: those beyond the mark, and late ones, told by all of their values.

    Rows up to the mark are read again, since others with the same value may have come later. As often as a row is
    there already, as often it is left out.
    """
    column, greatest = (mark or {}).get("cursor"), mark_value(mark)
    if column is None or greatest is None:
        yield from batches
        return
    overlap: list[pl.DataFrame] = []
    for batch in batches:
        bound = pl.lit(like(greatest, batch.schema[column]))
        overlap.append(batch.filter(pl.col(column) <= bound))
        fresh = batch.filter(pl.col(column) > bound)
        if fresh.height:
            yield fresh
    again = pl.concat(overlap) if overlap else None
    if again is None or not again.height:
        return
    again = brought_to(again, store.types(parent), where=parent.source)
    lowest = again[column].min()
    known = store.scan(parent, verified=False).filter(pl.col(column) >= pl.lit(lowest)).collect()
    names = again.columns
    late = _counted(again).join(
        _counted(known), on=[*names, COUNT], how="anti", nulls_equal=True, maintain_order="left"
    )
    if late.height:
        yield late.select(names)


def _counted(frame: pl.DataFrame) -> pl.DataFrame:
    """With a number for each row: the how-manieth of its like it is."""
    return frame.with_columns(pl.int_range(pl.len()).over(frame.columns).alias(COUNT))


def _telling(batches: Iterable[pl.DataFrame], told: Told) -> Iterator[pl.DataFrame]:
    for batch in batches:
        told.more(batch)
        yield batch


def _require_columns(key: Iterable[str], columns: Iterable[str], where: str) -> None:
    columns = list(columns)
    if missing := next((name for name in key if name not in columns), None):
        raise RecipeError(
            f'the key column "{missing}" is not there',
            where=where,
            allowed=", ".join(columns),
            next_step="name columns of the table with --key, or under [data.incremental]",
        )
