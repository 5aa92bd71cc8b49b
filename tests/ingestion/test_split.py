from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.errors import DataError
from rowsmith.ingestion.infer import infer_schema
from rowsmith.ingestion.split import Split, make_folds, rows_with_target, seal
from rowsmith.recipe import Recipe
from rowsmith.schema import Schema
from tests.ingestion.tables import recipe


def prepared(
    target: list[Any], *, split: dict[str, Any] | None = None, seed: int = 0, **roles: list[Any]
) -> tuple[pl.DataFrame, Schema, Recipe]:
    """A table with a feature, the target and columns named like their roles; its schema and recipe."""
    frame = pl.DataFrame({"x": [i % 7 / 2 for i in range(len(target))], "y": target, **roles}, strict=False)
    chosen = recipe("y", split=split or {}, train={"seed": seed}, columns={role: role for role in roles})
    return frame, infer_schema(frame, chosen), chosen


def check_split(split: Split, rows: int) -> None:
    assert sorted([*split.train, *split.test]) == list(range(rows))
    assert split.train.dtype == split.test.dtype == np.int64
    assert (np.diff(split.train) > 0).all() and (np.diff(split.test) > 0).all()


def check_partition(folds: tuple[tuple[Any, Any], ...], rows: int) -> None:
    """Every row is validated once, and trained on in all other folds."""
    assert sorted(np.concatenate([valid for _, valid in folds])) == list(range(rows))
    for train, valid in folds:
        assert sorted([*train, *valid]) == list(range(rows))


@pytest.mark.parametrize("holdout", [0.1, 0.2, 0.5, 0.9])
def test_each_side_has_its_share_of_every_class(holdout: float) -> None:
    target = ["a"] * 700 + ["b"] * 250 + ["c"] * 50
    frame, schema, chosen = prepared(target, split={"holdout": holdout})
    split = seal(frame, schema, chosen)
    check_split(split, 1000)
    for label, rows in (("a", 700), ("b", 250), ("c", 50)):
        assert abs(frame["y"][split.test].to_list().count(label) - holdout * rows) <= 1


def test_folds_have_their_share_of_every_class() -> None:
    frame, schema, chosen = prepared(["a"] * 703 + ["b"] * 52)
    folds = make_folds(frame, schema, chosen)
    check_partition(folds, 755)
    assert {len(valid) for _, valid in folds} == {151}
    assert all(frame["y"][valid].to_list().count("b") in (10, 11) for _, valid in folds)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=6),
    st.sampled_from([0.05, 0.2, 0.5]),
    st.integers(2, 6),
    st.integers(0, 9),
)
def test_classes_of_few_rows_are_no_trouble(sizes: list[int], holdout: float, count: int, seed: int) -> None:
    target = [f"c{k}" for k, size in enumerate(sizes) for _ in range(size)]
    frame, schema, chosen = prepared(target, split={"holdout": holdout, "folds": count}, seed=seed)
    split = seal(frame, schema, chosen)
    check_split(split, len(target))
    assert len(split.train) and len(split.test)
    if max(sizes) > 1:
        assert set(frame["y"][split.train]) == set(target)
    if len(target) >= count:
        folds = make_folds(frame, schema, chosen)
        check_partition(folds, len(target))
        sizes_of_folds = [len(valid) for _, valid in folds]
        assert max(sizes_of_folds) - min(sizes_of_folds) <= 1


def test_regression_is_split_plainly() -> None:
    frame, schema, chosen = prepared([i / 7 for i in range(103)])
    split = seal(frame, schema, chosen)
    check_split(split, 103)
    assert len(split.test) == 21
    check_partition(make_folds(frame, schema, chosen), 103)


