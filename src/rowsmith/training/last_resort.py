"""Where there is hardly time: work in this process, and an answer where no trial ended."""

from __future__ import annotations

from collections.abc import Sequence

from rowsmith.errors import TrainingError
from rowsmith.training.budget import Clock, Prices, first_rows, fold_shape
from rowsmith.training.data import TrainingData
from rowsmith.training.families.base import Family
from rowsmith.training.families.constant import FAMILY as CONSTANT
from rowsmith.training.objective import Objective
from rowsmith.training.trials import Run, Status
from rowsmith.training.unit import Unit, run_unit

TINY_CELLS = 50_000
HURRY_SECONDS = 3.0


def is_tiny(data: TrainingData, clock: Clock) -> bool:
    """Whether starting processes would take longer than the work, or than there is."""
    if clock.left is not None:
        return clock.left < HURRY_SECONDS
    return data.matrix.size <= TINY_CELLS


def is_hopeless(data: TrainingData, families: Sequence[Family], clock: Clock) -> bool:
    """Whether even the quickest fit would take longer than there is."""
    quick = [family for family in families if family.quick is not None]
    if clock.left is None or not quick:
        return False
    family, params = quick[0], dict(quick[0].quick or {})
    if (rows := first_rows(data, family, params)) is not None:
        params["rows"] = rows
    return Prices().guess(family, fold_shape(data), params) > clock.left


def last_resort(data: TrainingData, objective: Objective, folds: int, runs: list[Run]) -> int:
    """A model where no trial ended: the folds that did, else class shares or the mean. Returns the folds it ran.

    Raises TrainingError where every configuration failed.
    """
    failed = [run for run in runs if run.status is Status.FAILED]
    started = max(runs, key=lambda run: run.leading_folds(), default=None)
    if started is not None and started.leading_folds():
        started.folds = started.leading_folds()
        started.refit = False
        started.results = {fold: started.results[fold] for fold in range(started.folds)}
        started.measure(data, objective)
        return started.folds
    if failed:
        raise TrainingError(
            "every configuration failed",
            received="; ".join(sorted({f"{run.family}: {run.message}" for run in failed})[:5]),
            next_step="leave families out with train.families, or allow more memory",
        )
    run = Run(len(runs), CONSTANT.name, {}, folds, message="nothing better ended in time")
    for fold in range(folds):
        run.seeds[fold] = 0
        run.results[fold] = run_unit(data, Unit(run.id, run.family, {}, fold))
    run.measure(data, objective)
    runs.append(run)
    return folds
