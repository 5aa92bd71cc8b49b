"""The contract of a model family. Runs over `FAMILIES`, so a new one is tested before it has a test of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.model import Learner
from rowsmith.storage import archive
from rowsmith.training import FAMILIES, RESTORERS
from rowsmith.training.data import TrainingData
from rowsmith.training.families.base import Choice, Family, Params, Real, Whole
from rowsmith.training.restore import restore
from rowsmith.training.unit import ALL_ROWS, Unit, digest_of_state, learn, run_unit
from rowsmith.types import Array, Task
from tests.training.tables import folds_of, make_table

NAMES = [family.name for family in FAMILIES]
BY_NAME = {family.name: family for family in FAMILIES}
CASES = [(name, task) for name in NAMES for task in Task]
FEW_ROUNDS = 12


def first_params(family: Family, data: TrainingData) -> Params:
    return next(iter(family.portfolio(data.shape).values()))


@lru_cache
def fitted(name: str, task: Task, rounds: int | None = FEW_ROUNDS) -> tuple[TrainingData, Learner, int]:
    data = make_table(task, rows=300)
    unit = Unit(0, name, first_params(BY_NAME[name], data), 0, seed=7, rounds=rounds)
    learner, used = learn(data, data.folds[0], unit)
    return data, learner, used


def bits(scores: Array) -> Array:
    return np.ascontiguousarray(scores).view(np.int64)


hostile = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e-45, 3.4e38, -3.4e38, float("nan"), float("inf"), float("-inf")]),
)
codes = st.one_of(st.integers(0, 4).map(float), st.just(float("nan")))
many_codes = st.one_of(st.integers(0, 59).map(float), st.just(float("nan")))
row = st.tuples(hostile, hostile, hostile, codes, many_codes)


@pytest.mark.parametrize(("name", "task"), CASES)
@settings(max_examples=15, deadline=None)
@given(rows=st.lists(row, min_size=1, max_size=40))
def test_a_row_alone_gets_the_bits_it_gets_among_others(name: str, task: Task, rows: list[tuple[float, ...]]) -> None:
    data, learner, _ = fitted(name, task)
    matrix = np.array(rows, dtype=np.float32)
    batch = learner.predict(matrix)
    assert batch.shape == (len(rows), data.outputs)
    assert batch.dtype == np.float64
    assert np.isfinite(batch).all()
    np.testing.assert_array_equal(bits(np.stack([learner.predict_row(vector) for vector in matrix])), bits(batch))
    np.testing.assert_array_equal(bits(learner.predict(matrix[::-1])[::-1]), bits(batch))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_many_rows_are_answered_like_few(name: str, task: Task) -> None:
    data, learner, _ = fitted(name, task)
    matrix = np.tile(data.matrix, (20, 1))
    np.testing.assert_array_equal(bits(learner.predict(matrix)[: len(data.matrix)]), bits(learner.predict(data.matrix)))
    assert learner.predict(matrix[:0]).shape == (0, data.outputs)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_learner_survives_the_archive(name: str, task: Task, tmp_path: Path) -> None:
    data, learner, _ = fitted(name, task)
    state = learner.to_state()
    again = restore(archive.read(archive.write(tmp_path / "learner", state)))
    assert state.kind in RESTORERS
    np.testing.assert_array_equal(bits(again.predict(data.matrix)), bits(learner.predict(data.matrix)))
    assert digest_of_state(again.to_state()) == digest_of_state(state)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_row_has_a_price_that_grows_with_the_learner(name: str, task: Task, tmp_path: Path) -> None:
    """And that the learner keeps in the archive, so that a replay finds the same."""
    _, learner, _ = fitted(name, task)
    _, larger, _ = fitted(name, task, 10 * FEW_ROUNDS)
    again = restore(archive.read(archive.write(tmp_path / "learner", learner.to_state())))
    assert again.row_us == learner.row_us
    # A longer fit of a linear model is no larger; no learner of so few rounds takes long.
    assert 0 < learner.row_us <= larger.row_us
    assert learner.row_us < 100


@pytest.mark.parametrize(("name", "task"), CASES)
def test_the_rounds_it_used_give_the_same_bytes_again(name: str, task: Task) -> None:
    _, learner, used = fitted(name, task, None)
    _, again, used_again = fitted(name, task, used)
    assert digest_of_state(again.to_state()) == digest_of_state(learner.to_state())
    assert used_again == used


@pytest.mark.parametrize(("name", "task"), CASES)
def test_it_learns(name: str, task: Task) -> None:
    data, learner, _ = fitted(name, task, None)
    valid = data.folds[0][1]
    truth, answer = data.target[valid], learner.predict(data.matrix[valid])
    if task is Task.REGRESSION:
        assert np.corrcoef(truth, answer[:, 0])[0, 1] > 0.5
        return
    np.testing.assert_allclose(answer.sum(axis=1), 1)
    assert (answer >= 0).all()
    assert (answer.argmax(axis=1) == truth).mean() > 1.2 / data.classes


@pytest.mark.parametrize("name", NAMES)
def test_it_stops_when_asked(name: str) -> None:
    data = make_table(Task.BINARY, rows=2000)
    params = {**first_params(BY_NAME[name], data)}
    if "rounds" in params:
        params |= {"rounds": 100_000, "learning_rate": 1e-4}
    learner, rounds = learn(data, data.folds[0], Unit(0, name, params, 0), deadline=time.monotonic())
    assert rounds <= FEW_ROUNDS
    assert np.isfinite(learner.predict(data.matrix)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", Task)
def test_weights_count(name: str, task: Task) -> None:
    """Rows of weight nought might as well hold anything."""
    data = make_table(task, rows=300, weights=True)
    assert data.weights is not None
    weights = data.weights.copy()
    weights[::2] = 0.0
    data = replace(data, weights=weights)
    unit = Unit(0, name, first_params(BY_NAME[name], data), 0, rounds=FEW_ROUNDS)
    learner, _ = learn(data, data.folds[0], unit)
    plain, _ = learn(replace(data, weights=None), data.folds[0], unit)
    assert not np.array_equal(learner.predict(data.matrix), plain.predict(data.matrix))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_described_wholly(name: str) -> None:
    family = BY_NAME[name]
    data = make_table(Task.BINARY)
    assert family.title and family.libraries
    for params in family.portfolio(data.shape).values():
        assert family.cost(data.shape, params) > 0
        assert family.memory(data.shape, params) > 0
    for choice in family.space(data.shape).values():
        match choice:
            case Real(low, high, _) | Whole(low, high, _):
                assert low < high
            case Choice(values):
                assert len(values) > 1
    assert set(first_params(family, data)) >= set(family.space(data.shape))


def _ugly() -> dict[str, TrainingData]:
    base = make_table(Task.BINARY, rows=60)
    many = make_table(Task.MULTICLASS, rows=240, classes=40)
    numbers = make_table(Task.REGRESSION, rows=60)
    gone = base.matrix.copy()
    gone[:, :2] = np.nan
    huge = numbers.matrix.copy()
    huge[::3, 0] = 3e38
    huge[1::3, 0] = -np.inf
    one_each = np.where(np.arange(60) == 5, 2, base.target)
    skewed = np.exp(np.random.default_rng(0).normal(0, 3, 60)) * 1e200
    constant_in_fold = np.where(np.isin(np.arange(60), numbers.folds[0][0]), 3.0, numbers.target)
    return {
        "ten rows": replace(make_table(Task.BINARY, rows=10), folds=folds_of(10, 2)),
        "one column": replace(base, matrix=base.matrix[:, :1], features=base.features[:1]),
        "no column": replace(base, matrix=base.matrix[:, :0], features=()),
        "columns without a value": replace(base, matrix=gone),
        "forty classes": many,
        "a class of one row": replace(base, target=one_each, classes=3, task=Task.MULTICLASS),
        "one class in the training part": replace(base, folds=((np.flatnonzero(base.target), np.arange(20)),) * 2),
        "infinite values": replace(numbers, matrix=huge),
        "targets of 1e200": replace(numbers, target=skewed),
        "a target constant in a fold": replace(numbers, target=constant_in_fold),
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", list(_ugly()))
def test_ugly_tables(name: str, case: str) -> None:
    data = _ugly()[case]
    portfolio = BY_NAME[name].portfolio(data.shape)
    for params in list(portfolio.values())[:1]:
        result = run_unit(data, Unit(0, name, params, 0))
        assert result.scores.shape == (len(data.folds[0][1]), data.outputs)
        assert np.isfinite(result.scores).all()
        whole = run_unit(data, Unit(0, name, params, ALL_ROWS, rounds=FEW_ROUNDS))
        assert whole.scores.shape == (0, data.outputs)


def test_every_kind_of_state_is_restored_by_one_class() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
