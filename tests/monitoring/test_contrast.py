"""Contrasts by simulation: two arms that are alike, looked at every day, seldom differ; two that are not, soon do."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from rowsmith.monitoring.contrast import MIN_UNITS, Contrast, contrast_of_arms, contrast_of_pairs
from rowsmith.monitoring.experiment import Agreement, Arm, State, weigh
from rowsmith.monitoring.log_arms import ArmCounts
from rowsmith.types import Array, Vector

ALPHA = 0.05
RUNS = 300
UNITS = 1500
LIMIT = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
DAY = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = [DAY + timedelta(minutes=n) for n in range(4000)]
NAMES = [f"{n:x}" for n in range(4000)]


def brier(rng: np.random.Generator, units: int, skill: float) -> Vector:
    """Losses of a model of an event of 20 %: skewed, between 0 and 1."""
    happens = rng.random(units) < 0.2
    said = np.clip(0.2 + skill * (happens - 0.2) + rng.normal(0, 0.1, units), 0, 1)
    losses: Vector = (said - happens) ** 2
    return losses


def arms(rng: np.random.Generator, units: int, share: float, skills: tuple[float, float]) -> tuple[Array, Vector]:
    chosen = rng.random(units) < share
    return chosen, np.where(chosen, brier(rng, units, skills[1]), brier(rng, units, skills[0]))


def split(chosen: Array, losses: Vector, share: float) -> Contrast:
    units = len(losses)
    return contrast_of_arms(TIMES[:units], NAMES[:units], chosen, losses, share=share, loss="brier", alpha=ALPHA)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_arms_that_are_alike_seldom_differ_at_any_look(share: float) -> None:
    """The p-value is the least of all looks: one after every unit."""
    rng = np.random.default_rng(1)
    units = int(max(UNITS, 2.5 * MIN_UNITS / share))
    found = [split(*arms(rng, units, share, (0.3, 0.3)), share) for _ in range(RUNS)]
    assert sum(contrast.p_value is not None for contrast in found) > 0.9 * RUNS
    assert sum(contrast.better is not None for contrast in found) / RUNS <= LIMIT


def test_arms_that_differ_are_told_apart_and_in_the_right_direction() -> None:
    rng = np.random.default_rng(2)
    better = [split(*arms(rng, UNITS, 0.5, (0.3, 0.6)), 0.5).better for _ in range(50)]
    worse = [split(*arms(rng, UNITS, 0.5, (0.6, 0.3)), 0.5).better for _ in range(50)]
    assert better.count(True) >= 48 and False not in better
    assert worse.count(False) >= 48 and True not in worse


def test_pairs_see_a_difference_sooner_than_a_split() -> None:
    rng = np.random.default_rng(3)
    base = brier(rng, 600, 0.3)
    other = np.clip(base + rng.normal(-0.01, 0.02, 600), 0, None)
    pairs = contrast_of_pairs(TIMES[:600], NAMES[:600], base, other, loss="brier", alpha=ALPHA)
    chosen = rng.random(600) < 0.5
    assert pairs.better is True
    assert split(chosen, np.where(chosen, other, base), 0.5).better is None


def test_pairs_that_are_alike_seldom_differ_at_any_look() -> None:
    rng = np.random.default_rng(4)
    decided = 0
    for _ in range(RUNS):
        base = brier(rng, UNITS, 0.3)
        noise = rng.exponential(0.02, UNITS) - 0.02
        found = contrast_of_pairs(TIMES[:UNITS], NAMES[:UNITS], base, base + noise, loss="brier", alpha=ALPHA)
        decided += found.better is not None
    assert decided / RUNS <= LIMIT


def test_a_unit_counts_once() -> None:
    rng = np.random.default_rng(5)
    chosen, losses = arms(rng, 400, 0.5, (0.3, 0.3))
    once = split(chosen, losses, 0.5)
    often = contrast_of_arms(
        TIMES[:4000], NAMES[:400] * 10, np.tile(chosen, 10), np.tile(losses, 10), share=0.5, loss="brier", alpha=ALPHA
    )
    assert often.units == 400
    assert (often.difference, often.p_value) == (once.difference, once.p_value)


def test_the_path_is_what_earlier_looks_saw() -> None:
    rng = np.random.default_rng(6)
    chosen, losses = arms(rng, 1000, 0.5, (0.3, 0.5))
    late = split(chosen, losses, 0.5)
    assert 60 < len(late.path) <= 121
    seen = late.path[40]
    until = next(place for place, time in enumerate(TIMES) if time.isoformat() == seen.time) + 1
    assert split(chosen[:until], losses[:until], 0.5).path[-1] == seen
    assert late.path[-1].difference == late.difference


@pytest.mark.parametrize("units", [0, 1, MIN_UNITS - 1])
def test_too_little_claims_nothing(units: int) -> None:
    chosen = np.arange(units) % 2 == 0
    contrast = split(chosen, np.linspace(0, 1, units), 0.5)
    assert contrast.better is None and contrast.p_value is None and contrast.path == ()


def test_losses_that_are_not_known_are_passed_over() -> None:
    losses = np.array([np.nan, 0.5, np.nan])
    contrast = split(np.array([True, False, True]), losses, 0.5)
    assert (contrast.units, contrast.champion_mean, contrast.challenger_mean) == (1, 0.5, None)


# -- the verdict ---------------------------------------------------------------------------------------------


def judged(champion: ArmCounts, challenger: ArmCounts, share: float, **options: object) -> State:
    both = Arm(1, "champion", champion), Arm(2, "canary", challenger)
    return weigh(*both, share=share, slow_ms=50.0, alpha=ALPHA, **options).state  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("champion", "challenger", "share", "state"),
    [
        (ArmCounts(), ArmCounts(), 0.05, State.UNDECIDED),
        (ArmCounts(950, 10, 950, 10), ArmCounts(50, 1, 50, 1), 0.05, State.UNDECIDED),
        (ArmCounts(950, 10, 950, 10), ArmCounts(50, 9, 50, 9), 0.05, State.WORSE),
        (ArmCounts(950, 0, 950, 0, 2), ArmCounts(50, 0, 50, 0, 20), 0.05, State.WORSE),
        # One broken client that asks a hundred times is one event.
        (ArmCounts(950, 0, 950, 0), ArmCounts(149, 100, 50, 1), 0.05, State.UNDECIDED),
        (ArmCounts(500, 0, 500), ArmCounts(20, 0, 20), 0.5, State.BROKEN),
    ],
)
def test_errors_and_slow_answers(champion: ArmCounts, challenger: ArmCounts, share: float, state: State) -> None:
    assert judged(champion, challenger, share) is state


def test_canaries_that_are_no_worse_are_seldom_taken_back_at_any_look() -> None:
    """Errors, slow answers and losses together, looked at 30 times; traffic and its error rate change meanwhile."""
    rng = np.random.default_rng(7)
    share, taken_back = 0.2, 0
    for _ in range(RUNS):
        chosen, losses = arms(rng, 1200, share, (0.3, 0.3))
        rate = np.where(np.arange(1200) < 600, 0.02, 0.2)
        errors, slow = rng.random(1200) < rate, rng.random(1200) < 0.05
        for end in range(40, 1201, 40):
            mine, theirs = chosen[:end], ~chosen[:end]
            champion, challenger = (
                ArmCounts(int(arm.sum()), 0, int(arm.sum()), int(errors[:end][arm].sum()), int(slow[:end][arm].sum()))
                for arm in (theirs, mine)
            )
            contrast = split(chosen, losses, share) if end == 1200 else None
            if judged(champion, challenger, share, contrast=contrast) is State.WORSE:
                taken_back += 1
                break
    assert taken_back / RUNS <= LIMIT


def test_a_shadow_is_judged_by_its_losses_alone() -> None:
    agreement = Agreement(10, 0.9, 0.1)
    assert judged(ArmCounts(100, 0, 100), ArmCounts(100, 90, 100, 90, 90), 1.0, agreement=agreement) is State.UNDECIDED
