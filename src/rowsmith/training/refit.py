"""The refit: what the ensemble chose is learned once more, from all rows.

A model of all rows has seen more than a fold model has. Boosting runs as long as its folds needed on average, and a
little longer, since there are more rows.

Refits are made while the search goes on: each worker takes up one when no trial fits any more beside those that are
still to be made, so that nobody waits for the longest of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rowsmith.training.choice import Choice
from rowsmith.training.data import Shape, TrainingData
from rowsmith.training.families import find_family
from rowsmith.training.supervisor import Outcome, Supervisor
from rowsmith.training.trials import Run
from rowsmith.training.unit import ALL_ROWS, Unit, UnitResult, seed_of

LEAST_ROUNDS = 0.9
"""Of the rounds asked for, that a model needs to be used: one that was stopped half-way is worse than its folds."""
CAUTION = 1.2
"""Refits are expected to take so much longer than the folds tell: that much is kept back for them."""
LEAST_TIME = 0.8
"""Of what was kept back, that has to be left for a refit to start."""
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Waiting:
    """A run whose refit is still to be made, and the seconds that it is expected to take."""

    run: Run
    seconds: float


def refit(
    choice: Choice, data: TrainingData, supervisor: Supervisor, *, seed: int, absolute: bool, until: float | None
) -> None:
    """Learn from all rows for the bags that want it, the largest share first, until `until` (time.monotonic) or without
    hurry. The results go into the runs; where one does not come in time the fold models stand."""
    waiting = waiting_for(wanted(choice), data)
    runs = {one.run.id: one.run for one in waiting}
    while waiting or not supervisor.is_idle:
        while waiting and supervisor.has_room:
            one = waiting.pop(0)
            left = None if until is None else until - time.monotonic()
            if left is None or left > LEAST_TIME * one.seconds:
                supervisor.start(replace(unit_of(one.run, seed, absolute), seconds=left))
        if until is not None and time.monotonic() >= until:
            break
        for outcome in supervisor.collect(
            None if until is None else min(POLL_SECONDS, max(until - time.monotonic(), 0))
        ):
            take(runs[outcome.unit.trial], outcome)
    supervisor.stop()


def wanted(choice: Choice) -> list[Run]:
    """One learner may have to stand alone for all: it is worth a refit on small tables too."""
    runs = [bag.best for bag, _, _ in choice.chosen if bag.refit]
    single = choice.single.best
    return runs + ([] if single in runs else [single])


def waiting_for(runs: Sequence[Run], data: TrainingData) -> list[Waiting]:
    """Those of the runs that no model of all rows stands for yet."""
    return [Waiting(run, expected_seconds(run, data)) for run in runs if run.of_all_rows is None]


def expected_seconds(run: Run, data: TrainingData) -> float:
    """Of a refit, by what the folds took: there are more rows, but no rounds after the best to see that it was."""
    family = find_family(run.family)
    used = [
        result.seconds * min(family.more_rounds * result.rounds / result.grown, 1.0) if result.grown else result.seconds
        for result in run.fold_models
    ]
    of_folds: Shape = replace(data.shape, rows=max(len(train) for train, _ in data.folds))
    more = max(family.cost(data.shape, run.params) / family.cost(of_folds, run.params), 1.0)
    return CAUTION * more * float(np.mean(used))


def shared_out(waiting: Sequence[Waiting], room: float, rooms: Sequence[float]) -> tuple[list[Waiting], float]:
    """What of `waiting` fits into the time that is left, and the seconds of it that fall to the next worker.

    `room` is the time of that worker, `rooms` those of the others once they have done what they are at. The first of
    `waiting` are taken first; each goes to the others where they have the time for it.
    """
    others, own, taken = list(rooms), 0.0, []
    for one in waiting:
        place = int(np.argmax(others)) if others else -1
        if others and others[place] >= one.seconds:
            others[place] -= one.seconds
        elif own + one.seconds <= room:
            own += one.seconds
        else:
            continue
        taken.append(one)
    return taken, own


def take(run: Run, outcome: Outcome) -> None:
    """File the model of all rows with its run, where it came out whole."""
    if outcome.result is not None and _is_whole(outcome.unit, outcome.result):
        run.results[ALL_ROWS], run.seeds[ALL_ROWS] = outcome.result, outcome.unit.seed
        run.seconds += outcome.result.seconds


def unit_of(run: Run, seed: int, absolute: bool) -> Unit:
    """The unit of work that learns the run's configuration from all rows."""
    rounds = float(np.mean([result.rounds for result in run.fold_models]))
    return Unit(
        trial=run.id,
        family=run.family,
        params=run.params,
        fold=ALL_ROWS,
        seed=seed_of(seed, run.id, ALL_ROWS),
        threads=run.threads,
        rounds=max(round(rounds * find_family(run.family).more_rounds), 1) if rounds else None,
        absolute=absolute,
    )


def _is_whole(unit: Unit, result: UnitResult) -> bool:
    return unit.rounds is None or result.rounds >= LEAST_ROUNDS * unit.rounds