def test_the_seed_decides() -> None:
    target = [i / 7 for i in range(100)]
    one, again, other = (seal(*prepared(target, seed=seed)) for seed in (1, 1, 2))
    assert (one.test == again.test).all()
    assert not (one.test == other.test).all()
    folds = [make_folds(*prepared(target, seed=seed)) for seed in (1, 1, 2)]
    assert (folds[0][0][1] == folds[1][0][1]).all()
    assert not np.array_equal(folds[0][0][1], folds[2][0][1])


def test_nothing_held_out() -> None:
    split = seal(*prepared(["a", "b"] * 20, split={"holdout": 0}))
    assert len(split.train) == 40 and len(split.test) == 0


def test_rows_without_a_target_are_on_no_side() -> None:
    frame, schema, chosen = prepared(["a", "b", None, "", " "] * 20)
    known = [i for i in range(100) if i % 5 < 2]
    assert rows_with_target(frame, schema).tolist() == known
    split = seal(frame, schema, chosen)
    assert sorted([*split.train, *split.test]) == known
    assert sorted(np.concatenate([valid for _, valid in make_folds(frame, schema, chosen)])) == known


def test_null_spellings_of_a_number_are_no_target() -> None:
    frame, schema, _ = prepared([*(f"{i}.5" for i in range(40)), "NA", "?"])
    assert rows_with_target(frame, schema).tolist() == list(range(40))


# -- groups --------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=6, max_size=30), st.booleans(), st.integers(0, 5))
def test_groups_stay_together(sizes: list[int], is_regression: bool, seed: int) -> None:
    groups = [f"g{k}" for k, size in enumerate(sizes) for _ in range(size)]
    random = np.random.default_rng(seed)
    order = random.permutation(len(groups))
    target = [i / 7 for i in range(len(groups))] if is_regression else ["a", "b"] * (len(groups) // 2 + 1)
    frame, schema, chosen = prepared(target[: len(groups)], seed=seed, group=[groups[i] for i in order])
    column = frame["group"]
    split = seal(frame, schema, chosen)
    check_split(split, len(groups))
    assert len(split.train) and len(split.test)
    assert not set(column[split.train]) & set(column[split.test])
    folds = make_folds(frame, schema, chosen)
    check_partition(folds, len(groups))
    for train, valid in folds:
        assert len(valid)
        assert not set(column[train]) & set(column[valid])


def test_groups_are_shared_out_evenly_by_rows_and_classes() -> None:
    groups = [k for k in range(200) for _ in range(5)]
    target = ["rare" if k % 10 == 0 else "common" for k in groups]
    frame, schema, chosen = prepared(target, group=groups)
    split = seal(frame, schema, chosen)
    assert abs(len(split.test) - 200) <= 5
    assert abs(frame["y"][split.test].to_list().count("rare") - 20) <= 5
    for _, valid in make_folds(frame, schema, chosen):
        assert abs(len(valid) - 200) <= 10
        assert abs(frame["y"][valid].to_list().count("rare") - 20) <= 5


def test_rows_without_a_group_are_groups_of_their_own() -> None:
    frame, schema, chosen = prepared(["a", "b"] * 30, group=[None] * 30 + ["g"] * 30)
    folds = make_folds(frame, schema, chosen)
    check_partition(folds, 60)
    assert sum(bool((frame["group"][valid] == "g").any()) for _, valid in folds) == 1


def test_too_few_groups_or_rows() -> None:
    with pytest.raises(DataError, match=r"5 folds need at least 5 groups.*Received 3 groups.*folds = 3"):
        make_folds(*prepared(["a", "b"] * 30, group=[1, 2, 3] * 20))
    with pytest.raises(DataError, match=r"no rows are left|would be empty"):
        seal(*prepared(["a", "b"] * 30, group=["g"] * 60))
    frame, schema, chosen = prepared(["a", "b"] * 30)
    with pytest.raises(DataError, match="5 folds need at least 5 rows"):
        make_folds(frame[:4], schema, chosen)
    with pytest.raises(DataError, match="too few rows"):
        seal(frame[:1], schema, chosen)


# -- time ----------------------------------------------------------------------------------------------------------


def test_time_goes_from_past_to_future() -> None:
    days = [f"{d % 28 + 1:02d}.{d // 28 + 1:02d}.2024" for d in range(300)]
    order = np.random.default_rng(0).permutation(300)
    frame, schema, chosen = prepared([i / 7 for i in range(300)], time=[days[i] for i in order])
    rank = order
    split = seal(frame, schema, chosen)
    check_split(split, 300)
    assert len(split.test) == 60
    assert rank[split.train].max() < rank[split.test].min()
    folds = make_folds(frame, schema, chosen)
    assert len(folds) == 5
    end = -1
    for train, valid in reversed(folds):
        assert rank[train].max() < rank[valid].min()
        assert rank[train].max() >= end
        end = rank[valid].max()
        assert 45 <= len(valid) <= 55
    assert end == 299


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=40, max_size=120), st.integers(2, 5), st.sampled_from([0.1, 0.3, 0.7]))
def test_moments_stay_together(times: list[int], count: int, holdout: float) -> None:
    if len(set(times)) <= count:
        times[: count + 1] = range(count + 1)
    rows = np.array(times)
    frame, schema, chosen = prepared(
        [i / 7 for i in range(len(times))], split={"holdout": holdout, "folds": count}, time=times
    )
    split = seal(frame, schema, chosen)
    check_split(split, len(times))
    assert rows[split.train].max() < rows[split.test].min()
    folds = make_folds(frame, schema, chosen)
    assert len(folds) == count
    for train, valid in folds:
        assert len(train) and len(valid)
        assert rows[train].max() < rows[valid].min()
        assert (train == np.flatnonzero(rows < rows[valid].min())).all()
    assert rows.max() in rows[folds[0][1]]


