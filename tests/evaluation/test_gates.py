from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rowsmith.evaluation.gates import Comparison, GateReport, compare, judge
from rowsmith.evaluation.metrics import default_metric, get_metric
from rowsmith.evaluation.score import Evaluation, evaluate
from rowsmith.recipe import GatesSection
from rowsmith.types import Finding, Scores2D, Severity, Task
from tests.evaluation.models import World, world

GATES = GatesSection()
ERROR = Finding("leak", Severity.ERROR, "A column gives the target away", "Column x equals the target.")
WARNING = Finding("duplicates", Severity.WARNING, "Duplicate rows", "Some.")


def evaluated(made: World) -> Evaluation:
    metric = default_metric(made.model.task)
    return evaluate(made.model, made.frame, made.target, metric, baselines=made.baselines, seconds=0.5)


@pytest.fixture(scope="module")
def made() -> World:
    return world(Task.BINARY)


@pytest.fixture(scope="module")
def evaluation(made: World) -> Evaluation:
    return evaluated(made)


def scores_of(made: World) -> Scores2D:
    return made.model.scores(made.model.encode(made.frame))


def with_improvement(evaluation: Evaluation, **baselines: tuple[float, float]) -> Evaluation:
    """The evaluation with other (improvement, worse probability) over its baselines."""
    against: dict[str, Any] = {
        name: {"improvement": improvement, "low": None, "high": None, "worse_probability": worse}
        for name, (improvement, worse) in baselines.items()
    }
    return replace(evaluation, against=against)


def result(report: GateReport, code: str) -> Any:
    return next(item for item in report.results if item.code == code)


def test_a_good_model_passes(evaluation: Evaluation) -> None:
    report = judge(evaluation, [WARNING], None, GATES)
    assert report.passed
    assert [item.code for item in report.results] == ["no_error_finding", "better_than_baseline"]
    assert report.refusals == ()
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["passed"]


def test_an_error_finding_refuses_and_is_named(evaluation: Evaluation) -> None:
    report = judge(evaluation, [WARNING, ERROR], None, GATES)
    assert not report.passed
    assert report.refusals[0].code == "no_error_finding"
    assert "A column gives the target away" in report.refusals[0].message
    assert report.refusals[0].evidence == {"findings": ["leak"]}


@pytest.mark.parametrize(
    ("dummy", "linear", "passed", "words"),
    [
        ((0.3, 0.0), (0.05, 0.01), True, "better than the simple linear model"),
        ((0.3, 0.0), (0.001, 0.4), True, "not to be told from the simple linear model"),
        ((0.3, 0.0), (-0.001, 0.6), True, "not to be told from the simple linear model"),
        ((0.3, 0.0), (-0.05, 0.99), False, "worse than the simple linear model"),
        ((0.01, 0.3), (0.05, 0.01), False, "not to be told from answering the same every time"),
        ((-0.2, 1.0), (0.05, 0.01), False, "worse than answering the same every time"),
    ],
)
def test_beating_the_simple_models(
    evaluation: Evaluation, dummy: tuple[float, float], linear: tuple[float, float], passed: bool, words: str
) -> None:
    report = judge(with_improvement(evaluation, dummy=dummy, linear=linear), [], None, GATES)
    assert report.passed is passed
    assert words in result(report, "better_than_baseline").message


def test_a_model_of_noise_is_refused() -> None:
    made = world(Task.BINARY, 300)
    target = np.random.default_rng(5).permutation(made.target)
    report = judge(evaluated(replace(made, target=target)), [], None, GATES)
    assert [item.code for item in report.refusals] == ["better_than_baseline"]


def test_without_test_rows_nothing_is_shown(made: World) -> None:
    empty = World(made.model, made.frame[:0], made.target[:0], {n: s[:0] for n, s in made.baselines.items()})
    report = judge(evaluated(empty), [], None, GATES)
    assert not report.passed
    assert "0 test rows" in report.refusals[0].message


def test_the_baseline_gate_can_be_left_open(evaluation: Evaluation) -> None:
    worse = with_improvement(evaluation, dummy=(-1.0, 1.0))
    assert judge(worse, [], None, GatesSection(better_than_baseline=False)).passed


