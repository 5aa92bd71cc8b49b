"""The refit: what the ensemble chose is learned once more, from all rows.

A model of all rows has seen more than a fold model has, and one of it does what a bag does for a fraction of the time
to predict. Boosting runs as long as its folds needed on average, and a little longer, since there are more rows.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from rowsmith.training.choice import Choice
from rowsmith.training.families import find_family
from rowsmith.training.supervisor import Supervisor
from rowsmith.training.trials import Run
from rowsmith.training.unit import ALL_ROWS, Unit, UnitResult, seed_of

LEAST_ROUNDS = 0.9
"""Of the rounds asked for, that a model needs to be used: one that was stopped half-way is worse than its folds."""
MORE_ROWS = 1.25
"""A model of all rows has a quarter more than one of four folds of five."""
CAUTION = 1.2
"""Refits are expected to take so much longer than the folds did: that much is kept back for them."""
LEAST_TIME = 0.8
"""Of what was kept back, that has to be left for a refit to start."""
POLL_SECONDS = 0.5


def refit(choice: Choice, supervisor: Supervisor, *, seed: int, absolute: bool, until: float | None) -> None:
    """Learn from all rows for the bags that want it, the largest share first, until `until` (time.monotonic) or without
    hurry. The results go into the runs; where one does not come in time the fold models stand."""
    runs = {run.id: run for run in _wanted(choice)}
    waiting = [(_unit(run, seed, absolute), expected_seconds(run)) for run in runs.values()]
    while waiting or not supervisor.is_idle:
        while waiting and supervisor.has_room:
            unit, seconds = waiting.pop(0)
            left = None if until is None else until - time.monotonic()
            if left is None or left > LEAST_TIME * seconds:
                supervisor.start(replace(unit, seconds=left))
        if until is not None and time.monotonic() >= until:
            break
        for outcome in supervisor.collect(
            None if until is None else min(POLL_SECONDS, max(until - time.monotonic(), 0))
        ):
            if outcome.result is not None and _is_whole(outcome.unit, outcome.result):
                run = runs[outcome.unit.trial]
                run.results[ALL_ROWS], run.seeds[ALL_ROWS] = outcome.result, outcome.unit.seed
                run.seconds += outcome.result.seconds
    supervisor.stop()


def _wanted(choice: Choice) -> list[Run]:
    """One learner may have to stand alone for all: it is worth a refit on small tables too."""
    runs = [bag.best for bag, _, _ in choice.chosen if bag.refit]
    single = choice.single.best
    runs += [] if single in runs else [single]
    return [run for run in runs if run.of_all_rows is None]


def expected_seconds(run: Run) -> float:
    """Of a refit, by what the folds took: there are more rows, but no rounds after the best to see that it was."""
    more = find_family(run.family).more_rounds
    used = [
        result.seconds * min(more * result.rounds / result.grown, 1.0) if result.grown else result.seconds
        for result in run.fold_models
    ]
    return CAUTION * MORE_ROWS * float(np.mean(used))


def _unit(run: Run, seed: int, absolute: bool) -> Unit:
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
