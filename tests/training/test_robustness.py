"""Every table ends in a model or in a clear error, and every deadline is kept."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from rowsmith.errors import RecipeError, TrainingError
from rowsmith.recipe import TrainSection
from rowsmith.training import TrainingData, fit_baselines, run_search
from rowsmith.training.budget import Clock, Prices, first_rows, lay_out
from rowsmith.training.executor import InProcessExecutor
from rowsmith.training.families import find_family
from rowsmith.training.families.base import Fit, Fitted
from rowsmith.training.families.lightgbm import MIDDLE
from rowsmith.training.finish import TrainingResult
from rowsmith.training.trials import Status
from rowsmith.types import Feature, Task
from tests.training.tables import LOG_LOSS, folds_of, make_table, metric_of

BUSY_MACHINE = 20.0
"""Seconds that other work may add here; benchmarks measure how well the budget is kept."""


def search(data: TrainingData, **options: object) -> TrainingResult:
    section = TrainSection(**{"max_trials": 3, "cores": 1, **options})
    return run_search(data, metric_of(data.task), section, executor=InProcessExecutor())


def random_table(rows: int, columns: int, classes: int = 2) -> TrainingData:
    rng = np.random.default_rng(0)
    return TrainingData(
        matrix=rng.normal(size=(rows, columns)).astype(np.float32),
        features=tuple(Feature(f"f{i}", f"f{i}") for i in range(columns)),
        target=np.arange(rows) % classes,
        weights=None,
        folds=folds_of(rows, 2),
        task=Task.BINARY if classes == 2 else Task.MULTICLASS,
        classes=classes,
    )


@pytest.mark.parametrize(("rows", "columns", "classes"), [(10, 2, 2), (40, 0, 2), (30, 1, 3), (60, 40, 25)])
def test_small_and_narrow_tables(rows: int, columns: int, classes: int) -> None:
    result = search(random_table(rows, columns, classes))
    assert np.isfinite(result.ensemble.score)
    answer = sum(
        member.weight * member.learner.predict(np.zeros((2, columns), np.float32)) for member in result.ensemble.members
    )
    assert np.shape(answer) == (2, classes)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns", "classes"), [(2500, 3, 1000), (60, 10_000, 2)])
def test_many_classes_and_many_columns_in_time(rows: int, columns: int, classes: int) -> None:
    data = random_table(rows, columns, classes)
    deadline = time.monotonic() + 10
    result = run_search(data, LOG_LOSS, TrainSection(cores=2), deadline=deadline)
    assert time.monotonic() < deadline + BUSY_MACHINE
    assert np.isfinite(result.ensemble.score)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.5])
def test_there_is_always_a_model_in_time(seconds: float) -> None:
    data = make_table(Task.REGRESSION, rows=5000)
    deadline = time.monotonic() + seconds
    result = run_search(data, metric_of(data.task), TrainSection(cores=1), deadline=deadline)
    assert time.monotonic() < deadline + BUSY_MACHINE
    assert np.isfinite(result.oof).any()


def test_what_cannot_be_trained_says_why() -> None:
    data = make_table(Task.BINARY)
    with pytest.raises(TrainingError, match="no rows to train on"):
        search(replace(data, matrix=data.matrix[:0], target=data.target[:0]))
    with pytest.raises(TrainingError, match="fold"):
        search(replace(data, folds=()))
    with pytest.raises(TrainingError, match="not finite"):
        search(replace(make_table(Task.REGRESSION), target=np.full(400, np.nan)))
    with pytest.raises(RecipeError, match=r"no model family 'forrest'.*lightgbm"):
        search(data, families=("forrest",))
    with pytest.raises(TrainingError, match="an end"):
        run_search(data, LOG_LOSS, TrainSection())


def test_a_family_that_fails_is_a_line_of_the_leaderboard(monkeypatch: pytest.MonkeyPatch) -> None:
    family = find_family("catboost")

    def broken(fit: Fit) -> Fitted:
        raise ValueError("no such luck")

    from rowsmith.training import families

    others = tuple(replace(f, fit=broken) if f is family else f for f in families.FAMILIES)
    monkeypatch.setattr(families, "FAMILIES", others)
    result = search(make_table(Task.BINARY), families=("catboost", "linear"), max_trials=12)
    failed = [trial for trial in result.leaderboard if trial.status is Status.FAILED]
    assert {trial.message for trial in failed} == {"ValueError: no such luck"}
    assert json.loads(json.dumps(failed[0].to_dict(), allow_nan=False))["score"] is None
    with pytest.raises(TrainingError, match=r"every configuration failed.*no such luck"):
        search(make_table(Task.BINARY), families=("catboost",))


@pytest.mark.parametrize("task", Task)
def test_baselines(task: Task) -> None:
    data = make_table(task, weights=True)
    learners = fit_baselines(data)
    assert list(learners) == ["dummy", "linear"]
    metric = metric_of(task)
    scores = {
        name: metric.function(data.target, metric.predicted(m.predict(data.matrix)), data.weights)
        for name, m in learners.items()
    }
    assert metric.is_better(scores["linear"], than=scores["dummy"])
    assert len(np.unique(learners["dummy"].predict(data.matrix), axis=0)) == 1


def test_memory_is_a_limit_on_workers_and_rows() -> None:
    data = random_table(200_000, 30)
    family = find_family("lightgbm")
    roomy = lay_out(data, TrainSection(cores=8), 600.0, family, MIDDLE)
    tight = lay_out(data, TrainSection(cores=8, memory_mb=900), 600.0, family, MIDDLE)
    tiny = lay_out(data, TrainSection(cores=8, memory_mb=256), 600.0, family, MIDDLE)
    assert roomy.workers == 8 and roomy.rows is None
    assert tight.workers < 8
    assert tiny.workers == 1 and tiny.rows is not None and tiny.rows < 100_000


def test_little_time_means_fewer_folds_and_rows() -> None:
    data = replace(random_table(200_000, 30), folds=folds_of(200_000, 5))
    family = find_family("lightgbm")
    plan = lay_out(data, TrainSection(cores=2), 1.0, family, MIDDLE)
    assert plan.folds == 1 and plan.rows is not None
    assert lay_out(data, TrainSection(cores=2), 5000.0, family, MIDDLE).rows is None
    assert first_rows(make_table(Task.BINARY), family, MIDDLE) is None


@pytest.mark.parametrize(("rows", "folds", "refit"), [(600, 5, False), (6000, 4, True), (50_000, 2, True)])
def test_large_tables_need_fewer_folds_and_are_learned_whole(rows: int, folds: int, refit: bool) -> None:
    data = replace(random_table(rows, 3), folds=folds_of(rows, 5))
    plan = lay_out(data, TrainSection(cores=2), None, find_family("lightgbm"), MIDDLE)
    assert (plan.folds, plan.refit) == (folds, refit)


def test_a_past_is_learned_whole_however_short() -> None:
    ahead = [(np.arange(200 * i), np.arange(200 * i, 200 * (i + 1))) for i in (2, 1)]
    data = replace(random_table(600, 3), folds=tuple(ahead))
    assert lay_out(data, TrainSection(), None, find_family("lightgbm"), MIDDLE).refit


def test_prices_follow_what_was_measured() -> None:
    family, shape = find_family("lightgbm"), make_table(Task.BINARY).shape
    prices = Prices()
    before = prices.guess(family, shape, MIDDLE)
    for _ in range(8):
        prices.learn(family, shape, MIDDLE, 10 * before)
    assert prices.guess(family, shape, MIDDLE) == pytest.approx(10 * before, rel=0.01)
    linear = find_family("linear")
    assert prices.guess(linear, shape, {"c": 1.0}) > 5 * linear.cost(shape, {"c": 1.0})


def test_the_clock_keeps_something_back() -> None:
    clock = Clock(time.monotonic() + 60)
    assert clock.left is not None and 55 < clock.left < 60
    clock.set_aside(10)
    clock.refits = 5
    assert clock.left < 45.1
    clock.set_aside(90)
    assert 34 < clock.left < 35.1
    assert Clock(None).left is None
