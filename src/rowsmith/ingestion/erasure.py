"""Erasure from snapshots: each that holds rows of somebody is made anew without them, and the one before it removed.

A snapshot never changes, and its name is a hash of its rows, so that it gets another name. Parts without such a row
are shared as they are. The new one keeps source, time and lineage of the old, and says what was erased from which. It
is there before the old one goes: what is cut off in between leaves both, and is done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from rowsmith.conform.sought import Sought
from rowsmith.ingestion.parts import Part, write_part
from rowsmith.ingestion.row_hash import RowHash
from rowsmith.ingestion.snapshot import Snapshot, SnapshotStore

ERASED = "erased"
"""In the facts of a snapshot: how many rows were erased, when, and the id of the snapshot that they were in."""


@dataclass(frozen=True, slots=True)
class SnapshotFound:
    """`rows` are those of somebody, by the hash of the part that holds them."""

    snapshot: Snapshot
    rows: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.rows[part.sha256] for part in self.snapshot.parts if part.sha256 in self.rows)


def find(store: SnapshotStore, sought: Sought) -> tuple[SnapshotFound, ...]:
    """The snapshots with such rows, the oldest first; a part that several share is looked at once.

    Raises StorageError, also for a part that is missing or was changed: nobody knows whom it holds.
    """
    counted: dict[str, int] = {}
    found: list[SnapshotFound] = []
    for snapshot in store.list():
        if sought.column not in snapshot.columns:
            continue
        for part in snapshot.parts:
            if part.sha256 not in counted:
                counted[part.sha256] = _count(store, part, sought)
        rows = {part.sha256: counted[part.sha256] for part in snapshot.parts if counted[part.sha256]}
        if rows:
            found.append(SnapshotFound(snapshot, rows))
    return tuple(found)


def without(
    store: SnapshotStore, found: SnapshotFound, sought: Sought, renamed: Mapping[str, str | None]
) -> Snapshot | None:
    """The snapshot without the rows, published; None where no row is left. `renamed` has what others became.

    Raises StorageError.
    """
    old = found.snapshot
    digest = RowHash(old.columns)
    parts: list[Part] = []
    with store.filling() as folder:
        for part in old.parts:
            (frame,) = store.batches(replace(old, parts=(part,)))
            if part.sha256 in found.rows:
                frame = frame.filter(~sought.rows(frame[sought.column]))
                if not frame.height:
                    continue
                part = write_part(folder, frame)
            digest.update(frame)
            parts.append(part)
        if not parts:
            return None
        line = {"rows": found.total, "date": store.now(), "from": old.id}
        facts = {**old.facts, ERASED: [*old.facts.get(ERASED, ()), line]}
        if "joined" in facts:
            facts["joined"] = {name: renamed.get(id_) or id_ for name, id_ in facts["joined"].items()}
        return store.publish(
            folder,
            replace(
                old,
                id=digest.hexdigest(),
                rows=digest.rows,
                parts=tuple(parts),
                blocks=digest.blocks,
                parent=renamed.get(old.parent, old.parent) if old.parent is not None else None,
                facts=facts,
            ),
        )


def successor(store: SnapshotStore, id_: str) -> Snapshot | None:
    """What a snapshot became when rows were erased from it, the newest; None where none is known."""
    found: Snapshot | None = None
    for snapshot in store.list():
        if any(line["from"] == id_ for line in snapshot.facts.get(ERASED, ())):
            found = snapshot
    return found


def _count(store: SnapshotStore, part: Part, sought: Sought) -> int:
    (path,) = store.kept.paths([part])
    values = pl.scan_parquet(path, glob=False, hive_partitioning=False).select(sought.column).collect()[sought.column]
    return int(sought.rows(values).sum())
