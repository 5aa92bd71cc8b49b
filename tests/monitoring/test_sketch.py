from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.monitoring.sketch import Sketch, level_sketch, ordered_sketch, window_sketches

numbers = st.one_of(st.none(), st.floats(allow_nan=False, width=32), st.integers(-3, 3).map(float))


def test_few_distinct_numbers_are_kept_exactly() -> None:
    sketch = ordered_sketch(pl.Series([3.0, 1.0, 1.0, None, 2.0]))
    assert sketch.edges[1:] == (1.0, 2.0, 3.0)
    assert sketch.edges[0] == math.nextafter(1.0, -math.inf)
    assert sketch.counts == (0, 2, 1, 1, 0)
    assert (sketch.rows, sketch.missing, sketch.present) == (5, 1, 4)
    assert (sketch.minimum, sketch.maximum, sketch.mean) == (1.0, 3.0, 1.75)
    assert sketch.quantile(0.5) == 1.0
    assert sketch.quantile(1.0) == 3.0


def test_many_distinct_numbers_become_quantiles() -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    sketch = ordered_sketch(pl.Series(values), max_edges=50)
    assert len(sketch.edges) == 51
    assert sum(sketch.counts) == 10_000
    assert max(sketch.counts) < 2 * 10_000 / 50
    assert sketch.quantile(0.5) == pytest.approx(np.median(values), abs=0.06)
    assert sketch.deviation == pytest.approx(values.std())


def test_values_out_of_range_stand_apart() -> None:
    reference = ordered_sketch(pl.Series([0.0, 1.0, 2.0]))
    [window] = window_sketches(reference, pl.Series([-5.0, 0.0, 9.0, 11.0]), np.zeros(4, dtype=np.int64), 1)
    assert (window.counts[0], window.counts[-1]) == (1, 2)
    assert (window.low_mean, window.high_mean) == (-5.0, 10.0)


def test_an_infinite_number_counts_as_missing() -> None:
    sketch = ordered_sketch(pl.Series([1.0, math.inf, -math.inf, 2.0]))
    assert (sketch.missing, sketch.maximum) == (2, 2.0)


def test_dates_in_seconds_keep_their_deviation() -> None:
    day = 86_400.0
    sketch = ordered_sketch(pl.Series([1.7e9, 1.7e9 + day]))
    assert sketch.deviation == pytest.approx(day / 2)


@pytest.mark.parametrize("values", [[], [None, None]])
def test_a_column_without_values(values: list[None]) -> None:
    ordered = ordered_sketch(pl.Series(values, dtype=pl.Float64))
    assert ordered.is_ordered
    assert (ordered.present, ordered.missing_share) == (0, 1.0 if values else 0.0)
    assert ordered.quantile(0.5) is None
    levels = level_sketch(pl.Series(values, dtype=pl.String), known=())
    assert (levels.levels, levels.present) == ((), 0)


def test_levels_are_ordered_by_frequency_and_the_rest_is_other() -> None:
    values = pl.Series(["b", "a", "b", "c", None, "z", "b", "a"])
    sketch = level_sketch(values, known=("a", "b", "c"), max_levels=2)
    assert (sketch.levels, sketch.counts) == (("b", "a"), (3, 2, 2))
    assert (sketch.unseen, sketch.missing) == (1, 1)


def test_a_level_of_the_sketch_that_the_schema_does_not_list_is_unseen() -> None:
    sketch = level_sketch(pl.Series(["a", "z", "z"]), known=("a",))
    assert (sketch.levels, sketch.unseen) == (("z", "a"), 2)


def test_without_listed_levels_every_value_is_unseen() -> None:
    reference = level_sketch(pl.Series([], dtype=pl.String), known=())
    [window] = window_sketches(reference, pl.Series(["a", None, "b"]), np.zeros(3, dtype=np.int64), 1)
    assert (window.unseen, window.missing, window.counts) == (2, 1, (2,))


@given(st.lists(st.tuples(numbers, st.integers(-1, 2)), max_size=40), st.lists(numbers, max_size=200))
def test_windows_in_one_pass_are_the_windows_one_by_one(
    rows: list[tuple[float | None, int]], seen: list[float]
) -> None:
    reference = ordered_sketch(pl.Series(seen, dtype=pl.Float64), max_edges=10)
    values = pl.Series([value for value, _ in rows], dtype=pl.Float64)
    index = np.array([window for _, window in rows], dtype=np.int64)
    together = window_sketches(reference, values, index, 3)
    for number, sketch in enumerate(together):
        own = values.filter(pl.Series(index == number, dtype=pl.Boolean))
        [alone] = window_sketches(reference, own, np.zeros(len(own), dtype=np.int64), 1)
        assert sketch.counts == alone.counts
        assert (sketch.rows, sketch.missing) == (alone.rows, alone.missing)
        assert (sketch.minimum, sketch.maximum) == (alone.minimum, alone.maximum)


@given(st.lists(numbers, max_size=100), st.integers(2, 20))
def test_a_sketch_survives_json_to_the_last_bit(values: list[float | None], max_edges: int) -> None:
    sketch = ordered_sketch(pl.Series(values, dtype=pl.Float64), max_edges)
    assert Sketch.from_dict(json.loads(json.dumps(sketch.to_dict()))) == sketch
    assert list(sketch.edges) == sorted(set(sketch.edges))
    assert sum(sketch.counts) == sketch.present
    assert (sketch.counts[0], sketch.counts[-1]) == (0, 0)


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=50))
def test_a_level_sketch_survives_json(values: list[str | None]) -> None:
    sketch = level_sketch(pl.Series(values, dtype=pl.String), known=("a", "b"), max_levels=2)
    assert Sketch.from_dict(json.loads(json.dumps(sketch.to_dict()))) == sketch
    assert sum(sketch.counts) == sketch.present
    assert sketch.unseen == sum(value in ("c", "d") for value in values)


def test_numbers_near_the_largest_have_a_mean_and_a_deviation() -> None:
    sketch = ordered_sketch(pl.Series([1e308, -1e308, 1e307, 0.0]))
    assert sketch.mean == pytest.approx(2.5e306)
    assert sketch.deviation == pytest.approx(float(np.std([10.0, -10.0, 1.0, 0.0])) * 1e307)
