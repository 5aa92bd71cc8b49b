"""The contract of every drift test, and each one against another implementation."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from rowsmith.monitoring.drift_tests import DRIFT_TESTS, DriftTest, Outcome
from rowsmith.monitoring.drift_tests.bins import common_bins
from rowsmith.monitoring.drift_tests.proportion import chance_of_difference
from rowsmith.monitoring.sketch import Sketch, level_sketch, ordered_sketch, window_sketches
from rowsmith.monitoring.views import LEVEL_KINDS
from rowsmith.types import ColumnKind

BY_NAME = {test.name: test for test in DRIFT_TESTS}
LETTERS = tuple("abcdef")


def pair(reference: pl.Series, window: pl.Series) -> tuple[Sketch, Sketch]:
    sketch = level_sketch(reference, LETTERS) if reference.dtype == pl.String else ordered_sketch(reference)
    return sketch, window_sketches(sketch, window, np.zeros(len(window), dtype=np.int64), 1, LETTERS)[0]


def sample(kind: ColumnKind, rows: int, rng: np.random.Generator, *, shift: float = 0.0) -> pl.Series:
    if kind in LEVEL_KINDS:
        shares = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04]) * np.exp(-shift * np.arange(6))
        return pl.Series(rng.choice(LETTERS, rows, p=shares / shares.sum()))
    return pl.Series(rng.normal(size=rows) + shift)


def run(test: DriftTest, reference: Sketch, window: Sketch) -> Outcome:
    outcome = test.function(reference, window)
    assert outcome is not None
    return outcome


def cases(*left_out: str) -> list[tuple[DriftTest, ColumnKind]]:
    return [(test, kind) for test in DRIFT_TESTS if test.name not in left_out for kind in sorted(test.kinds)]


def name_of(value: DriftTest | ColumnKind) -> str:
    return value.name if isinstance(value, DriftTest) else value.value


def test_names_are_unique_and_every_record_says_what_it_is() -> None:
    assert len(BY_NAME) == len(DRIFT_TESTS)
    for test in DRIFT_TESTS:
        assert test.title and test.short and test.source and test.kinds and test.threshold > 0


def test_every_kind_of_feature_has_a_test_that_decides() -> None:
    watched = set(ColumnKind) - {ColumnKind.IDENTIFIER, ColumnKind.CONSTANT}
    assert watched == {kind for test in DRIFT_TESTS if test.decides for kind in test.kinds}


@pytest.mark.parametrize(("test", "kind"), cases(), ids=name_of)
def test_a_column_has_not_drifted_from_itself(test: DriftTest, kind: ColumnKind) -> None:
    values = sample(kind, 500, np.random.default_rng(1))
    outcome = run(test, *pair(values, values))
    assert outcome.effect == pytest.approx(0, abs=1e-12)
    assert outcome.p_value is None or outcome.p_value == pytest.approx(1)


@pytest.mark.parametrize(("test", "kind"), cases("missing_share", "unseen_share"), ids=name_of)
def test_the_effect_grows_with_the_shift_and_not_with_the_rows(test: DriftTest, kind: ColumnKind) -> None:
    rng = np.random.default_rng(2)
    reference = sample(kind, 20_000, rng)
    effects = [run(test, *pair(reference, sample(kind, 20_000, rng, shift=s))).effect for s in (0.0, 0.3, 0.6, 1.2)]
    assert effects == sorted(effects)
    assert effects[0] < test.threshold < effects[-1]
    fewer = run(test, *pair(reference, sample(kind, 1_000, rng, shift=0.6))).effect
    assert fewer == pytest.approx(effects[2], rel=0.35)


def test_kolmogorov_smirnov_is_that_of_scipy_where_the_sketch_is_exact() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 60, 3000).astype(float), rng.integers(0, 66, 900).astype(float)
    outcome = run(BY_NAME["kolmogorov_smirnov"], *pair(pl.Series(first), pl.Series(second)))
    expected = stats.ks_2samp(first, second, method="asymp")
    assert outcome.effect == pytest.approx(expected.statistic)
    assert outcome.p_value == pytest.approx(expected.pvalue, rel=0.3)


def test_kolmogorov_smirnov_of_a_coarse_sketch_never_exceeds_that_of_all_values() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=5000), rng.normal(size=800) + 0.2
    outcome = run(BY_NAME["kolmogorov_smirnov"], *pair(pl.Series(first), pl.Series(second)))
    exact = stats.ks_2samp(first, second).statistic
    assert exact - 0.02 <= outcome.effect <= exact + 1e-12


@pytest.mark.parametrize("shift", [0.0, 0.5, 30.0])
def test_wasserstein_is_close_to_that_of_all_values(shift: float) -> None:
    rng = np.random.default_rng(5)
    first, second = rng.gamma(2, size=5000), rng.gamma(2, size=1000) + shift
    outcome = run(BY_NAME["wasserstein"], *pair(pl.Series(first), pl.Series(second)))
    assert outcome.effect == pytest.approx(stats.wasserstein_distance(first, second) / first.std(), abs=0.03, rel=0.03)


def test_wasserstein_has_nothing_to_say_about_a_constant() -> None:
    assert BY_NAME["wasserstein"].function(*pair(pl.Series([1.0, 1.0]), pl.Series([2.0]))) is None


def test_chi_squared_is_that_of_scipy() -> None:
    rng = np.random.default_rng(6)
    reference, window = pair(sample(ColumnKind.CATEGORY, 3000, rng), sample(ColumnKind.CATEGORY, 700, rng, shift=0.1))
    outcome = run(BY_NAME["chi_squared"], reference, window)
    bins = common_bins(reference, window)
    assert outcome.p_value == pytest.approx(stats.chi2_contingency([bins.reference, bins.window]).pvalue)


def test_cramers_v_is_that_of_scipy_for_equally_many_rows() -> None:
    rng = np.random.default_rng(7)
    rows = 200_000
    reference, window = pair(sample(ColumnKind.CATEGORY, rows, rng), sample(ColumnKind.CATEGORY, rows, rng, shift=0.3))
    bins = common_bins(reference, window)
    expected = stats.contingency.association(np.array([bins.reference, bins.window]), method="cramer")
    assert run(BY_NAME["chi_squared"], reference, window).effect == pytest.approx(expected, rel=0.01)


def test_jensen_shannon_is_that_of_scipy_for_many_rows() -> None:
    rng = np.random.default_rng(8)
    reference, window = pair(
        sample(ColumnKind.NUMBER, 200_000, rng), sample(ColumnKind.NUMBER, 200_000, rng, shift=0.4)
    )
    bins = common_bins(reference, window)
    expected = jensenshannon(bins.reference / bins.reference.sum(), bins.window / bins.window.sum(), base=2)
    assert run(BY_NAME["jensen_shannon"], reference, window).effect == pytest.approx(expected, rel=0.01)


def test_population_stability_is_the_textbook_sum_for_many_rows() -> None:
    rng = np.random.default_rng(9)
    reference, window = pair(
        sample(ColumnKind.NUMBER, 200_000, rng), sample(ColumnKind.NUMBER, 200_000, rng, shift=0.4)
    )
    bins = common_bins(reference, window)
    expected, seen = bins.reference / bins.reference.sum(), bins.window / bins.window.sum()
    index = float(np.sum((seen - expected) * np.log(seen / expected)))
    assert len(seen) == 10
    assert run(BY_NAME["psi"], reference, window).effect == pytest.approx(index, rel=0.01)


@pytest.mark.parametrize("kind", [ColumnKind.NUMBER, ColumnKind.CATEGORY])
@pytest.mark.parametrize("rows", [50, 200, 2000])
def test_population_stability_of_the_same_distribution_is_noise_around_zero(kind: ColumnKind, rows: int) -> None:
    """Uncorrected, 50 rows in 10 bins would show 0.18 on average: drift where there is none."""
    rng = np.random.default_rng(10)
    reference = sample(kind, 5000, rng)
    outcomes = [run(BY_NAME["psi"], *pair(reference, sample(kind, rows, rng))) for _ in range(300)]
    assert np.mean([outcome.effect for outcome in outcomes]) < 4.5 / rows
    assert np.mean([outcome.p_value < 0.05 for outcome in outcomes if outcome.p_value is not None]) < 0.09


def test_a_reference_of_one_value_still_sees_another_one() -> None:
    outcome = run(BY_NAME["psi"], *pair(pl.Series([0.0] * 500), pl.Series([1.0] * 100)))
    assert outcome.effect > 1


@pytest.mark.parametrize("below", [True, False])
def test_values_out_of_range_count_by_themselves(below: bool) -> None:
    rng = np.random.default_rng(11)
    reference = pl.Series(rng.random(5000))
    window = rng.random(500)
    window[:50] = -1.0 if below else 2.0
    assert run(BY_NAME["psi"], *pair(reference, pl.Series(window))).effect > 0.2


def test_missing_share() -> None:
    reference = pl.Series([1.0, None] * 500)
    same, gone = (pair(reference, pl.Series(values)) for values in ([1.0, None] * 100, [1.0] * 40 + [None] * 160))
    assert run(BY_NAME["missing_share"], *same) == Outcome(0.0, 1.0)
    outcome = run(BY_NAME["missing_share"], *gone)
    assert outcome.effect == pytest.approx(0.3)
    assert outcome.p_value is not None and outcome.p_value < 1e-12


def test_unseen_share_only_grows() -> None:
    listed, strange = ["a"] * 90 + ["z"] * 10, ["a"] * 70 + ["z"] * 15 + ["q"] * 15
    outcome = run(BY_NAME["unseen_share"], *pair(pl.Series(listed * 10), pl.Series(strange)))
    assert outcome.effect == pytest.approx(0.2)
    assert run(BY_NAME["unseen_share"], *pair(pl.Series(strange), pl.Series(listed))) == Outcome(0.0, 1.0)


def test_tests_for_levels_do_not_apply_to_numbers_and_the_other_way_round() -> None:
    ordered = pair(pl.Series([1.0, 2.0]), pl.Series([1.0]))
    levels = pair(pl.Series(["a", "b"]), pl.Series(["a"]))
    for name, sketches in [("chi_squared", ordered), ("unseen_share", ordered), ("wasserstein", levels)]:
        assert BY_NAME[name].function(*sketches) is None
    assert BY_NAME["kolmogorov_smirnov"].function(*levels) is None


@pytest.mark.parametrize(("a", "n", "b", "m"), [(30, 100, 200, 1000), (5, 60, 5, 900), (0, 50, 3, 500)])
def test_two_proportions_as_scipy_with_continuity_correction(a: int, n: int, b: int, m: int) -> None:
    expected = stats.chi2_contingency([[a, n - a], [b, m - b]], correction=True).pvalue
    assert chance_of_difference(a, n, b, m) == pytest.approx(expected)


def test_two_proportions_without_rows_or_difference() -> None:
    assert chance_of_difference(0, 0, 5, 10) == 1.0
    assert chance_of_difference(0, 50, 0, 50) == 1.0
    assert math.isclose(chance_of_difference(5, 10, 5, 10), 1.0)


values = st.one_of(st.none(), st.integers(-4, 4).map(float), st.floats(-1e6, 1e6))


@given(st.lists(values, max_size=150), st.lists(values, min_size=1, max_size=150))
def test_coarse_bins_lose_no_row_and_expect_enough_of_each(
    reference: list[float | None], window: list[float | None]
) -> None:
    sketch, seen = pair(pl.Series(reference, dtype=pl.Float64), pl.Series(window, dtype=pl.Float64))
    bins = common_bins(sketch, seen)
    assert (bins.reference.sum(), bins.window.sum()) == (sketch.present, seen.present)
    assert all(bins.last[i] < bins.first[i + 1] for i in range(len(bins.first) - 1))
    inside = [n for n, first in zip(bins.reference, bins.first, strict=True) if first not in (0, len(sketch.edges))]
    assert all(n + 1 >= sketch.present / 10 for n in inside)
    assert len(bins.window) <= 12
