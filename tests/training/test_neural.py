"""The neural network: what it learns, and that its answers are exact sums."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rowsmith.training.data import Shape, TrainingData
from rowsmith.training.families import find_family
from rowsmith.training.families.neural import FAMILY
from rowsmith.training.families.neural_learner import DOUBLE_BITS, Layer, bits_for
from rowsmith.training.families.neural_network import ACTIVATIONS, Network, Plan
from rowsmith.training.restore import restore
from rowsmith.training.unit import Unit, digest_of_state, learn, run_unit
from rowsmith.types import Array, Feature, Task
from tests.training.tables import folds_of, make_table


def waves(rows: int = 1500) -> TrainingData:
    """Numbers that no sum of functions of one column explains."""
    rng = np.random.default_rng(3)
    matrix = rng.uniform(-2, 2, (rows, 3)).astype(np.float32)
    target = 10.0 + 5 * np.sin(2 * matrix[:, 0]) * matrix[:, 1].astype(np.float64) + 0.1 * rng.normal(size=rows)
    features = tuple(Feature(name, name) for name in "abc")
    return TrainingData(matrix, features, target, None, folds_of(rows), Task.REGRESSION, 0)


def params_of(data: TrainingData, **changes: Any) -> dict[str, Any]:
    return {**FAMILY.portfolio(data.shape)["middle"], **changes}


def error(data: TrainingData, unit: Unit) -> float:
    truth = data.target[data.folds[0][1]]
    return float(np.sqrt(np.mean((truth - run_unit(data, unit).scores[:, 0]) ** 2)))


def test_it_learns_what_a_linear_model_cannot() -> None:
    data = waves()
    linear = error(data, Unit(0, "linear", find_family("linear").portfolio(data.shape)["middle"], 0))
    assert error(data, Unit(0, "neural", params_of(data), 0)) < 0.3 * linear


def test_rows_of_weight_nought_might_as_well_not_be_there() -> None:
    """Half the rows say the opposite; the weights say which half."""
    data = waves()
    wrong = np.arange(len(data.target)) % 2 == 1
    target = np.where(wrong, 20.0 - data.target, data.target)
    weights = np.where(wrong, 0.0, 1.0)
    told = replace(data, target=target, weights=weights)
    learner, _ = learn(told, told.folds[0], Unit(0, "neural", params_of(data), 0))
    answers = learner.predict(data.matrix)[:, 0]
    assert np.corrcoef(answers[wrong], data.target[wrong])[0, 1] > 0.9


@pytest.mark.parametrize("task", Task)
def test_the_same_bytes_twice_and_after_the_rounds_it_used(task: Task) -> None:
    data = make_table(task)
    unit = Unit(0, "neural", params_of(data, epochs=8), 0, seed=3)
    first, second = run_unit(data, unit), run_unit(data, unit)
    again = run_unit(data, replace(unit, rounds=first.rounds))
    other = run_unit(data, replace(unit, seed=4))
    assert first.digest == second.digest
    assert digest_of_state(first.state) == digest_of_state(again.state)
    assert digest_of_state(first.state) != digest_of_state(other.state)


@pytest.mark.parametrize("width", [2, 31, 256, 1500])
def test_a_layer_adds_up_without_rounding(width: int) -> None:
    """Whatever the order of the inputs, and whatever rows stand beside a row, the bits are the same."""
    rng = np.random.default_rng(width)
    layer = Layer.of(rng.normal(size=(2, width, 40)), np.zeros((2, 1, 40)), largest=3.0)
    signal = rng.normal(size=(2, 70, width)) * 3
    signal[:, 1] = 1e300
    whole = layer.apply(signal)
    order = rng.permutation(width)
    shuffled = replace(layer, weight=np.ascontiguousarray(layer.weight[:, order]))
    np.testing.assert_array_equal(shuffled.apply(np.ascontiguousarray(signal[:, :, order])), whole)
    np.testing.assert_array_equal(np.concatenate([layer.apply(signal[:, i : i + 1]) for i in range(70)], axis=1), whole)
    np.testing.assert_array_equal(layer.apply(signal[:, 13:56]), whole[:, 13:56])
    assert 2 * bits_for(width) + np.log2(width) <= DOUBLE_BITS


def test_a_layer_is_as_precise_as_single_precision() -> None:
    rng = np.random.default_rng(0)
    weight, signal = rng.normal(size=(1, 256, 64)), rng.normal(size=(1, 100, 256))
    layer = Layer.of(weight, np.zeros((1, 1, 64)), largest=float(np.abs(signal).max()))
    np.testing.assert_allclose(layer.apply(signal), signal @ weight, atol=1e-4)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("members", [1, 2])
def test_slopes_are_those_of_differences(activation: str, members: int) -> None:
    """Backpropagation against the change of the loss by a small change of a parameter."""
    rng = np.random.default_rng(1)
    plan = Plan(4, (7, 6), 2, members, np.array([0, 2]), 5, 3, 0.7, activation)
    network = Network(plan, rng)
    rows = rng.normal(size=(20, 4)).astype(np.float32)
    wanted = rng.normal(size=(members, 20, 2)).astype(np.float32)
    network.begin(rows)

    def loss() -> float:
        return float(0.5 * ((network.answer(rows) - wanted) ** 2).sum())

    before: Array = network.flat.copy()
    network.learn(rows, lambda sums: sums - wanted, 0.0, 0.0, 0.0)
    np.testing.assert_array_equal(network.flat, before)
    for name, value in network.values.items():
        place = np.unravel_index(int(np.abs(network.slopes[name]).argmax()), value.shape)
        kept = float(value[place])
        value[place] = kept + 1e-2
        higher = loss()
        value[place] = kept - 1e-2
        lower = loss()
        value[place] = kept
        assert (higher - lower) / 2e-2 == pytest.approx(float(network.slopes[name][place]), rel=0.05, abs=0.05), name


def test_too_many_classes_or_columns_are_left_to_others() -> None:
    shape = Shape(1000, 10, 300, Task.MULTICLASS)
    assert not FAMILY.portfolio(shape)
    assert not FAMILY.portfolio(replace(shape, classes=3, columns=5000))


def test_it_says_what_a_row_costs() -> None:
    data = waves(300)
    learner, _ = learn(data, data.folds[0], Unit(0, "neural", params_of(data, epochs=2), 0))
    assert 20 < restore(learner.to_state().children["learner"]).row_us < 500
