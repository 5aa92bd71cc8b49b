"""The contract of an ensemble: a row alone gets the bits it gets among others, whatever its members are."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.blend import ROWS_OF_A_PART, Blend
from rowsmith.model import Learner
from rowsmith.training import FAMILIES
from rowsmith.training.data import TrainingData
from rowsmith.training.families.adapters import Constant
from rowsmith.training.restore import restore
from rowsmith.training.unit import Unit, learn
from rowsmith.types import Array, Task
from tests.contracts.test_families import bits, first_params, row
from tests.training.tables import make_table

TASKS = tuple(Task)


@lru_cache
def members(task: Task) -> tuple[TrainingData, tuple[Learner, ...]]:
    """Of each family two folds, one of another size and, for numbers, one of their logarithm; and a constant."""
    data = make_table(task, rows=300)
    if task is Task.REGRESSION:
        data = replace(data, target=data.target - data.target.min())
    learners: list[Learner] = []
    for family in FAMILIES:
        params = first_params(family, data)
        for fold, rounds, more in ((0, 12, {}), (1, 12, {}), (2, 5, {"log_target": True})):
            more = more if task is Task.REGRESSION else {}
            unit = Unit(0, family.name, {**params, **more}, fold, seed=fold, rounds=rounds)
            learners.append(learn(data, data.folds[fold], unit)[0])
    learners.append(Constant.of(data.target, None, data.classes))
    return data, tuple(learners)


def blend_of(task: Task, shares: list[float] | None = None) -> tuple[TrainingData, Blend]:
    data, learners = members(task)
    shares = shares or [1 / len(learners)] * len(learners)
    return data, Blend(learners[: len(shares)], shares, data.outputs)


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(row, min_size=1, max_size=12),
    shares=st.lists(st.floats(0.01, 1), min_size=1, max_size=16),
)
def test_a_row_alone_gets_the_bits_it_gets_among_others(
    task: Task, rows: list[tuple[float, ...]], shares: list[float]
) -> None:
    _, blend = blend_of(task, shares)
    matrix = np.array(rows, dtype=np.float32)
    batch = blend.predict(matrix)
    np.testing.assert_array_equal(bits(np.stack([blend.predict_row(vector) for vector in matrix])), bits(batch))
    np.testing.assert_array_equal(bits(blend.predict(matrix[::-1])[::-1]), bits(batch))


@pytest.mark.parametrize("task", TASKS)
def test_it_is_the_weighted_sum(task: Task) -> None:
    data, learners = members(task)
    shares = np.random.default_rng(0).dirichlet(np.ones(len(learners)))
    blend = Blend(learners, shares.tolist(), data.outputs)
    expected = sum(share * learner.predict(data.matrix) for share, learner in zip(shares, learners, strict=True))
    np.testing.assert_allclose(blend.predict(data.matrix), np.asarray(expected), rtol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_parts_and_cores_do_not_matter(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    data, blend = blend_of(task)
    matrix = np.tile(data.matrix, (1 + 2 * ROWS_OF_A_PART // len(data.matrix), 1))
    many = blend.predict(matrix)
    monkeypatch.setattr("rowsmith.blend.cores_here", lambda: 1)
    np.testing.assert_array_equal(bits(blend.predict(matrix)), bits(many))
    monkeypatch.setattr("rowsmith.blend.cores_here", lambda: 5)
    np.testing.assert_array_equal(bits(blend.predict(matrix)), bits(many))
    np.testing.assert_array_equal(bits(many[: len(data.matrix)]), bits(blend.predict(data.matrix)))
    assert blend.predict(matrix[:0]).shape == (0, data.outputs)


@pytest.mark.parametrize("task", TASKS)
def test_threads_answer_their_own_rows(task: Task) -> None:
    """Threads of a server ask at once, and the first calls make what is made once."""
    data, learners = members(task)
    again = [restore(learner.to_state()) for learner in learners]
    blend = Blend(again, [1 / len(again)] * len(again), data.outputs)
    expected = blend_of(task)[1].predict(data.matrix)
    start = threading.Barrier(4)

    def answers(_: int) -> Array:
        start.wait()
        return np.stack([blend.predict_row(vector) for vector in data.matrix[:100]])

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(answers, range(4)):
            np.testing.assert_array_equal(bits(found), bits(expected[:100]))


def test_an_ensemble_without_members_answers_nought() -> None:
    blend = Blend([], [], 2)
    assert blend.predict_row(np.zeros(3, dtype=np.float32)).tolist() == [0.0, 0.0]
    assert blend.predict(np.zeros((2, 3), dtype=np.float32)).tolist() == [[0.0, 0.0]] * 2
