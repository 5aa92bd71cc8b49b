"""Retraining: the same recipe on newer rows; the gates decide whether the challenger takes over."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from rowsmith.errors import UsageError
from rowsmith.ingestion.refresh import Refreshed
from rowsmith.recipe import Recipe
from rowsmith.registry.versions import Version
from rowsmith.types import OnProgress, no_progress
from rowsmith.workflows.erase_data import what_is_left
from rowsmith.workflows.ingest import find_snapshot
from rowsmith.workflows.project import Project
from rowsmith.workflows.reading import take
from rowsmith.workflows.run import Outcome, train_version


@dataclass(frozen=True)
class Retrained:
    """`read` is what was read. `outcome` is None where `known_to`, a version, has learned just these rows before."""

    read: Refreshed
    known_to: Version | None
    outcome: Outcome | None


def retrain(
    project: Project,
    source: Any = None,
    *,
    append: bool = False,
    promote: bool = True,
    force: bool = False,
    executor: Executor | None = None,
    on_progress: OnProgress = no_progress,
) -> Retrained:
    """Train a challenger with the champion's own recipe and let it challenge the champion.

    Args:
        source: the newer rows. When None the recipe's source is read again (what is new of it, where it is read
            incrementally); the newest snapshot where the recipe has none.
        append: whether the rows come after those that the champion learned from, rather than instead of them.
        promote: False registers the challenger and leaves the champion where it is.
        force: train also where nothing was new, and a version has learned these very rows.

    Raises NotFoundError when there is no champion, and what `run` raises.
    """
    champion = project.version("champion")
    recipe = project.model(champion.number).recipe
    newer = project.with_recipe(_as_of_today(project.recipe, recipe))
    if source is None and append:
        raise UsageError(
            "the recipe's own source gives all of its rows, and they come after no others",
            where="--append",
            next_step="name the rows that come after: rowsmith retrain DATA --append",
        )
    if source is None and not _has_source(newer.recipe):
        newest = find_snapshot(newer, None)
        read = Refreshed(newest, newest, 0)
    else:
        base = what_is_left(project, champion.snapshot_id).id if append else None
        read = take(newer, source, append_to=base, on_progress=on_progress)
    known_to = _who_learned(newer, champion.name, read.snapshot.id) if source is None else None
    if known_to is not None and not force:
        return Retrained(read, known_to, None)
    outcome = train_version(
        newer, read.snapshot, actor="rowsmith retrain", promote=promote, executor=executor, on_progress=on_progress
    )
    return Retrained(read, known_to, outcome)


def _has_source(recipe: Recipe) -> bool:
    return recipe.data.source is not None or recipe.join.query is not None


def _who_learned(project: Project, name: str, snapshot: str) -> Version | None:
    """The newest version that was trained on a snapshot."""
    return next((found for found in reversed(project.registry.list(name)) if found.snapshot_id == snapshot), None)


def _as_of_today(now: Recipe, then: Recipe) -> Recipe:
    """The champion's recipe; how long to train, on how many cores, and where rows come from is today's choice where
    one was made."""
    chosen = {key: getattr(now.train, key) for key in ("seconds", "max_trials", "cores", "memory_mb")}
    recipe = then.changed(train=chosen)
    return recipe.model_copy(update={"data": now.data, "join": now.join}) if _has_source(now) else recipe
