"""Arithmetic of numbers: which pairs are chosen, and learners that look at them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.blend import Blend, together
from rowsmith.model import Learner
from rowsmith.storage import archive
from rowsmith.training import FAMILIES
from rowsmith.training.arithmetic import choose_arithmetic
from rowsmith.training.data import TrainingData
from rowsmith.training.families.adapters import WithArithmetic
from rowsmith.training.families.base import Fit, Part
from rowsmith.training.restore import restore
from rowsmith.training.unit import ALL_ROWS, Unit, digest_of_state, learn, run_unit
from rowsmith.transformation.arithmetic import OPERATIONS, Arithmetic
from rowsmith.types import Array, Feature, Task
from tests.training.tables import folds_of

NAMES = ("people", "rooms", "noise")
FEATURES = tuple(Feature(name, name) for name in NAMES)
HOSTILE = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e-45, 3.4e38, -3.4e38, float("nan"), float("inf"), float("-inf")]),
)
ROW = st.tuples(HOSTILE, HOSTILE, HOSTILE)


def crowded(task: Task, rows: int = 3000) -> TrainingData:
    """What counts is people a room: neither too few nor too many, whatever the rooms."""
    draw = np.random.default_rng(0)
    matrix = np.exp(draw.normal(3, 1, size=(rows, 3))).astype(np.float32)
    signal = np.cos(2 * np.log(matrix[:, 0] / matrix[:, 1])).astype(np.float64) + draw.normal(0, 0.1, rows)
    codes = np.digitize(signal, np.quantile(signal, [1 / 3, 2 / 3])).astype(np.int64)
    target = {Task.REGRESSION: signal, Task.BINARY: (signal > 0).astype(np.int64), Task.MULTICLASS: codes}[task]
    classes = {Task.REGRESSION: 0, Task.BINARY: 2, Task.MULTICLASS: 3}[task]
    return TrainingData(matrix, FEATURES, target, None, folds_of(rows), task, classes)


def fit_of(data: TrainingData, features: tuple[Feature, ...] = FEATURES) -> Fit:
    return Fit(Part(data.matrix, data.target), None, features, data.task, data.classes, {}, seed=1)


def unit(name: str, data: TrainingData, most: int, *, fold: int = 0, rounds: int | None = 12) -> Unit:
    family = next(family for family in FAMILIES if family.name == name)
    params = {**next(iter(family.portfolio(data.shape).values())), "arithmetic": most}
    return Unit(0, name, params, fold, seed=3, rounds=rounds)


@lru_cache
def learned(name: str, task: Task) -> tuple[TrainingData, Learner]:
    data = crowded(task)
    return data, learn(data, data.folds[0], unit(name, data, 4))[0]


def bits(scores: Array) -> Array:
    return np.ascontiguousarray(scores).view(np.int64)


@pytest.mark.parametrize("task", Task)
def test_the_pair_that_counts_is_found(task: Task) -> None:
    found = choose_arithmetic(fit_of(crowded(task)), 4)
    assert found is not None and found.width <= 4
    names = [feature.name for feature in found.features(FEATURES)]
    assert names[:3] == list(NAMES)
    assert names[3] in ("people / rooms", "rooms / people")


def test_what_is_missing_and_what_is_too_large() -> None:
    joined = Arithmetic(np.array([0, 0, 0, 0]), np.array([1, 1, 1, 1]), np.arange(len(OPERATIONS)))
    rows = np.array([[6, 3, 0], [6, 0, 0], [3e38, 3e38, 0], [np.nan, 1, 0], [np.inf, np.inf, 0]], dtype=np.float32)
    made = joined.apply(rows)
    largest = np.finfo(np.float32).max
    np.testing.assert_array_equal(made[:, :3], rows)
    np.testing.assert_array_equal(made[0, 3:], [9, 3, 18, 2])
    np.testing.assert_array_equal(made[1, 3:], [6, 6, 0, np.nan])
    np.testing.assert_array_equal(made[2, 3:], [largest, 0, largest, 1])
    assert np.isnan(made[3, 3:]).all()
    np.testing.assert_array_equal(made[4, 3:], [largest, np.nan, largest, np.nan])


def test_nothing_is_made_of_one_number_of_categories_or_of_parts_of_a_date() -> None:
    data = crowded(Task.REGRESSION)
    kinds = (Feature("people", "people"), Feature("rooms", "rooms", 8), Feature("day:month", "day"))
    assert choose_arithmetic(fit_of(data, kinds), 4) is None


def test_rows_that_are_validated_are_not_looked_at() -> None:
    data = crowded(Task.REGRESSION)
    train, valid = data.folds[0]
    target = data.target.copy()
    target[valid] = np.random.default_rng(5).normal(size=len(valid))
    changed = TrainingData(data.matrix, FEATURES, target, None, data.folds, data.task, 0)
    work = unit("extra_trees", data, 4)
    same = [digest_of_state(learn(table, (train, valid), work)[0].to_state()) for table in (data, changed)]
    assert same[0] == same[1]


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("name", [family.name for family in FAMILIES])
@settings(max_examples=15, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=20))
def test_a_row_alone_gets_the_bits_it_gets_among_others(name: str, task: Task, rows: list[tuple[float, ...]]) -> None:
    _, learner = learned(name, task)
    matrix = np.array(rows, dtype=np.float32)
    batch = learner.predict(matrix)
    assert np.isfinite(batch).all()
    np.testing.assert_array_equal(bits(np.stack([learner.predict_row(vector) for vector in matrix])), bits(batch))
    single = Blend([learner], [1.0], batch.shape[1])
    alone = np.stack([single.predict_row(vector) for vector in matrix])
    np.testing.assert_array_equal(bits(alone), bits(single.predict(matrix)))
    several = [learner, learned("lightgbm", task)[1], learned("extra_trees", task)[1]]
    at_once = together(several)
    for i, vector in enumerate(matrix):
        each = [one.predict(matrix)[i] for one in several]
        assert sorted(bits(np.stack(each)).tolist()) == sorted(bits(at_once(vector)).tolist())


@pytest.mark.parametrize("task", Task)
def test_a_learner_survives_the_archive_and_is_made_again(task: Task, tmp_path: Path) -> None:
    data, learner = learned("lightgbm", task)
    again = restore(archive.read(archive.write(tmp_path / "learner", learner.to_state())))
    np.testing.assert_array_equal(bits(again.predict(data.matrix)), bits(learner.predict(data.matrix)))
    assert again.row_us == learner.row_us
    twice, _ = learn(data, data.folds[0], unit("lightgbm", data, 4))
    assert digest_of_state(twice.to_state()) == digest_of_state(learner.to_state())


def test_it_learns_more_where_a_ratio_counts() -> None:
    data = crowded(Task.REGRESSION)
    valid = data.folds[0][1]

    def error(most: int) -> float:
        learner, _ = learn(data, data.folds[0], unit("lightgbm", data, most, rounds=None))
        return float(np.sqrt(np.mean((learner.predict(data.matrix[valid])[:, 0] - data.target[valid]) ** 2)))

    assert error(4) < 0.8 * error(0)


@pytest.mark.parametrize("classes", [2, 40])
def test_few_rows_many_classes_and_all_rows(classes: int) -> None:
    draw = np.random.default_rng(0)
    rows = 12 if classes == 2 else 300
    matrix = draw.normal(size=(rows, 3)).astype(np.float32)
    matrix[:, 2] = np.nan
    task = Task.BINARY if classes == 2 else Task.MULTICLASS
    data = TrainingData(matrix, FEATURES, np.arange(rows) % classes, None, folds_of(rows, 2), task, classes)
    for fold in (0, ALL_ROWS):
        result = run_unit(data, unit("lightgbm", data, 8, fold=fold))
        assert np.isfinite(result.scores).all()


def test_where_nothing_is_joined_the_learner_is_plain() -> None:
    data = crowded(Task.REGRESSION)
    learner, _ = learn(data, data.folds[0], unit("lightgbm", data, 0))
    assert not isinstance(getattr(learner, "_learner", learner), WithArithmetic)
