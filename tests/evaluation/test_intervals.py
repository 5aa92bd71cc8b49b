from __future__ import annotations

import numpy as np
import pytest

from rowsmith.evaluation.intervals import (
    Bootstrap,
    Statistic,
    effective_rows,
    percentile_interval,
    plain,
    statistic,
    wilson,
)
from rowsmith.evaluation.metrics import get_metric
from rowsmith.evaluation.metrics.averages import mean
from rowsmith.types import Vector


def mean_of(values: Vector) -> Statistic:
    return lambda weights: mean(values, weights)


def test_the_spread_of_a_mean_is_that_of_the_textbook() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    deviations = Bootstrap.over(2000, seed=1).ask([mean_of(values)])
    assert deviations.std() == pytest.approx(values.std() / np.sqrt(2000), rel=0.1)


def test_a_part_of_a_long_table_gives_the_spread_of_the_whole() -> None:
    values = np.random.default_rng(0).normal(size=60_000)
    bootstrap = Bootstrap.over(60_000, max_rows=2_000, resamples=400)
    assert len(bootstrap.rows) == 2_000
    deviations = bootstrap.ask([mean_of(values[bootstrap.rows])])
    assert deviations.std() == pytest.approx(values.std() / np.sqrt(60_000), rel=0.2)


def test_groups_are_drawn_whole() -> None:
    groups = np.repeat(np.arange(50), 20)
    values = np.random.default_rng(0).normal(size=50)[groups]
    alone = Bootstrap.over(1000).ask([mean_of(values)]).std()
    together = Bootstrap.over(1000, groups=groups).ask([mean_of(values)]).std()
    assert together == pytest.approx(values.std() / np.sqrt(50), rel=0.25)
    assert together > 3 * alone
    for weights in Bootstrap.over(1000, groups=groups, resamples=3).draws():
        assert (weights.reshape(50, 20).std(axis=1) == 0).all()


def test_groups_of_a_long_table_stay_whole() -> None:
    groups = np.repeat(np.arange(3000), 4)
    bootstrap = Bootstrap.over(12_000, groups=groups, max_rows=2_000)
    assert 1_900 <= len(bootstrap.rows) <= 2_004
    assert (np.bincount(groups[bootstrap.rows])[np.unique(groups[bootstrap.rows])] == 4).all()


def test_the_same_seed_draws_the_same() -> None:
    first, second = (list(Bootstrap.over(30, seed=3, resamples=5).draws()) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert not (first[0] == next(iter(Bootstrap.over(30, seed=4, resamples=5).draws()))).all()


def test_an_interval_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    covered = 0
    for trial in range(150):
        values = random.exponential(size=80)
        deviations = Bootstrap.over(80, seed=trial, resamples=200).ask([mean_of(values)])[:, 0]
        interval = percentile_interval(float(values.mean()), deviations, 0.9)
        assert interval is not None
        covered += interval.low <= 1.0 <= interval.high
    assert 0.8 <= covered / 150 <= 0.97


def test_what_is_not_defined_has_no_interval() -> None:
    assert percentile_interval(float("nan"), np.zeros(10)) is None
    assert percentile_interval(1.0, np.full(10, np.nan)) is None
    assert percentile_interval(1.0, np.zeros(0)) is None
    assert percentile_interval(1.0, np.array([0.0, 0.1, np.nan])) is not None
    assert plain(float("nan")) is None
    assert plain(0.5) == 0.5


def test_no_rows() -> None:
    assert Bootstrap.over(0).ask([mean_of(np.zeros(0))]).shape == (0, 1)


def test_wilson_against_known_values() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I: 81 of 263, and 0 of 20.
    found = wilson(81 / 263, 263)
    none = wilson(0.0, 20)
    assert found is not None and none is not None
    assert [found.low, found.high] == pytest.approx([0.2553, 0.3662], abs=1e-4)
    assert [none.low, none.high] == pytest.approx([0.0, 0.1611], abs=1e-4)
    assert wilson(0.5, 0) is None


def test_equal_weights_are_worth_their_rows() -> None:
    assert effective_rows(None, 7) == 7
    assert effective_rows(np.full(7, 3.0), 7) == pytest.approx(7)
    assert effective_rows(np.array([1.0, 0.0]), 2) == pytest.approx(1)
    assert effective_rows(np.zeros(2), 2) == 0


def test_a_metric_without_a_shortcut_is_asked_directly() -> None:
    truth, answers = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0])
    assert statistic(get_metric("mae"), truth, answers)(np.array([1.0, 1.0, 2.0])) == 1.0
