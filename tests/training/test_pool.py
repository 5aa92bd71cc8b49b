"""The shares of a logarithmic pool."""

from __future__ import annotations

import numpy as np
import pytest

from rowsmith.training.ensemble import mixed
from rowsmith.training.objective import log_loss
from rowsmith.training.pool import pool_shares
from rowsmith.types import Array


def noisy(rows: int, classes: int, noise: float, seed: int) -> tuple[Array, list[Array]]:
    """Truth, and three experts who each see the true odds through noise of their own."""
    rng = np.random.default_rng(seed)
    odds = 2 * rng.normal(size=(rows, classes))
    truth = (odds + rng.gumbel(size=odds.shape)).argmax(axis=1)
    seen = [odds + noise * rng.normal(size=odds.shape) for _ in range(3)]
    powers = [np.exp(sums - sums.max(axis=1, keepdims=True)) for sums in seen]
    return truth, [power / power.sum(axis=1, keepdims=True) for power in powers]


@pytest.mark.parametrize("classes", [2, 5])
def test_a_pool_of_experts_is_better_than_each_and_than_their_mean(classes: int) -> None:
    truth, answers = noisy(3000, classes, 1.5, 0)
    shares = pool_shares(answers, truth, None, seed=0)
    assert (shares > 0.2).all()
    pool = log_loss(truth, mixed(answers, shares, is_pool=True), None)
    assert pool < min(log_loss(truth, answer, None) for answer in answers)
    assert pool < log_loss(truth, mixed(answers, shares, is_pool=False), None)


def test_who_knows_nothing_gets_nothing() -> None:
    truth, answers = noisy(2000, 3, 0.5, 1)
    guesses = np.random.default_rng(2).dirichlet(np.ones(3), size=len(truth))
    assert pool_shares([*answers, guesses], truth, None, seed=0)[3] < 0.01


def test_rows_of_no_weight_do_not_count() -> None:
    truth, answers = noisy(400, 2, 1.0, 3)
    wrong = answers[0][:, ::-1]
    halves = [np.where(np.arange(400)[:, None] < 200, answers[0], wrong), answers[1]]
    weights = (np.arange(400) < 200).astype(np.float64)
    assert pool_shares(halves, truth, weights, seed=0)[0] > 0.3
    assert pool_shares(halves, truth, 1 - weights, seed=0)[0] < 0.1


def test_what_is_impossible_to_one_is_not_so_to_the_pool() -> None:
    sure = np.array([[1.0, 0.0], [0.5, 0.5]])
    pool = mixed([sure, np.full((2, 2), 0.5)], np.array([0.5, 0.5]), is_pool=True)
    assert np.isfinite(pool).all() and pool[0, 1] > 1e-4
    np.testing.assert_allclose(pool.sum(axis=1), 1)
    np.testing.assert_allclose(pool[1], 0.5)


def test_the_same_answers_give_the_same_bits() -> None:
    truth, answers = noisy(500, 4, 1.0, 4)
    first, second = (pool_shares(answers, truth, None, seed=0) for _ in range(2))
    assert first.tobytes() == second.tobytes()
