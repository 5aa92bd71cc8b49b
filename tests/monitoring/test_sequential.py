"""Sequential tests, by simulation: looked at every day they seldom cry wolf, and they see what is there."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from rowsmith.monitoring.sequential import MeanSequence, chance_of_events, chance_of_split
from rowsmith.types import Vector

ALPHA = 0.05
START = 50

Draw = Callable[[np.random.Generator, int], Vector]

DRAWS: dict[str, Draw] = {
    "normal": lambda rng, size: rng.normal(0, 1, size),
    "skewed": lambda rng, size: rng.exponential(1.0, size) - 1,
    "rare": lambda rng, size: np.where(rng.random(size) < 0.1, 0.9, -0.1),
    "heavy": lambda rng, size: rng.standard_t(5, size),
}


def upper_limit(rate: float, runs: int) -> float:
    """What a rate that is truly this may show in so many runs (three deviations)."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / runs)


@pytest.mark.parametrize("kind", DRAWS)
def test_an_interval_looked_at_after_every_value_seldom_leaves_out_the_truth(kind: str) -> None:
    """400 sequences of 2,000 values, each looked at 1,950 times; a daily t-test at 5 % would fail in about half."""
    rng = np.random.default_rng(7)
    runs, failed, naive = 400, 0, 0
    for _ in range(runs):
        sequence, ever, fooled = MeanSequence(ALPHA), False, False
        for number, value in enumerate(DRAWS[kind](rng, 2000).tolist()):
            sequence.add(value)
            if number >= START:
                ever |= abs(sequence.mean) > sequence.half_width
                fooled |= abs(sequence.mean) > 1.96 * math.sqrt(sequence.variance / sequence.count)
        failed += ever
        naive += fooled
    assert failed / runs <= upper_limit(ALPHA, runs)
    assert naive / runs > 0.25  # the simulation can tell a test that does not hold


def test_a_difference_is_found() -> None:
    rng = np.random.default_rng(8)
    found = 0
    for _ in range(100):
        sequence = MeanSequence(ALPHA)
        for value in rng.normal(0.2, 1, 1500).tolist():
            sequence.add(value)
        found += sequence.mean - sequence.half_width > 0
    assert found >= 95


def test_the_interval_and_the_p_value_agree() -> None:
    rng = np.random.default_rng(9)
    sequence = MeanSequence(ALPHA)
    decisions = set()
    for value in rng.normal(0.15, 1, 3000).tolist():
        sequence.add(value)
        outside = abs(sequence.mean) > sequence.half_width
        decisions.add(outside)
        assert outside == (sequence.p_value() < ALPHA)
    assert decisions == {False, True}


def test_the_number_of_values_needed_is_about_right() -> None:
    rng = np.random.default_rng(10)
    sequence = MeanSequence(ALPHA)
    values = rng.normal(0, 1, 4000)
    values[:300] += 0.2 - values[:300].mean()
    values[300:] += 0.2 - values[300:].mean()
    for value in values[:300].tolist():
        sequence.add(value)
    needed = sequence.values_needed()
    assert needed is not None
    for value in values[300:].tolist():
        if abs(sequence.mean) > sequence.half_width:
            break
        sequence.add(value)
    assert sequence.count / 3 < needed < 3 * sequence.count


@pytest.mark.parametrize("values", [[], [0.0, 0.0, 0.0], [0.3] * 5])
def test_without_variation_nothing_is_claimed(values: list[float]) -> None:
    sequence = MeanSequence(ALPHA)
    for value in values:
        sequence.add(value)
    assert sequence.p_value() == 1.0


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5])
def test_events_looked_at_one_by_one_seldom_cry_wolf(share: float) -> None:
    rng = np.random.default_rng(11)
    runs, failed, split = 500, 0, 0
    for _ in range(runs):
        challengers, ever, either = 0, False, False
        for number, falls in enumerate((rng.random(300) < share).tolist(), start=1):
            challengers += falls
            ever |= chance_of_events(challengers, number, share) < ALPHA
            either |= chance_of_split(challengers, number, share) < ALPHA
        failed += ever
        split += either
    assert failed / runs <= upper_limit(ALPHA, runs)
    assert split / runs <= upper_limit(ALPHA, runs)


@pytest.mark.parametrize(
    ("challengers", "events", "share", "low", "high"),
    [
        (0, 0, 0.05, 1, 1),
        (1, 1, 0.05, 0.05, 0.2),
        (3, 3, 0.05, 0, 0.001),
        (30, 100, 0.05, 0, 1e-9),
        (5, 100, 0.05, 0.5, 1),
        (0, 1000, 0.05, 1, 1),
        (900, 1000, 0.5, 0, 1e-9),
        (500_000, 1_000_000, 0.5, 0.5, 1),
    ],
)
def test_events_that_fall_to_the_challenger(
    challengers: int, events: int, share: float, low: float, high: float
) -> None:
    assert low <= chance_of_events(challengers, events, share) <= high


def test_too_few_are_seen_by_the_two_sided_test_alone() -> None:
    assert chance_of_events(20, 1000, 0.1) == 1.0
    assert chance_of_split(20, 1000, 0.1) < 1e-6
