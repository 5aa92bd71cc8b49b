"""Ensemble, calibration, threshold, interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.training.calibration import Platt, Temperature, fit_calibrator, interval_width, log_odds
from rowsmith.training.ensemble import MOST_MEMBERS, Candidate, Effort, Price, bag_sizes, select
from rowsmith.training.families.links import two_classes
from rowsmith.training.objective import Objective, log_loss
from rowsmith.types import Array, Task
from tests.training.tables import ACCURACY, LOG_LOSS, RMSE, make_table

EFFORT = Effort()
LIMIT = Price(1000.0, 1e6)


def noisy_answers(count: int, rows: int, noise: float, seed: int = 0) -> tuple[Objective, list[Array], Array]:
    data = make_table(Task.REGRESSION, rows=rows)
    rng = np.random.default_rng(seed)
    answers = [data.target[:, None] + noise * rng.normal(size=(rows, 1)) for _ in range(count)]
    objective = Objective(RMSE, data)
    return objective, sorted(answers, key=lambda a: objective.error(a, np.arange(rows))), np.arange(rows)


CHEAP = Price(1.0, 1.0)


def candidates(answers: Sequence[Array], price: Price = CHEAP, learners: int = 5) -> list[Candidate]:
    return [Candidate(answer, price, learners) for answer in answers]


@pytest.mark.parametrize("rows", [300, 6000])
def test_independent_errors_are_averaged_away(rows: int) -> None:
    objective, answers, positions = noisy_answers(4, rows, 50.0)
    shares = select(candidates(answers), positions, objective, EFFORT, limit=LIMIT, seed=0)
    mixed = sum(share * answer for share, answer in zip(shares, answers, strict=True))
    assert shares.sum() == pytest.approx(1)
    assert objective.error(mixed, positions) < 0.7 * objective.error(answers[0], positions)


def test_a_useless_candidate_gets_nothing() -> None:
    objective, answers, positions = noisy_answers(2, 6000, 1.0)
    useless = np.zeros_like(answers[0])
    shares = select(candidates([*answers, useless]), positions, objective, EFFORT, limit=LIMIT, seed=0)
    assert shares[2] == 0


def test_few_members_come_out_of_many() -> None:
    objective, answers, positions = noisy_answers(24, 400, 50.0)
    shares = select(candidates(answers), positions, objective, EFFORT, limit=LIMIT, seed=0)
    assert 1 < (shares > 0).sum() <= MOST_MEMBERS


def test_one_candidate_is_the_ensemble() -> None:
    objective, answers, positions = noisy_answers(1, 100, 1.0)
    assert select(candidates(answers), positions, objective, EFFORT, limit=LIMIT, seed=0).tolist() == [1.0]


@pytest.mark.parametrize("rows", [300, 6000])
def test_what_is_chosen_can_be_paid(rows: int) -> None:
    objective, answers, positions = noisy_answers(12, rows, 50.0)
    found = candidates(answers, Price(100.0, 1.0))
    shares = select(found, positions, objective, EFFORT, limit=LIMIT, seed=0)
    assert 1 < (shares > 0).sum() <= 5
    assert shares.sum() == pytest.approx(1)
    sizes = bag_sizes(found, shares, LIMIT)
    assert 8 <= sum(sizes) <= 10
    assert all((size > 0) == (share > 0) for size, share in zip(sizes, shares, strict=True))


def test_bytes_are_a_limit_too() -> None:
    objective, answers, positions = noisy_answers(12, 300, 50.0)
    found = candidates(answers, Price(1.0, 2e5))
    shares = select(found, positions, objective, EFFORT, limit=LIMIT, seed=0)
    assert sum(bag_sizes(found, shares, LIMIT)) <= 5


@pytest.mark.parametrize("row_us", [900.0, 2000.0])
def test_something_is_chosen_even_where_little_can_be_paid(row_us: float) -> None:
    objective, answers, positions = noisy_answers(3, 300, 50.0)
    found = candidates(answers, Price(row_us, 1.0))
    shares = select(found, positions, objective, EFFORT, limit=LIMIT, seed=0)
    assert shares.tolist() == [1.0, 0.0, 0.0]
    assert bag_sizes(found, shares, LIMIT) == [1, 0, 0]


def test_a_small_share_gets_the_smaller_bag() -> None:
    found = candidates([np.zeros((2, 1))] * 2, Price(100.0, 1.0), learners=10)
    assert bag_sizes(found, np.array([0.8, 0.2]), LIMIT) == [8, 2]
    assert bag_sizes(found, np.array([0.8, 0.2]), Price(np.inf, np.inf)) == [10, 10]


def overconfident(rows: int, classes: int = 2) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    sums = rng.normal(size=(rows, classes))
    shares = np.exp(sums) / np.exp(sums).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(classes, p=row) for row in shares])
    sharp = shares**3
    return sharp / sharp.sum(axis=1, keepdims=True), truth


@pytest.mark.parametrize("classes", [2, 4])
def test_overconfidence_is_corrected_and_the_order_stays(classes: int) -> None:
    scores, truth = overconfident(2000, classes)
    calibrator = fit_calibrator(scores, truth, None, seed=0)
    assert calibrator is not None
    better = calibrator.apply(scores)
    np.testing.assert_allclose(better.sum(axis=1), 1)
    assert log_loss(truth, better, None) < 0.95 * log_loss(truth, scores, None)
    if classes == 2:
        assert np.all(np.diff(better[np.argsort(scores[:, 1]), 1]) >= 0)


def test_good_probabilities_are_left_alone() -> None:
    rng = np.random.default_rng(1)
    event = rng.random(3000)
    truth = (rng.random(3000) < event).astype(np.int64)
    assert fit_calibrator(two_classes(event), truth, None, seed=0) is None


def test_ten_rows_are_not_calibrated() -> None:
    scores, truth = overconfident(10)
    assert fit_calibrator(scores, truth, None, seed=0) is None


probability = st.floats(0, 1, allow_subnormal=False)


@settings(max_examples=50, deadline=None)
@given(st.lists(probability, min_size=1, max_size=30), st.floats(0.2, 5), st.floats(-3, 3))
def test_each_row_is_calibrated_on_its_own(event: list[float], slope: float, offset: float) -> None:
    scores = two_classes(np.array(event))
    for calibrator in (Temperature(slope), Platt(slope, offset)):
        together = calibrator.apply(scores)
        alone = np.vstack([calibrator.apply(scores[i : i + 1]) for i in range(len(scores))])
        assert np.isfinite(together).all()
        np.testing.assert_array_equal(together.view(np.int64), alone.view(np.int64))
        state = calibrator.to_state()
        np.testing.assert_array_equal(type(calibrator).from_state(state, {}).apply(scores), together)


def test_log_odds_are_finite() -> None:
    assert np.isfinite(log_odds(np.array([[1.0, 0.0], [0.0, 1.0]]))).all()


def test_an_interval_holds_its_share() -> None:
    rng = np.random.default_rng(0)
    truth, values = rng.exponential(size=4000), np.ones(4000)
    width = interval_width(values[:2000], truth[:2000], 0.9)
    inside = (truth[2000:] >= values[2000:] + width.low) & (truth[2000:] <= values[2000:] + width.high)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    assert interval_width(values[:3], truth[:3], 0.9).low == (truth[:3] - 1).min()


def test_the_threshold_is_the_best_one() -> None:
    data = make_table(Task.BINARY, rows=400)
    objective = Objective(LOG_LOSS, data)
    event = 0.2 + 0.1 * data.target + 0.01 * np.random.default_rng(0).random(400)
    rows = np.arange(400)
    for metric in (None, ACCURACY):
        threshold = objective.threshold(metric, two_classes(event), rows)
        assert ((event >= threshold) == data.target).all()
