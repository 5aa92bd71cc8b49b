"""What is drawn, as data: checked against scikit-learn and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, confusion_matrix, roc_auc_score

from rowsmith.evaluation.classification import calibration, classification_charts
from rowsmith.evaluation.metrics import default_metric
from rowsmith.evaluation.regression import coverage, regression_charts
from rowsmith.evaluation.testset import TestSet
from rowsmith.types import Task
from tests.evaluation.models import world


def sealed(task: Task, rows: int = 3000) -> TestSet:
    made = world(task, rows)
    return TestSet.of(made.model, made.frame, made.target, default_metric(task), None, 0)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_confusion_counts_rows(task: Task) -> None:
    test = sealed(task)
    found = classification_charts(test)["confusion"]
    assert found["labels"] == list(test.model.labels)
    assert found["counts"] == confusion_matrix(test.truth, test.chosen).tolist()


def test_thinned_curves_keep_their_area() -> None:
    test = sealed(Task.BINARY)
    charts = classification_charts(test)
    roc, precision = charts["roc"][0], charts["precision_recall"][0]
    assert len(roc["x"]) <= 200
    assert len(precision["x"]) <= 200
    assert auc(roc["x"], roc["y"]) == pytest.approx(roc_auc_score(test.truth, test.scores[:, 1]), abs=2e-3)
    area = auc(precision["x"], precision["y"])
    assert area == pytest.approx(average_precision_score(test.truth, test.scores[:, 1]), abs=2e-2)
    assert (roc["x"][0], roc["y"][0], roc["x"][-1], roc["y"][-1]) == (0, 0, 1, 1)
    assert precision["share"] == test.truth.mean()


def test_many_classes_share_the_points() -> None:
    curves = classification_charts(sealed(Task.MULTICLASS))["roc"]
    assert {curve["label"] for curve in curves} == {"a", "b", "c"}
    assert sum(len(curve["x"]) for curve in curves) <= 200


def test_honest_probabilities_are_calibrated_and_shifted_ones_are_not() -> None:
    test = sealed(Task.BINARY, 6000)
    random = np.random.default_rng(0)
    honest = replace(test, truth=(random.random(6000) < test.scores[:, 1]).astype(np.int64))
    shifted = replace(honest, scores=np.clip(test.scores + np.array([0.2, -0.2]), 0, 1))
    assert calibration(honest)["error"] < 0.03
    assert calibration(shifted)["error"] > 0.1
    bins = calibration(honest)["bins"]
    assert sum(item["rows"] for item in bins) == 6000
    assert sum(item["low"] <= item["promised"] <= item["high"] for item in bins) >= 7
    assert all(item["low"] <= item["observed"] <= item["high"] for item in bins)


def test_equal_probabilities_make_one_bin() -> None:
    test = sealed(Task.BINARY, 50)
    bins = calibration(replace(test, scores=np.full((50, 2), 0.5)))["bins"]
    assert [item["rows"] for item in bins] == [50]


def test_weights_stand_for_rows_in_calibration() -> None:
    test = sealed(Task.BINARY, 200)
    weighted = calibration(replace(test, weights=np.where(test.truth == 1, 1.0, 0.0)))
    assert {item["observed"] for item in weighted["bins"]} == {1.0}


def test_the_histogram_counts_every_row_once() -> None:
    test = sealed(Task.BINARY, 500)
    found = classification_charts(test)["distribution"]
    assert [sum(series["counts"]) for series in found["series"]] == np.bincount(test.truth).tolist()
    assert found["threshold"] == 0.4


def test_rare_labels_are_put_together() -> None:
    test = sealed(Task.BINARY, 500)
    classes = 30
    labels = tuple(f"label {code}" for code in range(classes))
    random = np.random.default_rng(0)
    schema = replace(test.model.schema, labels=labels, task=Task.MULTICLASS)
    model = replace(test.model, schema=schema, task=Task.MULTICLASS)
    wide = replace(
        test,
        model=model,
        truth=random.integers(0, classes, 500),
        scores=random.dirichlet(np.ones(classes), 500),
    )
    found = classification_charts(wide)["confusion"]
    assert len(found["labels"]) == 20
    assert found["labels"][-1] == "(all others)"
    assert np.array(found["counts"]).shape == (20, 20)
    assert np.sum(found["counts"]) == 500


def test_residuals() -> None:
    test = sealed(Task.REGRESSION)
    charts = regression_charts(test)
    residuals = test.truth - test.scores[:, 0]
    found = charts["residuals"]
    assert sum(found["counts"]) == 3000
    assert found["quantiles"]["0.5"] == pytest.approx(np.median(residuals))
    assert [item["rows"] for item in found["by_prediction"]] == [300] * 10
    assert len(charts["predicted_against_true"]["true"]) == 300


def test_residuals_of_an_exact_model() -> None:
    test = sealed(Task.REGRESSION, 40)
    found = regression_charts(replace(test, truth=test.scores[:, 0]))["residuals"]
    assert found["counts"] == [40]


def test_coverage_counts_what_the_intervals_hold() -> None:
    test = sealed(Task.REGRESSION)
    found = coverage(test)
    assert found is not None
    inside = np.abs(test.truth - test.scores[:, 0]) <= 1.7
    assert found["observed"] == pytest.approx(inside.mean())
    assert found["low"] < found["observed"] < found["high"]
    assert found["promised"] == 0.9
    assert coverage(replace(test, model=replace(test.model, interval_width=None))) is None
