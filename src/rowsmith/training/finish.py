"""The end of a search: from finished runs to the members of a model. Depends on them, the effort and the seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rowsmith.model import Calibrator, Member
from rowsmith.recipe import TrainSection
from rowsmith.training.calibration import fit_calibrator, interval_width
from rowsmith.training.data import TrainingData, covered_rows
from rowsmith.training.ensemble import Effort, select
from rowsmith.training.journal import Entry, Journal
from rowsmith.training.objective import Objective
from rowsmith.training.restore import restore
from rowsmith.training.trials import Run, Status, Trial
from rowsmith.types import Interval, Metric, Scores2D, Task

MOST_BYTES = 25_000_000
"""Of the learners together; candidates that would lead beyond it are left out, the weakest first."""


@dataclass(frozen=True)
class TrainingResult:
    """What training produced.

    `oof` holds the final answers (ensemble and calibration applied) for each training row from learners that did
    not see it, shape (rows, outputs); NaN for rows that no fold validates. `score` is the metric over them.
    """

    members: tuple[Member, ...]
    calibrator: Calibrator | None
    threshold: float
    interval_width: Interval | None
    oof: Scores2D
    score: float
    leaderboard: tuple[Trial, ...]
    journal: Journal


def candidates_of(runs: Sequence[Run], most: int) -> list[Run]:
    """What an ensemble may choose from, best first: the best `most` complete runs, and the best of each family."""
    complete = sorted(
        (run for run in runs if run.is_complete and run.status is Status.OK), key=lambda r: (r.error, r.id)
    )
    families: set[str] = set()
    chosen = []
    for place, run in enumerate(complete):
        if place < most or run.family not in families:
            chosen.append(run)
        families.add(run.family)
    return chosen


def finish(
    data: TrainingData,
    objective: Objective,
    runs: Sequence[Run],
    options: TrainSection,
    effort: Effort,
    *,
    folds: int,
    absolute: bool,
    threshold_metric: Metric | None,
) -> TrainingResult:
    """Ensemble, calibration, threshold and interval over the finished `runs`. At least one must be complete."""
    rows = covered_rows(data, folds)
    chosen = _small_enough(candidates_of(runs, effort.candidates))
    answers = [run.oof(data)[rows] for run in chosen]
    shares = select(answers, rows, objective, effort, seed=options.seed)
    mixed = np.zeros_like(answers[0])
    for share, answer in zip(shares, answers, strict=True):
        if share > 0:
            mixed += share * answer
    truth, weights = objective.truth(rows), objective.weights(rows)
    calibrator, threshold, width = None, 0.5, None
    if data.task.is_classification:
        calibrator = fit_calibrator(mixed, truth, weights, seed=options.seed)
        mixed = calibrator.apply(mixed) if calibrator else mixed
    if data.task is Task.BINARY:
        threshold = objective.threshold(threshold_metric, mixed, rows)
    if data.task is Task.REGRESSION:
        width = interval_width(mixed[:, 0], truth, options.interval)
    oof = np.full((len(data.matrix), data.outputs), np.nan)
    oof[rows] = mixed
    weight_of = {run.id: float(share) for run, share in zip(chosen, shares, strict=True)}
    journal = Journal(
        data=data.digest,
        metric=objective.metric.name,
        seed=options.seed,
        folds=folds,
        effort=effort,
        entries=tuple(
            _entry(run, fold, absolute) for run in sorted(chosen, key=lambda r: r.id) for fold in sorted(run.results)
        ),
    )
    return TrainingResult(
        members=_members(chosen, weight_of),
        calibrator=calibrator,
        threshold=threshold,
        interval_width=width,
        oof=oof,
        score=objective.score(mixed, rows),
        leaderboard=leaderboard(runs, weight_of),
        journal=journal,
    )


def leaderboard(runs: Sequence[Run], weight_of: dict[int, float]) -> tuple[Trial, ...]:
    """Every trial, best first; those without a score at the end."""
    ordered = sorted(runs, key=lambda run: (run.status is not Status.OK, run.error, run.id))
    return tuple(run.trial(weight_of.get(run.id, 0.0)) for run in ordered)


def _members(chosen: Sequence[Run], weight_of: dict[int, float]) -> tuple[Member, ...]:
    """The fold models of each chosen run share its weight: a bag (Breiman 1996, doi:10.1007/BF00058655)."""
    members = []
    for run in chosen:
        if (weight := weight_of[run.id]) > 0:
            bag = run.members
            members += [Member(weight / len(bag), restore(part.state), trial=f"{run.id}:{run.family}") for part in bag]
    return tuple(members)


def _small_enough(chosen: list[Run]) -> list[Run]:
    """The best run stays whatever its size; another one only where a few of its size would fit beside it."""
    return [run for i, run in enumerate(chosen) if i == 0 or run.size <= MOST_BYTES / 3]


def _entry(run: Run, fold: int, absolute: bool) -> Entry:
    result = run.results[fold]
    return Entry(
        trial=run.id,
        family=run.family,
        params=dict(run.params),
        repeat=run.repeat,
        fold=fold,
        seed=run.seeds[fold],
        threads=run.threads,
        absolute=absolute,
        rounds=result.rounds,
        result=result.digest,
    )
