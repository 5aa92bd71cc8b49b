"""Reading: from a source to a snapshot, whole or what is new. Light to import: nothing new shall be told at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rowsmith.conform.dataframes import describe
from rowsmith.errors import RecipeError, UsageError
from rowsmith.ingestion.expectations import expecting
from rowsmith.ingestion.feeds import feed_key
from rowsmith.ingestion.refresh import Refreshed, refresh
from rowsmith.ingestion.snapshot import Snapshot
from rowsmith.ingestion.sources import Context, Reading, Secrets, Unsettled, read_batches, read_new
from rowsmith.ingestion.sources.address import scheme_of, shown
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject, OnProgress, no_progress
from rowsmith.workflows.joining import take_joined
from rowsmith.workflows.project import Project

if TYPE_CHECKING:
    from rowsmith.workflows.ingest import Ingested


def read_in(
    project: Project, source: Any = None, *, append_to: str | None = None, on_progress: OnProgress = no_progress
) -> tuple[Refreshed, Ingested | None]:
    """What `workflows.ingest.ingest` does; None for the second half of it where nothing new was read."""
    taken = take(project, source, append_to=append_to, on_progress=on_progress)
    if taken.nothing_new:
        return taken, None
    from rowsmith.workflows.ingest import examine

    return taken, examine(project, taken.snapshot, on_progress=on_progress)


def take_snapshot(
    project: Project, source: Any = None, *, append_to: str | None = None, on_progress: OnProgress = no_progress
) -> Snapshot:
    """The snapshot that `take` came to."""
    return take(project, source, append_to=append_to, on_progress=on_progress).snapshot


def take(
    project: Project, source: Any = None, *, append_to: str | None = None, on_progress: OnProgress = no_progress
) -> Refreshed:
    """Read a source into the project's store; equal rows give the snapshot that is there already.

    Without a source, and with a [join] in the recipe, its sources are read and joined. Where the recipe has an
    [data.incremental], only what is new is read, and joined to the source's last snapshot.
    """
    if source is None and project.recipe.join.query is not None:
        if append_to is not None:
            raise UsageError("a join is a table of its own, and comes after no other", where="--append-to")
        return take_joined(project, take, on_progress=on_progress)
    location = _location(project, source)
    context = Context(
        Secrets(
            project.environment,
            project.root,
            allowed=project.secret_files,
            typed=source if isinstance(source, str) else "",
        ),
        root=project.root,
        named_here=source is not None,
        internal=project.internal_addresses,
    )
    options = project.recipe.data
    if options.incremental.is_wanted:
        return _take_new(project, location, options, context, append_to, on_progress)
    try:
        snapshot = _kept(project, location, options, replace(context, may_guess=True), append_to, on_progress)
    except Unsettled:
        # Nothing was kept of it.
        snapshot = _kept(project, location, options, context, append_to, on_progress)
    return Refreshed(snapshot, None, snapshot.rows)


def _kept(
    project: Project,
    location: Any,
    options: DataSection,
    context: Context,
    append_to: str | None,
    on_progress: OnProgress,
) -> Snapshot:
    reading = _expecting(project, read_batches(location, options, context), is_whole=append_to is None)
    return project.snapshots.add(
        reading.batches,
        source=reading.description,
        facts=reading.facts,
        append_to=append_to,
        original_of=reading.original_of,
        expected_rows=reading.expected_rows,
        on_progress=on_progress,
    )


def _expecting(project: Project, reading: Reading, *, is_whole: bool) -> Reading:
    """The reading, whose rows must be as [expect] says."""
    batches = expecting(
        reading.batches, project.recipe.expect, now=project.now(), is_whole=is_whole and not reading.only_new
    )
    return replace(reading, batches=batches)


def _location(project: Project, source: Any) -> Any:
    location = project.recipe.data.source if source is None else source
    if location is None:
        raise RecipeError(
            "there is nothing to read", next_step="name a file, or set source under [data] in rowsmith.toml"
        )
    if source is None and location != "-" and "://" not in location and "${" not in location:
        # A recipe's path is relative to its project, wherever the command runs.
        return str(project.root / location)
    return location


def _take_new(
    project: Project,
    location: Any,
    options: DataSection,
    context: Context,
    append_to: str | None,
    on_progress: OnProgress,
) -> Refreshed:
    if append_to is not None:
        raise UsageError(
            "a source that is read incrementally knows which snapshot its rows come after",
            where="--append-to",
            next_step="leave it out, or read without a cursor, key and mode",
        )
    if not isinstance(location, str | Path) or location == "-":
        raise RecipeError(
            "only what can be read again is read incrementally: a file, a folder or an address",
            where="data.incremental",
            received=describe(location),
        )
    incremental = options.incremental
    if incremental.way == "replace":
        # All is read, so nothing is asked from a cursor's value on.
        options = options.model_copy(update={"incremental": incremental.model_copy(update={"cursor": None})})

    def read(mark: JsonObject | None) -> Reading | None:
        reading = read_new(location, options, replace(context, since=mark))
        return None if reading is None else _expecting(project, reading, is_whole=True)

    place = str(location)
    name = shown(place) if scheme_of(place) or "${" in place else str(Path(place).expanduser().resolve())
    return refresh(
        project.snapshots,
        project.feeds,
        feed_key(name, options.model_dump(mode="json", exclude={"incremental", "source"})),
        read,
        incremental,
        on_progress=on_progress,
    )
