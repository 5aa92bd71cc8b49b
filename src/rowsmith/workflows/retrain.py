"""Retraining: the same recipe on newer rows; the gates decide whether the challenger takes over."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

from rowsmith.recipe import Recipe
from rowsmith.types import OnProgress, no_progress
from rowsmith.workflows.erase_data import what_is_left
from rowsmith.workflows.ingest import find_snapshot
from rowsmith.workflows.project import Project
from rowsmith.workflows.reading import take_snapshot
from rowsmith.workflows.run import Outcome, train_version


def retrain(
    project: Project,
    source: Any = None,
    *,
    append: bool = False,
    promote: bool = True,
    executor: Executor | None = None,
    on_progress: OnProgress = no_progress,
) -> Outcome:
    """Train a challenger with the champion's own recipe and let it challenge the champion.

    Args:
        source: the newer rows; the newest snapshot when None.
        append: whether the rows come after those that the champion learned from, rather than instead of them.
        promote: False registers the challenger and leaves the champion where it is.

    Raises NotFoundError when there is no champion, and what `run` raises.
    """
    champion = project.version("champion")
    recipe = project.model(champion.number).recipe
    newer = project.with_recipe(_with_budget_of(project.recipe, recipe))
    base = what_is_left(project, champion.snapshot_id).id if append else None
    if source is None:
        snapshot = find_snapshot(newer, None)
    else:
        snapshot = take_snapshot(newer, source, append_to=base, on_progress=on_progress)
    return train_version(
        newer, snapshot, actor="rowsmith retrain", promote=promote, executor=executor, on_progress=on_progress
    )


def _with_budget_of(now: Recipe, then: Recipe) -> Recipe:
    """The champion's recipe; how long to train, and on how many cores, is today's choice where one was made."""
    chosen = {key: getattr(now.train, key) for key in ("seconds", "max_trials", "cores", "memory_mb")}
    return then.changed(train=chosen)