def test_rows_without_a_time_are_the_oldest() -> None:
    frame, schema, chosen = prepared(["a", "b"] * 20, time=[None] * 4 + list(range(36)))
    split = seal(frame, schema, chosen)
    assert set(range(4)) <= set(split.train.tolist())


def test_time_and_groups_leave_out_what_would_be_on_both_sides() -> None:
    frame, schema, chosen = prepared(
        [i / 7 for i in range(100)], time=list(range(100)), group=[i // 7 for i in range(100)], split={"folds": 3}
    )
    split = seal(frame, schema, chosen)
    assert split.train.max() < split.test.min()
    assert not set(frame["group"][split.train]) & set(frame["group"][split.test])
    for train, valid in make_folds(frame, schema, chosen):
        assert not set(frame["group"][train]) & set(frame["group"][valid])
    always = prepared([i / 7 for i in range(100)], time=list(range(100)), group=["g", "h"] * 50)
    with pytest.raises(DataError, match="no rows are left to train on"):
        seal(*always)


def test_time_that_stands_still() -> None:
    frame, schema, chosen = prepared(["a", "b"] * 20, time=list(range(40)))
    still = frame.with_columns(time=pl.lit(3))
    with pytest.raises(DataError, match="no past and no future"):
        seal(still, schema, chosen)
    with pytest.raises(DataError, match="5 folds need at least 6 moments"):
        make_folds(frame.with_columns(time=pl.col("time") % 4), schema, chosen)


def test_numbers_and_their_spellings_are_split_alike() -> None:
    numbers = [i % 3 for i in range(90)]
    by_number = make_folds(*prepared(numbers))
    by_text = make_folds(*prepared([f" c{i} " for i in numbers]))
    for one, other in zip(by_number, by_text, strict=True):
        assert one[0].dtype == one[1].dtype == np.int32
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_numbers_that_are_missing_are_on_no_side() -> None:
    frame, schema, _ = prepared([1.5 * i for i in range(50)])
    frame = frame.with_columns(y=pl.Series([None, float("nan"), *range(48)], dtype=pl.Float64, strict=False))
    assert rows_with_target(frame, schema).tolist() == [*range(2, 50)]
