"""Joining: the sources of a recipe's [join], each read into its own snapshot, and the table that its query makes."""

from __future__ import annotations

from typing import Protocol

from rowsmith.errors import NotFoundError, RecipeError
from rowsmith.ingestion.expectations import expecting
from rowsmith.ingestion.feeds import Feed, feed_key
from rowsmith.ingestion.join import join
from rowsmith.ingestion.refresh import Refreshed
from rowsmith.ingestion.snapshot import Snapshot
from rowsmith.ingestion.sources import Context
from rowsmith.ingestion.sources.databases.question import one_query
from rowsmith.recipe import Recipe
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject, OnProgress, Progress
from rowsmith.workflows.project import Project
from rowsmith.workflows.scratch import scratch


class Take(Protocol):
    def __call__(self, project: Project, *, on_progress: OnProgress) -> Refreshed: ...


def take_joined(project: Project, take: Take, *, on_progress: OnProgress) -> Refreshed:
    """Read every source with `take`, and join them; the last result where none of them has anything new.

    Raises RecipeError, SourceError, StorageError.
    """
    recipe = project.recipe
    section = recipe.join
    if not section.sources:
        raise RecipeError(
            "a join needs sources", where="join.sources", next_step="name them: [join.sources.NAME] source = ..."
        )
    base = section.base or next(iter(section.sources))
    if base not in section.sources:
        raise RecipeError(
            "the base of a join is one of its sources",
            where="join.base",
            received=base,
            allowed=", ".join(section.sources),
        )
    query = one_query(section.query or "", Context(root=project.root, named_here=False))
    tables = {
        name: take(project.with_recipe(_alone(recipe, data)), on_progress=on_progress).snapshot
        for name, data in section.sources.items()
    }
    ids = {name: snapshot.id for name, snapshot in tables.items()}
    may_multiply = section.may_multiply
    key = feed_key("join", {"query": query, "base": base, "names": list(ids), "may_multiply": may_multiply})
    with project.feeds.locked(key):
        before = _last(project, key)
        if before is not None and before[1] == ids:
            return Refreshed(before[0], before[0], 0)
        on_progress(Progress("join", f"{len(tables)} tables, {tables[base].rows:,} rows of {base}"))
        with scratch() as folder:
            joined = join(project.snapshots, tables, query, base=base, folder=folder, may_multiply=may_multiply)
            facts = {"format": "join", "query": query, "base": base, "joined": ids, "rows_of_base_lost": joined.lost}
            snapshot = project.snapshots.add(
                expecting(joined.batches(), recipe.expect, now=project.now(), is_whole=True),
                source=f"join of {', '.join(f'{name} ({tables[name].source})' for name in tables)}",
                facts=facts,
                expected_rows=joined.rows,
                on_progress=on_progress,
            )
        project.feeds.put(key, Feed("join", snapshot.id, {"joined": ids}, project.snapshots.now()))
        return Refreshed(snapshot, before[0] if before else None, joined.rows)


def _alone(recipe: Recipe, data: DataSection) -> Recipe:
    """A recipe that reads one of the sources. What is expected is expected of the joined table."""
    nothing = Recipe()
    return recipe.model_copy(update={"data": data, "join": nothing.join, "expect": nothing.expect})


def _last(project: Project, key: str) -> tuple[Snapshot, JsonObject] | None:
    feed = project.feeds.get(key)
    if feed is None or feed.mark is None:
        return None
    try:
        return project.snapshots.get(feed.snapshot), feed.mark["joined"]
    except NotFoundError:
        return None
