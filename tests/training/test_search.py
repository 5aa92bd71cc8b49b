from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rowsmith.recipe import TrainSection
from rowsmith.training import Journal, TrainingData, replay, run_search
from rowsmith.training.executor import InProcessExecutor
from rowsmith.training.families import find_family
from rowsmith.training.finish import TrainingResult
from rowsmith.training.proposals import arithmetic_pays, has_long_tail, interleave, logarithms_lose, with_a_scout
from rowsmith.training.trials import Run, Status
from rowsmith.training.unit import ALL_ROWS, digest_of_state
from rowsmith.types import Task
from tests.training.tables import ACCURACY, LOG_LOSS, RMSE, make_table, metric_of
from tests.training.test_arithmetic import crowded

TASKS = list(Task)


def fingerprint(result: TrainingResult) -> list[object]:
    members = [
        (member.weight, member.trial, digest_of_state(member.learner.to_state())) for member in result.ensemble.members
    ]
    calibrator = result.ensemble.calibrator.to_state() if result.ensemble.calibrator else None
    return [
        members,
        calibrator,
        result.ensemble.threshold,
        result.ensemble.interval_width,
        result.ensemble.score,
        result.oof.tobytes(),
    ]


def search(data: TrainingData, trials: int = 4, **options: object) -> TrainingResult:
    section = TrainSection(max_trials=trials, cores=1)
    return run_search(data, metric_of(data.task), section, executor=InProcessExecutor(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", TASKS)
def test_an_ensemble_comes_out_that_beats_the_constant(task: Task) -> None:
    data = make_table(task, rows=200)
    result = search(data)
    metric = metric_of(task)
    shares = np.bincount(data.target) / len(data.target) if task.is_classification else None
    constant = (
        np.tile(shares, (len(data.target), 1)) if shares is not None else np.full(len(data.target), data.target.mean())
    )
    assert metric.is_better(result.ensemble.score, than=0.9 * metric.function(data.target, constant, None))
    assert all(member.weight > 0 for member in result.ensemble.members)
    if not task.is_classification:
        assert sum(member.weight for member in result.ensemble.members) == pytest.approx(1)
    assert result.oof.shape == (len(data.target), data.outputs)
    assert np.isfinite(result.oof).all()
    assert (result.ensemble.interval_width is None) == task.is_classification
    if task.is_classification:
        np.testing.assert_allclose(result.oof.sum(axis=1), 1)
    assert sum(trial.weight for trial in result.leaderboard) == pytest.approx(1)


@pytest.mark.parametrize("task", TASKS)
def test_the_same_work_gives_the_same_bytes_wherever_it_runs(task: Task) -> None:
    data = make_table(task, rows=120)
    first = search(data, trials=8)
    with ThreadPoolExecutor(3) as executor:
        section = TrainSection(max_trials=8, cores=3)
        second = run_search(data, metric_of(task), section, executor=executor)
    assert fingerprint(first) == fingerprint(second)


def test_a_large_table_is_answered_by_models_of_all_rows() -> None:
    data = make_table(Task.REGRESSION, rows=6000)
    options = TrainSection(max_trials=5, cores=1)
    result = run_search(data, RMSE, options, executor=InProcessExecutor())
    chosen = [trial for trial in result.leaderboard if trial.weight > 0]
    assert len(result.ensemble.members) == len(chosen)
    assert len(data.folds) == 3 and all(len(trial.fold_scores) == 2 for trial in chosen)
    entries = [entry for entry in result.journal.entries if entry.fold == ALL_ROWS]
    assert {entry.trial for entry in entries} >= {trial.id for trial in chosen}
    again = replay(data, Journal.from_text(result.journal.to_text()), RMSE, options, executor=InProcessExecutor())
    assert fingerprint(again) == fingerprint(result)


def test_one_learner_is_offered_beside_the_ensemble() -> None:
    data = make_table(Task.BINARY, rows=400)
    result = search(data)
    assert result.single is not None and len(result.single.members) == 1
    best = next(trial for trial in result.leaderboard if trial.status is Status.OK)
    assert result.single.members[0].trial.startswith(f"{best.id}:")
    assert result.single.members[0].weight == 1
    assert result.single.row_us < result.ensemble.row_us


def test_another_seed_gives_another_model() -> None:
    data = make_table(Task.BINARY, rows=120)
    other = run_search(data, metric_of(data.task), TrainSection(max_trials=4, seed=1), executor=InProcessExecutor())
    assert fingerprint(search(data)) != fingerprint(other)


def test_a_run_under_the_clock_is_replayed_to_the_byte() -> None:
    data = make_table(Task.BINARY, rows=600)
    options = TrainSection(cores=1)
    metric = metric_of(data.task)
    result = run_search(data, metric, options, deadline=time.monotonic() + 3, executor=InProcessExecutor())
    journal = Journal.from_text(result.journal.to_text())
    assert journal == result.journal
    assert fingerprint(replay(data, journal, metric, options, executor=InProcessExecutor())) == fingerprint(result)


@pytest.mark.slow
def test_processes_give_what_one_process_gives_and_leave_nothing(tmp_path: Path) -> None:
    data = make_table(Task.REGRESSION)
    options = TrainSection(max_trials=3, cores=2)
    from rowsmith.training import last_resort as module

    cells, module.TINY_CELLS = module.TINY_CELLS, 0
    try:
        result = run_search(data, metric_of(data.task), options, work_dir=tmp_path)
    finally:
        module.TINY_CELLS = cells
    assert fingerprint(result) == fingerprint(search(data, trials=3))
    assert list(tmp_path.iterdir()) == []


def test_a_metric_of_labels_gets_its_threshold() -> None:
    data = make_table(Task.BINARY, rows=120)
    result = run_search(data, ACCURACY, TrainSection(max_trials=2), executor=InProcessExecutor())
    labels = (result.oof[:, 1] >= result.ensemble.threshold).astype(np.int64)
    assert result.ensemble.score == pytest.approx(ACCURACY.function(data.target, labels, None))


def test_a_long_tail_is_tried_as_a_logarithm() -> None:
    data = make_table(Task.REGRESSION, rows=120)
    skewed = replace(data, target=np.exp(data.target / 100))
    families = ("linear",)
    result = run_search(skewed, RMSE, TrainSection(max_trials=2, families=families), executor=InProcessExecutor())
    assert {bool(trial.params.get("log_target")) for trial in result.leaderboard} == {True, False}
    assert has_long_tail(skewed.target)
    assert not has_long_tail(data.target)
    assert not has_long_tail(np.full(10, 3.0))


def test_good_configurations_are_tried_again_on_other_folds_and_replayed() -> None:
    data = make_table(Task.BINARY, rows=120, repeats=2)
    options = TrainSection(max_trials=16, families=("lightgbm",))
    result = run_search(data, LOG_LOSS, options, executor=InProcessExecutor())
    assert {trial.repeat for trial in result.leaderboard} > {0}
    again = replay(data, result.journal, LOG_LOSS, options, executor=InProcessExecutor())
    assert fingerprint(again) == fingerprint(result)


def test_repeats_of_other_rows_are_not_used() -> None:
    data = make_table(Task.BINARY, rows=120, repeats=2)
    assert data.usable_repeats == 2
    assert replace(data, repeats=(data.folds[:2], data.folds)).usable_repeats == 0


def test_a_metric_that_is_not_defined_still_gives_a_model() -> None:
    undefined = replace(LOG_LOSS, function=lambda truth, predicted, weights: float("nan"))
    result = run_search(
        make_table(Task.BINARY, rows=60), undefined, TrainSection(max_trials=2), executor=InProcessExecutor()
    )
    assert result.ensemble.members
    assert "not defined" in result.leaderboard[0].message


def test_logarithms_are_left_out_once_they_have_lost_every_time() -> None:
    def run(number: int, family: str, error: float, *, log: bool) -> Run:
        params = {"c": 1.0, "log_target": True} if log else {"c": 1.0}
        return Run(number, family, params, folds=2, estimate=error)

    lost = [run(0, "linear", 2.0, log=False), run(1, "linear", 3.0, log=True)]
    assert logarithms_lose(lost)
    assert not logarithms_lose(lost[:1])
    assert not logarithms_lose([lost[0], replace(lost[1], estimate=np.inf)])
    won = [run(2, "extra_trees", 2.0, log=False), run(3, "extra_trees", 1.0, log=True)]
    assert not logarithms_lose([*lost, *won])


def test_arithmetic_spreads_once_it_has_been_clearly_better() -> None:
    def run(number: int, error: float, *, joined: bool) -> Run:
        return Run(number, "linear", {"c": 1.0, **({"arithmetic": 8} if joined else {})}, folds=2, estimate=error)

    assert arithmetic_pays([run(0, 2.0, joined=False), run(1, 1.9, joined=True)])
    assert arithmetic_pays([run(0, -0.90, joined=False), run(1, -0.91, joined=True)])  # of a metric to make large
    assert not arithmetic_pays([run(0, 2.0, joined=False), run(1, 1.999, joined=True)])
    assert not arithmetic_pays([run(1, 1.0, joined=True)])
    assert not arithmetic_pays([])


def test_a_scout_tries_arithmetic_early_and_what_it_finds_is_for_all() -> None:
    data = crowded(Task.REGRESSION)
    families = [find_family(name) for name in ("linear", "lightgbm", "extra_trees")]
    proposals = with_a_scout(interleave(families, data.shape))
    assert proposals[1].family.name == "lightgbm"
    assert {**proposals[1].params, "arithmetic": 8} == proposals[4].params
    assert sum("arithmetic" in proposal.params for proposal in proposals) == 1
    options = TrainSection(max_trials=14, families=("lightgbm", "extra_trees", "linear"))
    result = run_search(data, RMSE, options, executor=InProcessExecutor())
    joined = [trial for trial in result.leaderboard if trial.params.get("arithmetic")]
    assert len(joined) > 3 and {trial.family for trial in joined} == {"lightgbm", "extra_trees"}
    assert sum(trial.weight for trial in joined) > 0.5
