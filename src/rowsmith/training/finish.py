"""The end of a search: from the choice to the members of a model. Depends on it, the recipe and the seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rowsmith.model import Calibrator, Member
from rowsmith.recipe import TrainSection
from rowsmith.training.calibration import fit_calibrator, interval_width
from rowsmith.training.choice import Bag, Choice
from rowsmith.training.data import TrainingData
from rowsmith.training.ensemble import Effort
from rowsmith.training.families import price
from rowsmith.training.journal import Entry, Journal
from rowsmith.training.objective import Objective
from rowsmith.training.restore import restore
from rowsmith.training.trials import Run, Status, Trial
from rowsmith.training.unit import UnitResult
from rowsmith.types import Interval, Metric, Rows, Scores2D, Task


@dataclass(frozen=True)
class Answering:
    """Learners and what is put on top of them: all that a model needs beside the encoder.

    `score` is the metric over the out-of-fold answers, `row_us` the microseconds a row is expected to take.
    """

    members: tuple[Member, ...]
    calibrator: Calibrator | None
    threshold: float
    interval_width: Interval | None
    score: float
    row_us: float


@dataclass(frozen=True)
class TrainingResult:
    """What training produced.

    `ensemble` is the model; `single` the one learner that comes nearest to it, None where the ensemble is no more than
    that. `oof` holds the ensemble's final answers (calibration applied) for each training row from learners that did
    not see it, shape (rows, outputs); NaN for rows that no fold validates.
    """

    ensemble: Answering
    single: Answering | None
    oof: Scores2D
    leaderboard: tuple[Trial, ...]
    journal: Journal


@dataclass(frozen=True)
class _Top:
    """How calibration, threshold and interval are fitted."""

    objective: Objective
    options: TrainSection
    task: Task
    threshold_metric: Metric | None

    def answering(self, members: tuple[Member, ...], answers: Scores2D, rows: Rows) -> tuple[Answering, Scores2D]:
        """The members with all that goes on top, and their final answers."""
        objective = self.objective
        truth, weights = objective.truth(rows), objective.weights(rows)
        calibrator, threshold, width = None, 0.5, None
        if self.task.is_classification:
            calibrator = fit_calibrator(answers, truth, weights, seed=self.options.seed)
            answers = calibrator.apply(answers) if calibrator else answers
        if self.task is Task.BINARY:
            threshold = objective.threshold(self.threshold_metric, answers, rows)
        if self.task is Task.REGRESSION:
            width = interval_width(answers[:, 0], truth, self.options.interval)
        row_us = price.ROW_US + sum(member.learner.row_us for member in members)
        score = objective.score(answers, rows)
        return Answering(members, calibrator, threshold, width, score, row_us), answers


def finish(
    data: TrainingData,
    objective: Objective,
    runs: Sequence[Run],
    choice: Choice,
    options: TrainSection,
    effort: Effort,
    *,
    folds: int,
    threshold_metric: Metric | None,
) -> TrainingResult:
    """Members, calibration, threshold and interval over the choice, for the ensemble and for a single learner."""
    top = _Top(objective, options, data.task, threshold_metric)
    members = tuple(member for bag, share, size in choice.chosen for member in _members(bag, share, size))
    ensemble, answers = top.answering(members, choice.answers, choice.rows)
    oof = np.full((len(data.matrix), data.outputs), np.nan)
    oof[choice.rows] = answers
    return TrainingResult(
        ensemble=ensemble,
        single=_single(data, choice, top) if len(members) > 1 else None,
        oof=oof,
        leaderboard=leaderboard(runs, _weights(choice)),
        journal=_journal(data, objective, choice, options, effort, folds),
    )


def _single(data: TrainingData, choice: Choice, top: _Top) -> Answering:
    """One learner instead of all: the best configuration's, of all rows where there is one, else of the first fold."""
    bag = choice.single
    learner = bag.best.of_all_rows or bag.best.fold_models[0]
    members = (_member(bag.best, learner, 1.0),)
    return top.answering(members, bag.answers(data, choice.rows), choice.rows)[0]


def _weights(choice: Choice) -> dict[int, float]:
    """For the leaderboard, by number of the run: they sum to 1."""
    total = float(choice.shares.sum())
    return {run.id: share / total / len(bag.runs) for bag, share, _ in choice.chosen for run in bag.runs}


def leaderboard(runs: Sequence[Run], weight_of: dict[int, float]) -> tuple[Trial, ...]:
    """Every trial, best first; those without a score at the end."""
    ordered = sorted(runs, key=lambda run: (run.status is not Status.OK, run.error, run.id))
    return tuple(run.trial(weight_of.get(run.id, 0.0)) for run in ordered)


def _members(bag: Bag, share: float, size: int) -> list[Member]:
    """`size` learners share the bag's weight (Breiman 1996, doi:10.1007/BF00058655)."""
    learners = bag.learners_of(size)
    return [_member(run, result, share / len(learners)) for run, result in learners]


def _member(run: Run, result: UnitResult, weight: float) -> Member:
    return Member(weight, restore(result.state), trial=f"{run.id}:{run.family}")


def _journal(
    data: TrainingData, objective: Objective, choice: Choice, options: TrainSection, effort: Effort, folds: int
) -> Journal:
    runs = sorted((run for bag in choice.bags for run in bag.runs), key=lambda run: run.id)
    return Journal(
        data=data.digest,
        metric=objective.metric.name,
        seed=options.seed,
        folds=folds,
        effort=effort,
        entries=tuple(_entry(run, fold, objective.absolute) for run in runs for fold in sorted(run.results)),
    )


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
        refit=run.refit,
        rounds=result.rounds,
        result=result.digest,
    )
