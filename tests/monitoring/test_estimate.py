from __future__ import annotations

import json

import numpy as np
import pytest

from rowsmith.evaluation.metrics import get_metric
from rowsmith.monitoring.estimate import Outlook, Plausible, Residuals, fit_residuals
from rowsmith.monitoring.resampling import score
from rowsmith.types import Array, Task

ROWS = 4000
BINARY = ["accuracy", "roc_auc", "f1", "log_loss", "brier", "precision", "recall", "average_precision"]
NUMBERS = ["rmse", "mae", "r2"]


def calibrated(classes: int, rng: np.random.Generator, rows: int = ROWS) -> tuple[Array, Array]:
    """Probabilities, and classes drawn from them."""
    probabilities = rng.dirichlet(np.full(classes, 0.7), rows)
    truth = (rng.random((rows, 1)) > np.cumsum(probabilities, axis=1)).sum(axis=1)
    return probabilities, np.minimum(truth, classes - 1).astype(np.int64)


@pytest.mark.parametrize("name", BINARY)
def test_of_calibrated_probabilities_the_estimate_is_the_score(name: str) -> None:
    metric, rng = get_metric(name, Task.BINARY), np.random.default_rng(0)
    probabilities, truth = calibrated(2, rng)
    predicted = metric.predicted(probabilities)
    found = Outlook(Plausible.of_classes(probabilities), rng).estimate(metric, predicted)
    assert found is not None and found.interval is not None
    real = score(metric, truth, predicted)
    assert found.value == pytest.approx(real, abs=0.03)
    assert found.interval.low - 0.01 < real < found.interval.high + 0.01


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "f1"])
def test_of_several_classes(name: str) -> None:
    metric, rng = get_metric(name, Task.MULTICLASS), np.random.default_rng(1)
    probabilities, truth = calibrated(4, rng)
    predicted = metric.predicted(probabilities)
    value = Outlook(Plausible.of_classes(probabilities), rng).expected(metric, predicted)
    assert value == pytest.approx(score(metric, truth, predicted), abs=0.03)


def test_the_interval_covers_what_labels_show() -> None:
    metric, rng = get_metric("accuracy", Task.BINARY), np.random.default_rng(2)
    covered = 0
    for _ in range(100):
        probabilities, truth = calibrated(2, rng, rows=300)
        predicted = metric.predicted(probabilities)
        found = Outlook(Plausible.of_classes(probabilities), rng).estimate(metric, predicted)
        assert found is not None and found.interval is not None
        covered += found.interval.low <= score(metric, truth, predicted) <= found.interval.high
    assert 85 <= covered <= 100


def test_harder_rows_are_seen_and_other_answers_are_not() -> None:
    metric, rng = get_metric("accuracy", Task.BINARY), np.random.default_rng(3)
    easy = np.column_stack([np.full(ROWS, 0.05), np.full(ROWS, 0.95)])
    hard = np.column_stack([np.full(ROWS, 0.4), np.full(ROWS, 0.6)])
    values = [Outlook(Plausible.of_classes(p), rng).expected(metric, metric.predicted(p)) for p in (easy, hard)]
    assert values == pytest.approx([0.95, 0.6])
    flipped = np.zeros(ROWS, dtype=np.int64)  # the event no longer happens: a score of 0, and no way to know
    assert score(metric, flipped, metric.predicted(easy)) == 0.0


def numbers(rng: np.random.Generator, rows: int, spread: float = 1.0) -> tuple[Array, Array]:
    """Predictions from 0 to 10, whose errors grow with them."""
    predicted = rng.random(rows) * 10
    return predicted, predicted + rng.normal(size=rows) * (0.2 + predicted / 5) * spread


@pytest.mark.parametrize("name", NUMBERS)
def test_errors_of_numbers_follow_the_size_of_the_prediction(name: str) -> None:
    metric, rng = get_metric(name), np.random.default_rng(4)
    residuals = fit_residuals(*numbers(rng, ROWS))
    assert residuals is not None
    predicted, truth = numbers(rng, ROWS)
    for kept in (predicted < 3, predicted > 7, predicted > -1):
        found = Outlook(Plausible.of_numbers(predicted[kept], residuals), rng).estimate(metric, predicted[kept])
        assert found is not None
        assert found.value == pytest.approx(score(metric, truth[kept], predicted[kept]), rel=0.12, abs=0.05)


def test_residuals_survive_json_and_few_rows_have_none() -> None:
    rng = np.random.default_rng(5)
    residuals = fit_residuals(*numbers(rng, 500))
    assert residuals is not None
    assert Residuals.from_dict(json.loads(json.dumps(residuals.to_dict()))) == residuals
    assert all(sum(shares) == pytest.approx(1) for shares in residuals.shares)
    assert fit_residuals(*numbers(rng, 29)) is None


@pytest.mark.parametrize("predicted", [np.zeros(100), np.repeat([1.0, 2.0], 50), np.r_[np.zeros(95), np.arange(5.0)]])
def test_residuals_of_predictions_that_repeat(predicted: Array) -> None:
    residuals = fit_residuals(predicted, predicted + 1)
    assert residuals is not None
    truths, chances = residuals.plausible(np.array([-9.0, 0.0, 1.5, 9.0]))
    assert chances.sum(axis=1) == pytest.approx(1)
    assert (truths >= predicted.min() + 1).all()


def test_truths_stay_in_the_range_that_was_seen() -> None:
    rng = np.random.default_rng(6)
    truth = rng.exponential(size=1000)
    residuals = fit_residuals(np.full(1000, 1.0), truth)
    assert residuals is not None
    truths, _ = residuals.plausible(np.array([0.0]))
    assert truths.min() >= truth.min() >= 0


def test_a_score_that_is_not_defined_is_not_estimated() -> None:
    metric, rng = get_metric("roc_auc"), np.random.default_rng(7)
    sure = np.column_stack([np.ones(10), np.zeros(10)])
    assert Outlook(Plausible.of_classes(sure), rng).estimate(metric, sure) is None
    assert Outlook(Plausible.of_classes(sure[:0]), rng).estimate(metric, sure[:0]) is None


def test_of_very_many_rows_a_sample_is_looked_at_and_the_interval_is_theirs() -> None:
    metric, rng = get_metric("accuracy", Task.BINARY), np.random.default_rng(8)
    probabilities, _ = calibrated(2, rng, rows=300_000)
    predicted = metric.predicted(probabilities)
    found = Outlook(Plausible.of_classes(probabilities), rng).estimate(metric, predicted)
    assert found is not None
    spread = np.sqrt((probabilities.max(axis=1) * probabilities.min(axis=1)).mean() / 300_000)
    assert found.deviation == pytest.approx(spread, rel=0.4)
