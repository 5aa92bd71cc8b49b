"""Data: what the store of snapshots holds, what uses it, whether it is whole, and what may go."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rowsmith.errors import NotFoundError, StorageError
from rowsmith.ingestion.croissant import croissant
from rowsmith.ingestion.profile import difference, profile
from rowsmith.ingestion.schema_file import read_schema
from rowsmith.ingestion.snapshot import Snapshot
from rowsmith.storage.files import write_atomically
from rowsmith.types import JsonObject, OnProgress, Progress, Role, no_progress
from rowsmith.workflows.ingest import find_snapshot
from rowsmith.workflows.project import Project

# Beyond this many cells a profile takes more than a moment, and is made on request only.
CELLS_OF_A_MOMENT = 20_000_000


def list_data(project: Project) -> list[JsonObject]:
    """All snapshots, the newest first, each with what uses it."""
    users = used_by(project)
    return [summary(snapshot, users) for snapshot in reversed(project.snapshots.list())]


def summary(snapshot: Snapshot, users: dict[str, list[str]]) -> JsonObject:
    return {
        "id": snapshot.id,
        "created": snapshot.created,
        "rows": snapshot.rows,
        "columns": len(snapshot.columns),
        "bytes": sum(part.bytes for part in snapshot.parts),
        "source": snapshot.source,
        "parent": snapshot.parent,
        "used_by": users.get(snapshot.id, []),
    }


def used_by(project: Project) -> dict[str, list[str]]:
    """For the id of a snapshot what needs it: versions of models, and sources that are read incrementally."""
    users: dict[str, list[str]] = {}
    if not project.is_empty:
        for version in project.registry.list():
            users.setdefault(version.snapshot_id, []).append(f"{version.name} {version.number}")
    for feed in project.feeds.list():
        users.setdefault(feed.snapshot, []).append("its source")
    for snapshot in project.snapshots.list():
        for joined in snapshot.facts.get("joined", {}).values() if snapshot.id in users else ():
            users.setdefault(joined, []).append(f"the join {snapshot.id[:12]}")
    return users


def show_data(project: Project, ref: str | None, *, at_once: bool = False) -> JsonObject:
    """One snapshot (the newest when None) in full: lineage, facts, and a profile of its columns.

    With `at_once` a profile that would take long is left out (None) unless it was made before.
    """
    snapshot = find_snapshot(project, ref)
    small = snapshot.rows * len(snapshot.columns) <= CELLS_OF_A_MOMENT
    return {
        **summary(snapshot, used_by(project)),
        "types": dict(snapshot.columns),
        "parts": [{"sha256": part.sha256, "rows": part.rows, "bytes": part.bytes} for part in snapshot.parts],
        "facts": snapshot.facts,
        "lineage": lineage(project, snapshot),
        "profile": _profile(project, snapshot, make=small or not at_once),
    }


def lineage(project: Project, snapshot: Snapshot) -> list[JsonObject]:
    """The snapshots that it came from, the nearest first. One that was pruned ends the line."""
    line: list[JsonObject] = []
    seen = {snapshot.id}
    parent = snapshot.parent
    while parent is not None and parent not in seen:
        seen.add(parent)
        try:
            found = project.snapshots.get(parent)
        except NotFoundError:
            line.append({"id": parent, "pruned": True})
            break
        line.append({"id": found.id, "pruned": False, "created": found.created, "rows": found.rows})
        parent = found.parent
    return line


def _profile(project: Project, snapshot: Snapshot, *, make: bool) -> list[JsonObject] | None:
    """Made once: a snapshot never changes."""
    path = project.snapshots.profile_path(snapshot)
    if path.is_file():
        try:
            kept: list[JsonObject] = json.loads(path.read_text(encoding="utf-8"))
            return kept
        except ValueError:
            path.unlink()
    if not make:
        return None
    made = profile(project.snapshots, snapshot)
    write_atomically(path, json.dumps(made, ensure_ascii=False))
    return made


def diff_data(project: Project, before: str, after: str | None) -> JsonObject:
    """How two snapshots differ; the second is the newest when None."""
    return difference(project.snapshots, find_snapshot(project, before), find_snapshot(project, after))


def verify_data(project: Project, ref: str | None = None, *, on_progress: OnProgress = no_progress) -> JsonObject:
    """Read every part of a snapshot (of all when None) and compare its bytes, and its rows, with their hashes."""
    chosen = project.snapshots.list() if ref is None else (find_snapshot(project, ref),)
    faults: list[JsonObject] = []
    for place, snapshot in enumerate(chosen):
        on_progress(Progress("verify", snapshot.id[:12], fraction=place / len(chosen)))
        try:
            project.snapshots.verify(snapshot)
        except StorageError as problem:
            faults.append({"id": snapshot.id, "what": str(problem)})
    return {"passed": not faults, "snapshots": len(chosen), "faults": faults}


def prune_data(project: Project, *, keep: int, dry_run: bool, even_needed: bool = False) -> JsonObject:
    """Remove snapshots that nothing needs, except the newest `keep`; parts that others share stay.

    Nor does what other projects need go, where a bucket is shared, unless `even_needed`.
    """
    users = used_by(project)
    snapshots = project.snapshots.list()
    newest = {snapshot.id for snapshot in snapshots[max(len(snapshots) - keep, 0) :]}
    unused = [snapshot for snapshot in snapshots if snapshot.id not in users and snapshot.id not in newest]
    elsewhere = set() if even_needed else project.snapshots.needed_elsewhere(unused)
    going = [snapshot for snapshot in unused if snapshot.id not in elsewhere]
    staying = {part.sha256 for snapshot in snapshots if snapshot not in going for part in snapshot.parts}
    freed = {part.sha256: part.bytes for snapshot in going for part in snapshot.parts if part.sha256 not in staying}
    if not dry_run:
        project.snapshots.remove([snapshot.id for snapshot in going], even_needed=even_needed)
    return {
        "dry_run": dry_run,
        "removed": [summary(snapshot, users) for snapshot in going],
        "kept": len(snapshots) - len(going),
        "needed_elsewhere": len(elsewhere),
        "bytes": sum(freed.values()),
    }


def data_card(project: Project, ref: str | None) -> JsonObject:
    """Croissant metadata of a snapshot: JSON-LD that tools for data sets read."""
    snapshot = find_snapshot(project, ref)
    found = _profile(project, snapshot, make=True)
    return croissant(snapshot, found or [], name=project.recipe.name, personal=_personal(project))


def _personal(project: Project) -> Sequence[str]:
    """Columns that the schema calls personal, for the card to say so."""
    if not project.schema_path.exists():
        return ()
    schema = read_schema(project.schema_path)
    return [column.name for column in schema.columns if {Role.SUBJECT_ID, Role.SENSITIVE}.intersection(column.roles)]
