"""Networks that answer with the same bits however many rows are asked at once, on any BLAS.

A matrix product adds up in an order that depends on the library, the machine and the number of rows, and a sum of
rounded numbers depends on its order. Here nothing is rounded: weights and signals are whole multiples of powers of
two, with so few digits that every product and every partial sum fits into the 53 bits of a double. For 256 inputs
that leaves 22 bits to each factor, about what float32 has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rowsmith.state import State
from rowsmith.training.families.links import sigmoid, softmax, two_classes
from rowsmith.training.families.neural_network import ACTIVATIONS, Network
from rowsmith.transformation.dense import SOFT_LIMIT, DenseView
from rowsmith.transformation.dense_rows import multiply
from rowsmith.types import Array, Matrix, Rows, Scores2D, Task, Vector

NAME = "neural"
KIND = "neural"
CHUNK_CELLS = 1 << 17
DOUBLE_BITS = 53
HEADROOM = 4.0
"""Signals are cut at this many times the largest one among the training rows, at least."""
VIEW_US, COSINES_US, COSINE_US, LAYER_US, WEIGHT_US = 15.0, 6.0, 0.016, 9.0, 2e-4
"""Measured on one core: the view and the link, the calls that make cosines, each cosine, each layer with its bend, each
weight."""


def bits_for(inputs: int) -> int:
    """Digits of a factor, so that a sum of so many products is exact."""
    return (DOUBLE_BITS - 1 - math.ceil(math.log2(max(inputs, 2)))) // 2


@dataclass(frozen=True, eq=False)
class Layer:
    """Sums are `rint(signal * unit) @ weight + bias`; the product is exact. Shapes as in `Network`; float32 weights,
    which have more digits than they need, float64 bias.

    `limit` bounds the whole numbers that `rint` makes.
    """

    weight: Array
    bias: Array
    unit: float
    limit: float

    @classmethod
    def of(cls, weight: Array, bias: Array, largest: float) -> Layer:
        """From weights of any precision, and the largest signal to expect."""
        bits = bits_for(weight.shape[1])
        reach = math.ceil(math.log2(max(largest, 2.0**-20)))
        most = np.abs(weight).max(axis=(1,), keepdims=True)
        exponent = np.ceil(np.log2(np.where(most > 0, most, 1.0)))
        digits = np.clip(np.rint(np.ldexp(weight, (bits - exponent).astype(int))), -(2.0**bits), 2.0**bits)
        unit = 2.0 ** (bits - reach)
        whole = np.ldexp(digits, (exponent - bits).astype(int)) / unit
        # A sum of nothing but zeros may be -0.0; with 0.0 added, and never -0.0, it is 0.0 for everybody.
        return cls(whole.astype(np.float32), bias.astype(np.float64) + 0.0, unit, 2.0**bits)

    def apply(self, signal: Array) -> Array:
        members, rows = len(self.weight), signal.shape[1]
        sums = np.empty((members, rows, self.weight.shape[2]))
        multiply(np.ascontiguousarray(signal), self.weight, self.bias, sums, self.unit, self.limit, members, rows)
        return sums


class NeuralLearner:
    """Answers the mean of the members' answers. `embedded` are the columns of the view that are seen through cosines
    too: the first layer's inputs are the view, then cos(value * frequency + phase), column by column."""

    family: ClassVar[str] = NAME

    def __init__(
        self,
        view: DenseView,
        layers: list[Layer],
        embedded: Rows,
        frequency: Array,
        phase: Array,
        *,
        activation: str,
        task: Task,
        classes: int,
        bound: float,
    ) -> None:
        self._view = view
        self._layers = layers
        self._embedded = embedded
        self._frequency = frequency
        self._phase = phase
        members, columns, each = frequency.shape
        self._repeated = np.repeat(embedded, each)
        self._frequencies = np.ascontiguousarray(frequency).reshape(members, 1, columns * each)
        self._phases = np.ascontiguousarray(phase).reshape(members, 1, columns * each)
        self._activation = activation
        self._act = ACTIVATIONS[activation][0]
        self._task = task
        self._classes = classes
        self._bound = bound
        self._cells = max(layer.weight.shape[0] * max(layer.weight.shape[1:]) for layer in layers)

    @classmethod
    def of(
        cls, network: Network, view: DenseView, rows: Array, *, task: Task, classes: int, bound: float
    ) -> NeuralLearner:
        """From a network that has learned; `rows` (float32, of the view) show how large its signals become."""
        plan, values = network.plan, {name: value.astype(np.float64) for name, value in network.values.items()}
        weight, bias = _first_layer(network, values)
        columns = len(plan.embedded)
        frequency = values["frequency"][:, :, 0] if columns else np.zeros((plan.members, 0, 0))
        phase = values["phase"][:, :, 0] if columns else np.zeros((plan.members, 0, 0))
        learner = cls(
            view,
            [Layer.of(weight, bias, SOFT_LIMIT)],
            plan.embedded,
            frequency,
            phase,
            activation=plan.activation,
            task=task,
            classes=classes,
            bound=bound,
        )
        signal = learner._layers[0].apply(learner._inputs(rows.astype(np.float64)))
        for i in range(1, network.layers):
            signal = learner._act(signal)[0]
            largest = HEADROOM * float(np.abs(signal).max())
            learner._layers.append(Layer.of(values[f"weight-{i}"], values[f"bias-{i}"], largest))
            signal = learner._layers[i].apply(signal)
        return cls.from_parts(learner._arrays(), learner._data(), view)

    @property
    def row_us(self) -> float:
        """Microseconds that one row takes, by and large."""
        weights = sum(layer.weight.size for layer in self._layers)
        cosines = COSINES_US + COSINE_US * self._frequency.size if len(self._embedded) else 0.0
        return VIEW_US + cosines + LAYER_US * len(self._layers) + WEIGHT_US * weights

    def predict(self, matrix: Matrix) -> Scores2D:
        with np.errstate(all="ignore"):  # infinite inputs are the view's business, which makes them finite
            step = max(CHUNK_CELLS // self._cells, 1)
            parts = [self._answer(matrix[i : i + step]) for i in range(0, len(matrix), step)]
        return np.concatenate(parts) if parts else np.zeros((0, max(self._classes, 1)))

    def predict_row(self, vector: Matrix) -> Vector:
        with np.errstate(all="ignore"):
            return np.asarray(self._answer(vector[None, :])[0])

    def _inputs(self, dense: Array) -> Array:
        """Shape (rows, width) to (members, rows, inputs of the first layer), or (1, rows, ...) without cosines."""
        if not len(self._embedded):
            return dense[None]
        angles = dense[:, self._repeated] * self._frequencies
        angles += self._phases
        np.cos(angles, out=angles)
        width = dense.shape[1]
        inputs = np.empty((len(angles), len(dense), width + angles.shape[2]))
        inputs[:, :, :width] = dense
        inputs[:, :, width:] = angles
        return inputs

    def _answer(self, matrix: Matrix) -> Scores2D:
        signal = self._inputs(self._view.apply(matrix))
        for i, layer in enumerate(self._layers):
            signal = layer.apply(self._act(signal)[0] if i else signal)
        if self._task is Task.REGRESSION:
            answers = np.clip(signal, -self._bound, self._bound)
        elif signal.shape[2] == 1:
            answers = sigmoid(signal)
        else:
            answers = np.stack([softmax(sums) for sums in signal])
        mean = np.add.accumulate(answers, axis=0)[-1] / len(answers)
        return two_classes(mean[:, 0]) if self._task.is_classification and mean.shape[1] == 1 else mean

    def _arrays(self) -> dict[str, Array]:
        arrays: dict[str, Array] = {
            "embedded": self._embedded,
            "frequency": self._frequency.astype(np.float32),
            "phase": self._phase.astype(np.float32),
        }
        for i, layer in enumerate(self._layers):
            arrays[f"weight-{i}"] = layer.weight
            arrays[f"bias-{i}"] = layer.bias.astype(np.float32)
        return arrays

    def _data(self) -> dict[str, Any]:
        return {
            "task": self._task.value,
            "classes": self._classes,
            "activation": self._activation,
            "bound": self._bound,
            "units": [layer.unit for layer in self._layers],
        }

    def to_state(self) -> State:
        return State(KIND, self._data(), arrays=self._arrays(), children={"view": self._view.to_state()})

    @classmethod
    def from_parts(cls, arrays: Mapping[str, Array], data: Mapping[str, Any], view: DenseView) -> NeuralLearner:
        layers = []
        for i, unit in enumerate(data["units"]):
            weight = np.ascontiguousarray(arrays[f"weight-{i}"], dtype=np.float32)
            bias = np.ascontiguousarray(arrays[f"bias-{i}"], dtype=np.float64)
            layers.append(Layer(weight, bias, unit, 2.0 ** bits_for(weight.shape[1])))
        return cls(
            view,
            layers,
            arrays["embedded"],
            arrays["frequency"].astype(np.float64),
            arrays["phase"].astype(np.float64),
            activation=data["activation"],
            task=Task(data["task"]),
            classes=data["classes"],
            bound=data["bound"],
        )


def _first_layer(network: Network, values: Mapping[str, Array]) -> tuple[Array, Array]:
    """Weights (members, inputs, units) that take in the factors of the inputs and the maps behind the cosines."""
    plan = network.plan
    weight = values["scale"].swapaxes(1, 2) * values["weight-0"]
    if not len(plan.embedded):
        return weight, values["bias-0"]
    behind = weight[:, plan.inputs :].reshape(plan.members, len(plan.embedded), plan.width, -1)
    through = (values["mix"] @ behind).reshape(plan.members, len(plan.embedded) * plan.frequencies, -1)
    return np.concatenate([weight[:, : plan.inputs], through], axis=1), values["bias-0"]


def restorer(state: State, parts: Mapping[str, Any]) -> NeuralLearner:
    return NeuralLearner.from_parts(state.arrays, state.data, parts["view"])
