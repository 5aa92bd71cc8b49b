"""Snapshots that hold rows of somebody: made anew without them, feeds led to the new ones, the old ones removed.

A join of such snapshots that left the column out holds the same people, and nobody can tell where: it is removed as a
whole, and made again by the next reading.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rowsmith.conform.sought import Sought
from rowsmith.errors import NotFoundError
from rowsmith.ingestion.erasure import SnapshotFound, find, successor, without
from rowsmith.ingestion.snapshot import Snapshot
from rowsmith.types import JsonObject
from rowsmith.workflows.project import Project


@dataclass(frozen=True, slots=True)
class DataFound:
    """`snapshots` hold such rows, `joins` are removed with them. `versions` of models were trained on any of these,
    and `elsewhere` are the ids that another project has a claim to."""

    snapshots: tuple[SnapshotFound, ...] = ()
    joins: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.snapshots)

    def to_dict(self) -> JsonObject:
        return {
            "snapshots": [{"id": found.snapshot.id, "rows": found.total} for found in self.snapshots],
            "joins_removed": list(self.joins),
            "trained_on_them": list(self.versions),
            "needed_elsewhere": list(self.elsewhere),
        }


def find_data(project: Project, sought: Sought | None) -> DataFound:
    """Raises StorageError."""
    if sought is None:
        return DataFound()
    found = find(project.snapshots, sought)
    gone = {each.snapshot.id for each in found}
    joins = tuple(
        snapshot.id
        for snapshot in project.snapshots.list()
        if snapshot.id not in gone and gone.intersection(snapshot.facts.get("joined", {}).values())
    )
    versions = [
        f"{version.name} {version.number}"
        for version in project.registry.list()
        if version.snapshot_id in gone.union(joins)
    ]
    elsewhere = project.snapshots.needed_elsewhere([each.snapshot for each in found])
    return DataFound(found, joins, tuple(versions), tuple(sorted(elsewhere)))


def erase_data(project: Project, found: DataFound, sought: Sought) -> None:
    """May be repeated. Raises StorageError."""
    store = project.snapshots
    renamed: dict[str, str | None] = dict.fromkeys(found.joins)
    for each in found.snapshots:
        made = without(store, each, sought, renamed)
        renamed[each.snapshot.id] = made.id if made is not None else None
        if made is not None:
            store.claim(made)
    _lead_feeds(project, renamed)
    store.remove(list(renamed), even_needed=True)


def _lead_feeds(project: Project, renamed: dict[str, str | None]) -> None:
    """A source goes on from the new snapshot; where nothing is left of it, as for the first time."""
    for key in project.feeds.names():
        with project.feeds.locked(key):
            feed = project.feeds.get(key)
            if feed is None:
                continue
            joined = (feed.mark or {}).get("joined", {})
            new = renamed.get(feed.snapshot, feed.snapshot)
            if new is None:
                project.feeds.remove(key)
            elif new != feed.snapshot or not renamed.keys().isdisjoint(joined.values()):
                mark = feed.mark
                if joined:
                    mark = {**(mark or {}), "joined": {name: renamed.get(id_) or id_ for name, id_ in joined.items()}}
                project.feeds.put(key, replace(feed, snapshot=new, mark=mark))


def what_is_left(project: Project, id_: str) -> Snapshot:
    """A snapshot, or what it became when rows were erased from it. Raises NotFoundError."""
    try:
        return project.snapshots.get(id_)
    except NotFoundError:
        instead = successor(project.snapshots, id_)
        if instead is None:
            raise
        return instead


def snapshot_of(project: Project, id_: str, what: str) -> Snapshot:
    """The snapshot that `what` was made from. Raises NotFoundError, which says so where rows were erased from it."""
    snapshot = what_is_left(project, id_)
    if snapshot.id == id_:
        return snapshot
    raise NotFoundError(
        f"rows that {what} was made from were erased, and it cannot be judged or rebuilt without them",
        received=id_[:12],
        allowed=f"{snapshot.id[:12]}, which is what is left",
        next_step="train on what is left: rowsmith retrain",
    )
