"""Refits beside the search: who makes which of them, and what a model of all rows has learned from."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from rowsmith.recipe import TrainSection
from rowsmith.training import Journal, replay, run_search
from rowsmith.training.executor import InProcessExecutor
from rowsmith.training.refit import CAUTION, Waiting, expected_seconds, shared_out
from rowsmith.training.trials import Run, Status
from rowsmith.training.unit import ALL_ROWS, Unit, run_unit
from rowsmith.types import Task
from tests.training.tables import RMSE, make_table
from tests.training.test_search import fingerprint


def waiting(*seconds: float) -> list[Waiting]:
    return [Waiting(Run(i, "lightgbm", {}, folds=2), each) for i, each in enumerate(seconds)]


@pytest.mark.parametrize(
    ("seconds", "room", "rooms", "taken", "own"),
    [
        ((5, 3), 10, [10], [0, 1], 0),  # the other worker has the time for both
        ((8, 3), 10, [10], [0, 1], 3),
        ((8, 3), 10, [4], [0, 1], 8),  # the other one is busy for long: it can make the short one alone
        ((12, 3), 10, [10], [1], 0),  # too long for anybody
        ((6, 6, 6), 10, [10], [0, 1], 6),  # what counts most comes first
        ((5, 3), 10, [], [0, 1], 8),
        ((), 10, [10], [], 0),
    ],
)
def test_the_next_worker_is_left_what_the_others_have_no_time_for(
    seconds: tuple[float, ...], room: float, rooms: list[float], taken: list[int], own: float
) -> None:
    accepted, spared = shared_out(waiting(*seconds), room, rooms)
    assert [one.run.id for one in accepted] == taken
    assert spared == own


def test_a_refit_is_expected_to_take_longer_by_its_rows_and_no_rounds_after_the_best() -> None:
    data = make_table(Task.REGRESSION, rows=6000)
    params = {"learning_rate": 0.1, "num_leaves": 8, "rounds": 40, "native_levels": 0}
    unit = Unit(0, "lightgbm", params, 0, seconds=100.0)
    result = replace(run_unit(data, unit), seconds=3.0, rounds=20, grown=40)
    run = Run(0, "lightgbm", params, folds=1, refit=True, results={0: result})
    share = len(data.folds[0][0]) / len(data.matrix)
    seconds = expected_seconds(run, data)
    assert CAUTION * 3.0 / 2 < seconds < 1.2 * CAUTION * 3.0 / 2 / share
    forest = replace(run, family="linear", params={"c": 1.0}, results={0: replace(result, grown=0)})
    assert expected_seconds(forest, data) >= CAUTION * 3.0


def test_a_refit_learns_from_the_same_share_of_the_rows_as_the_folds_did() -> None:
    data = make_table(Task.REGRESSION, rows=900)
    half = len(data.folds[0][0]) // 2
    seen: list[int] = []

    def rows_seen(fold: int) -> int:
        from rowsmith.training import unit as module

        fit = module._regress

        def spy(fit_: object, unit: Unit) -> object:
            seen.append(len(fit_.train.target))  # type: ignore[attr-defined]
            return fit(fit_, unit)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_regress", spy)
            run_unit(data, Unit(0, "linear", {"c": 1.0, "rows": half}, fold))
        return seen[-1]

    assert rows_seen(0) == half
    assert rows_seen(ALL_ROWS) == pytest.approx(half * len(data.matrix) / len(data.folds[0][0]), abs=1)


def test_under_the_clock_the_chosen_are_learned_from_all_rows_and_replayed() -> None:
    data = make_table(Task.REGRESSION, rows=6000)
    options = TrainSection(cores=1, max_trials=3, families=("lightgbm", "linear"))
    result = run_search(data, RMSE, options, deadline=time.monotonic() + 300, executor=InProcessExecutor())
    chosen = {trial.id for trial in result.leaderboard if trial.weight > 0}
    assert chosen <= {entry.trial for entry in result.journal.entries if entry.fold == ALL_ROWS}
    assert all(trial.status is not Status.FAILED for trial in result.leaderboard)
    journal = Journal.from_text(result.journal.to_text())
    again = replay(data, journal, RMSE, options, executor=InProcessExecutor())
    assert fingerprint(again) == fingerprint(result)
    assert np.isfinite(again.ensemble.score)