def test_equal_models_differ_by_nothing(made: World) -> None:
    scores = scores_of(made)
    found = compare(made.target, scores, scores, get_metric("roc_auc"))
    assert found.improvement == 0
    assert found.worse_probability == 0
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == (0, 0)


@pytest.mark.parametrize("task", list(Task))
def test_a_clearly_worse_challenger_is_refused_and_a_better_one_is_not(task: Task) -> None:
    made = world(task)
    metric = default_metric(task)
    champion = scores_of(made)
    rng = np.random.default_rng(0)
    noisy = champion + rng.normal(size=champion.shape) * champion.std()
    if task is not Task.REGRESSION:
        noisy = np.clip(noisy, 0.01, 0.99)
        noisy /= noisy.sum(axis=1, keepdims=True)
    worse = compare(made.target, noisy, champion, metric)
    better = compare(made.target, champion, noisy, metric)
    assert worse.improvement is not None
    assert better.improvement is not None
    assert worse.improvement < 0 < better.improvement
    evaluation = evaluated(made)
    refused = judge(evaluation, [], worse, GATES)
    assert [item.code for item in refused.refusals] == ["not_worse_than_champion"]
    assert refused.refusals[0].message.startswith("Worse than the champion beyond chance")
    assert result(judge(evaluation, [], better, GATES), "not_worse_than_champion").passed


def test_a_difference_within_chance_is_let_through(made: World, evaluation: Evaluation) -> None:
    champion = scores_of(made)
    jitter = np.random.default_rng(0).normal(size=len(champion)) * 0.02
    event = np.clip(champion[:, 1] + jitter, 0, 1)
    found = compare(made.target, np.column_stack([1 - event, event]), champion, get_metric("roc_auc"))
    assert found.worse_probability is not None
    assert 0 < found.worse_probability < 1
    report = judge(evaluation, [], replace(found, improvement=-0.001, worse_probability=0.8), GATES)
    assert report.passed
    strict = judge(
        evaluation, [], replace(found, improvement=-0.001, worse_probability=0.8), GatesSection(confidence=0.7)
    )
    assert not strict.passed


def test_each_model_decides_at_its_own_threshold(made: World) -> None:
    scores = scores_of(made)
    same = compare(made.target, scores, scores, get_metric("accuracy"), thresholds=(0.5, 0.5))
    other = compare(made.target, scores, scores, get_metric("accuracy"), thresholds=(0.99, 0.5))
    assert same.improvement == 0
    assert other.improvement is not None
    assert other.improvement < -0.1


def test_what_cannot_be_compared_is_refused(made: World, evaluation: Evaluation) -> None:
    scores = scores_of(made)
    found = compare(np.ones(len(scores), dtype=np.int64), scores, scores, get_metric("roc_auc"))
    assert found.improvement is None
    assert found.worse_probability is None
    report = judge(evaluation, [], found, GATES)
    assert "not defined" in result(report, "not_worse_than_champion").message
    assert not report.passed


def test_a_comparison_is_json() -> None:
    made = world(Task.REGRESSION, 100)
    found = compare(made.target, scores_of(made), made.baselines["linear"], get_metric("rmse"), confidence=0.9)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["rows"] == 100
    assert data["interval"][0] <= data["improvement"] <= data["interval"][1]
    assert isinstance(found, Comparison)


def test_groups_that_are_far_apart_are_refused_where_a_limit_is_set(evaluation: Evaluation) -> None:
    assert judge(evaluation, [], None, GatesSection(max_group_gap=0.9)).passed
    report = judge(evaluation, [], None, GatesSection(max_group_gap=0.0))
    gap = result(report, "group_gap")
    assert not gap.passed
    assert "ROC AUC differs by" in gap.message
    assert set(gap.evidence["gaps"]) == {"sex", "age"}


def test_the_gap_of_a_number_is_taken_as_a_share() -> None:
    evaluation = evaluated(world(Task.REGRESSION))
    gap = result(judge(evaluation, [], None, GatesSection(max_group_gap=1.0)), "group_gap")
    assert gap.passed
    assert "of the overall score" in gap.message


def test_without_sensitive_columns_the_gap_gate_opens() -> None:
    evaluation = evaluated(world(Task.BINARY, 200, sensitive=False))
    gap = result(judge(evaluation, [], None, GatesSection(max_group_gap=0.0)), "group_gap")
    assert gap.passed
    assert gap.message.startswith("No sensitive column")
