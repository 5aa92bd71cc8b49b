from __future__ import annotations

import json

import numpy as np
import pytest

from rowsmith.evaluation.metrics import get_metric
from rowsmith.monitoring.live_scores import WindowScore, chance_of_worse, live_score, with_verdicts
from rowsmith.monitoring.reference import ReferenceScore
from rowsmith.monitoring.resampling import MAX_ROWS, Bootstrap, percentile_interval
from rowsmith.types import Array, Interval, Score, Task

ACCURACY, RMSE = get_metric("accuracy", Task.BINARY), get_metric("rmse")


def right_with(chance: float, rows: int, rng: np.random.Generator) -> tuple[Array, Array]:
    truth = rng.integers(0, 2, rows)
    return truth, np.where(rng.random(rows) < chance, truth, 1 - truth)


def before(value: float, deviation: float = 0.005) -> ReferenceScore:
    return ReferenceScore(Score("accuracy", value, None, 4000), deviation, value)


def judged(truth: Array, predicted: Array, reference: ReferenceScore | None, rng: np.random.Generator) -> WindowScore:
    score = live_score(ACCURACY, truth, predicted, reference, Bootstrap(len(truth), rng))
    assert score is not None
    return with_verdicts([score])[0]


def test_a_score_that_fell_is_worse_and_one_that_rose_is_not() -> None:
    rng = np.random.default_rng(0)
    fell = judged(*right_with(0.75, 500, rng), before(0.85), rng)
    rose = judged(*right_with(0.95, 500, rng), before(0.85), rng)
    assert (fell.worse, rose.worse) == (True, False)
    assert fell.p_value is not None and rose.p_value is not None
    assert fell.p_value < 0.001 < 0.99 < rose.p_value
    assert fell.interval is not None and fell.interval.low < fell.value < fell.interval.high < 0.85


@pytest.mark.parametrize("rows", [60, 1000])
def test_the_same_quality_is_seldom_called_worse(rows: int) -> None:
    rng = np.random.default_rng(1)
    alarms = sum(judged(*right_with(0.85, rows, rng), before(0.85), rng).worse for _ in range(200))
    assert alarms <= 8


def test_without_a_score_at_training_nothing_is_compared() -> None:
    rng = np.random.default_rng(2)
    score = judged(*right_with(0.5, 100, rng), None, rng)
    assert (score.reference, score.p_value, score.worse) == (None, None, False)


def test_a_larger_error_is_worse() -> None:
    assert (chance_of_worse(RMSE, 3.0, 2.0, 0.1) or 1) < 1e-6
    assert (chance_of_worse(RMSE, 1.0, 2.0, 0.1) or 0) > 0.999
    assert chance_of_worse(RMSE, 2.0, 2.0, 0.1) == pytest.approx(0.5)
    assert chance_of_worse(RMSE, 2.0, None, 0.1) is None
    assert chance_of_worse(RMSE, 2.0, 1.0, 0.0) is None


def test_many_metrics_make_each_of_them_prove_more() -> None:
    alone = WindowScore("a", False, 0.8, None, 100, 0.85, 0.008)
    others = [WindowScore(name, False, 0.8, None, 100, 0.85, 0.5) for name in "bcd"]
    assert with_verdicts([alone])[0].worse
    assert not with_verdicts([alone, *others])[0].worse


def test_a_score_of_one_class_alone_is_not_defined() -> None:
    probabilities = np.full((60, 2), 0.5)
    rng = np.random.default_rng(3)
    assert (
        live_score(get_metric("roc_auc"), np.ones(60, dtype=np.int64), probabilities, None, Bootstrap(60, rng)) is None
    )
    empty = np.zeros(0, dtype=np.int64)
    assert live_score(ACCURACY, empty, empty, None, Bootstrap(0, rng)) is None


@pytest.mark.parametrize("interval", [None, Interval(0.1, 0.3)])
def test_json_and_back(interval: Interval | None) -> None:
    score = WindowScore("roc_auc", True, 0.2, interval, 70, None, None, False, "an assumption")
    assert WindowScore.from_dict(json.loads(json.dumps(score.to_dict()))) == score


@pytest.mark.parametrize("rows", [400, 4 * MAX_ROWS])
def test_the_bootstrap_deviates_as_theory_says_also_where_it_looks_at_a_sample(rows: int) -> None:
    rng = np.random.default_rng(4)
    truth, predicted = right_with(0.8, rows, rng)
    deviations = Bootstrap(rows, rng).deviations(ACCURACY, truth, predicted)
    assert deviations.std() == pytest.approx(np.sqrt(0.8 * 0.2 / rows), rel=0.25)
    interval = percentile_interval(0.8, deviations)
    assert interval is not None and interval.low < 0.8 < interval.high


def test_one_row_has_no_interval() -> None:
    one = np.ones(1, dtype=np.int64)
    deviations = Bootstrap(1, np.random.default_rng(0)).deviations(ACCURACY, one, one)
    assert len(deviations) == 0
    assert percentile_interval(1.0, deviations) is None
