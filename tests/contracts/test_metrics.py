"""Every metric against scikit-learn, and where it is not defined."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from rowsmith.errors import RecipeError
from rowsmith.evaluation.metrics import METRICS, default_metric, get_metric, metrics_for
from rowsmith.types import Array, Metric, Task, Vector

Reference = Callable[[Array, Array, Vector | None], float]


def of_event(score: Callable[..., Any]) -> Reference:
    return lambda t, p, w: float(score(t, p[:, 1], sample_weight=w))


def of_labels(score: Callable[..., Any], **options: Any) -> Reference:
    return lambda t, p, w: float(score(t, p, sample_weight=w, **options))


def rest(score: Callable[..., Any]) -> Reference:
    return lambda t, p, w: float(np.mean([score(t == k, p[:, k], sample_weight=w) for k in range(p.shape[1])]))


def brier_many(t: Array, p: Array, w: Vector | None) -> float:
    return float(np.average(((p - np.eye(p.shape[1])[t]) ** 2).sum(axis=1), weights=w))


REFERENCES: dict[tuple[str, Task], Reference] = {
    ("roc_auc", Task.BINARY): of_event(sk.roc_auc_score),
    ("roc_auc", Task.MULTICLASS): rest(sk.roc_auc_score),
    ("average_precision", Task.BINARY): of_event(sk.average_precision_score),
    ("average_precision", Task.MULTICLASS): rest(sk.average_precision_score),
    ("brier", Task.BINARY): of_event(sk.brier_score_loss),
    ("brier", Task.MULTICLASS): brier_many,
    ("log_loss", Task.BINARY): lambda t, p, w: float(sk.log_loss(t, p, sample_weight=w)),
    ("log_loss", Task.MULTICLASS): lambda t, p, w: float(sk.log_loss(t, p, sample_weight=w)),
    ("accuracy", Task.BINARY): of_labels(sk.accuracy_score),
    ("accuracy", Task.MULTICLASS): of_labels(sk.accuracy_score),
    ("balanced_accuracy", Task.BINARY): of_labels(sk.balanced_accuracy_score),
    ("balanced_accuracy", Task.MULTICLASS): of_labels(sk.balanced_accuracy_score),
    ("mcc", Task.BINARY): of_labels(sk.matthews_corrcoef),
    ("mcc", Task.MULTICLASS): of_labels(sk.matthews_corrcoef),
    ("f1", Task.BINARY): of_labels(sk.f1_score),
    ("precision", Task.BINARY): of_labels(sk.precision_score),
    ("recall", Task.BINARY): of_labels(sk.recall_score),
    ("f1", Task.MULTICLASS): of_labels(sk.f1_score, average="macro"),
    ("precision", Task.MULTICLASS): of_labels(sk.precision_score, average="macro"),
    ("recall", Task.MULTICLASS): of_labels(sk.recall_score, average="macro"),
    ("rmse", Task.REGRESSION): of_labels(sk.root_mean_squared_error),
    ("mae", Task.REGRESSION): of_labels(sk.mean_absolute_error),
    ("median_ae", Task.REGRESSION): of_labels(sk.median_absolute_error),
    ("r2", Task.REGRESSION): of_labels(sk.r2_score),
    ("rmsle", Task.REGRESSION): of_labels(sk.root_mean_squared_log_error),
    ("mape", Task.REGRESSION): of_labels(sk.mean_absolute_percentage_error),
}
CASES = [(metric, task) for metric in METRICS for task in sorted(metric.tasks)]
CASE_IDS = [f"{metric.name}-{task}" for metric, task in CASES]


def example(task: Task, rows: int, seed: int, ties: bool = False) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    if task is Task.REGRESSION:
        truth = random.gamma(2.0, 10.0, rows) + 0.1
        return truth, (truth * random.uniform(0.5, 1.5, rows))[:, None]
    classes = 2 if task is Task.BINARY else 4
    truth = np.concatenate([np.arange(classes), random.integers(0, classes, rows - classes)]).astype(np.int64)
    raw = random.random((rows, classes)) + 0.4 * np.eye(classes)[truth]
    raw = np.ceil(raw * 3) if ties else raw
    return truth, raw / raw.sum(axis=1, keepdims=True)


def test_every_metric_has_a_reference() -> None:
    assert {(metric.name, task) for metric, task in CASES} == set(REFERENCES)


def test_a_name_is_unique_within_a_task() -> None:
    for task in Task:
        names = [metric.name for metric in metrics_for(task)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(("metric", "task"), CASES, ids=CASE_IDS)
@pytest.mark.parametrize("weighting", ["none", "some", "with zeros"])
@pytest.mark.parametrize("ties", [False, True])
def test_agrees_with_scikit_learn(metric: Metric, task: Task, weighting: str, ties: bool) -> None:
    truth, scores = example(task, 211, 5, ties)
    random = np.random.default_rng(1)
    weights: Vector | None = None
    if weighting != "none":
        weights = random.uniform(0.1, 3, 211) if weighting == "some" else random.integers(0, 3, 211).astype(np.float64)
    predicted = metric.predicted(scores)
    expected = REFERENCES[metric.name, task](truth, predicted, weights)
    assert metric.function(truth, predicted, weights) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    if metric.prepare is not None:
        ones = np.ones(211) if weights is None else weights
        assert metric.prepare(truth, predicted)(ones) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(1, 3)), min_size=2, max_size=40).filter(
        lambda rows: 0 < sum(row[0] for row in rows) < len(rows)
    )
)
def test_a_whole_weight_is_a_repeated_row(rows: list[tuple[bool, int, int]]) -> None:
    truth = np.array([row[0] for row in rows], dtype=np.int64)
    event = np.array([row[1] / 6 for row in rows])
    weights = np.array([row[2] for row in rows])
    scores = np.column_stack([1 - event, event])
    for metric in metrics_for(Task.BINARY):
        weighted = metric.function(truth, metric.predicted(scores), weights.astype(np.float64))
        repeated = metric.function(
            np.repeat(truth, weights), metric.predicted(np.repeat(scores, weights, axis=0)), None
        )
        assert weighted == pytest.approx(repeated, rel=1e-9, abs=1e-12), metric.name


@pytest.mark.parametrize(("metric", "task"), CASES, ids=CASE_IDS)
def test_without_rows_or_weight_a_score_is_nan(metric: Metric, task: Task) -> None:
    truth, scores = example(task, 20, 0)
    predicted = metric.predicted(scores)
    assert math.isnan(metric.function(truth[:0], predicted[:0], None))
    assert math.isnan(metric.function(truth, predicted, np.zeros(20)))


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_one_class_only(task: Task) -> None:
    classes = 2 if task is Task.BINARY else 3
    truth = np.zeros(10, dtype=np.int64)
    scores = np.full((10, classes), 1 / classes)
    found = {m.name: m.function(truth, m.predicted(scores, 0.9), None) for m in metrics_for(task)}
    assert math.isnan(found["roc_auc"])
    assert found["log_loss"] == pytest.approx(math.log(classes))
    assert found["accuracy"] == found["balanced_accuracy"] == 1.0
    assert found["mcc"] == 0.0
    if task is Task.BINARY:
        assert math.isnan(found["average_precision"])
        assert found["f1"] == found["precision"] == found["recall"] == 0.0


def test_a_class_that_is_absent_does_not_count() -> None:
    truth = np.array([0, 0, 1, 1])
    scores = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]])
    assert get_metric("roc_auc", Task.MULTICLASS).function(truth, scores, None) == 1.0
    labels = scores.argmax(axis=1)
    expected = sk.f1_score(truth, labels, average="macro")
    assert get_metric("f1", Task.MULTICLASS).function(truth, labels, None) == pytest.approx(expected)


def test_a_sure_and_wrong_answer_costs_a_finite_log_loss() -> None:
    loss = get_metric("log_loss").function(np.array([1]), np.array([[1.0, 0.0]]), None)
    assert loss == pytest.approx(36.04, abs=0.01)


def test_missing_probabilities_make_ranking_scores_nan() -> None:
    scores = np.array([[0.5, 0.5], [np.nan, np.nan], [0.3, 0.7]])
    for name in ("roc_auc", "average_precision", "log_loss", "brier"):
        for weights in (None, np.ones(3)):
            assert math.isnan(get_metric(name).function(np.array([0, 1, 1]), scores, weights))


def test_numbers_at_their_limits() -> None:
    truth, answers = np.array([0.0, 2.0, 4.0]), np.array([-1.0, 2.0, 5.0])
    assert get_metric("mape").function(truth, answers, None) == pytest.approx(0.125)
    assert math.isnan(get_metric("mape").function(np.zeros(3), answers, None))
    clipped = sk.root_mean_squared_log_error(truth, np.maximum(answers, 0))
    assert get_metric("rmsle").function(truth, answers, None) == pytest.approx(clipped)
    assert math.isnan(get_metric("rmsle").function(-truth, answers, None))
    assert math.isnan(get_metric("r2").function(np.ones(3), answers, None))


def test_the_threshold_decides_for_two_classes() -> None:
    scores = np.array([[0.7, 0.3], [0.4, 0.6]])
    assert get_metric("f1").predicted(scores, 0.3).tolist() == [1, 1]
    assert get_metric("f1").predicted(scores).tolist() == [0, 1]


def test_names_are_looked_up_by_task() -> None:
    assert get_metric("f1", Task.MULTICLASS) is not get_metric("f1", Task.BINARY)
    assert [default_metric(task).name for task in Task] == ["roc_auc", "log_loss", "rmse"]
    with pytest.raises(RecipeError, match=r"no metric of this name.*'auc'.*roc_auc"):
        get_metric("auc")
    with pytest.raises(RecipeError, match=r"rmse is not for a binary task.*roc_auc"):
        get_metric("rmse", Task.BINARY)
