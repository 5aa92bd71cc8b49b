"""A small multilayer perceptron that learns in NumPy: forward, backward and AdamW, in float32.

The recipe is RealMLP's (Holzmüller et al. 2024, arXiv:2407.04491): a learned factor for each input, periodic
embeddings of numbers with a linear map behind them ("PBLD", after Gorishniy et al. 2022, arXiv:2203.05556), the step
of a layer divided by the root of its inputs, biases that start where rows are, Adam with a short memory. Several
networks learn at once, as one product of matrices each layer (first axis of every array: the network).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowsmith.types import Rows

Floats = npt.NDArray[np.float32]

BETA_1, BETA_2, EPSILON = 0.9, 0.95, 1e-8
SCALE_STEP, BIAS_STEP, EMBEDDING_STEP = 6.0, 0.1, 0.3
"""Steps of these parameters, as multiples of the weights'."""
SIMPLEX = 5
"""Rows that are mixed to find where a unit bends."""
START_ROWS = 1024
LAST_LAYER = 0.1
"""Times the usual size: the first answers are near those that know nothing."""


@dataclass(frozen=True)
class Plan:
    """Sizes. `embedded` are the input columns that get `frequencies` cosines each, mapped to `width` numbers."""

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    members: int
    embedded: Rows
    frequencies: int
    width: int
    sigma: float
    activation: str

    @property
    def joined(self) -> int:
        """Inputs and embeddings."""
        return self.inputs + len(self.embedded) * self.width

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.joined, *self.hidden, self.outputs)

    def parameters(self) -> Iterator[tuple[str, tuple[int, ...], float, bool]]:
        """Name, shape, step (of the learning rate) and whether it decays. Every shape starts with the members."""
        k, columns = self.members, len(self.embedded)
        if columns:
            yield "frequency", (k, columns, 1, self.frequencies), EMBEDDING_STEP, False
            yield "phase", (k, columns, 1, self.frequencies), EMBEDDING_STEP, False
            yield "mix", (k, columns, self.frequencies, self.width), EMBEDDING_STEP, False
        yield "scale", (k, 1, self.joined), SCALE_STEP, False
        for i, (fan_in, fan_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            yield f"bias-{i}", (k, 1, fan_out), BIAS_STEP, False
            yield f"weight-{i}", (k, fan_in, fan_out), 1.0 / np.sqrt(fan_in), True


class Network:
    """Parameters, and what is needed to change them. `values[name]` and `slopes[name]` are views of flat arrays."""

    def __init__(self, plan: Plan, rng: np.random.Generator) -> None:
        self.plan = plan
        self._rng = rng
        self._parts = list(plan.parameters())
        sizes = [int(np.prod(shape)) for _, shape, _, _ in self._parts]
        stops = np.cumsum(sizes).tolist()
        self._slices = [slice(stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]
        self.flat: Floats = np.zeros(stops[-1], dtype=np.float32)
        self._slope, self._mean, self._square, self._room = (np.zeros_like(self.flat) for _ in range(4))
        self._steps = 0
        self.values = self._views(self.flat)
        self.slopes = self._views(self._slope)
        self._forward_function, self._backward_function = ACTIVATIONS[plan.activation]

    def _views(self, flat: Floats) -> dict[str, Floats]:
        parts = zip(self._parts, self._slices, strict=True)
        return {name: flat[part].reshape(shape) for (name, shape, _, _), part in parts}

    @property
    def layers(self) -> int:
        return len(self.plan.sizes) - 1

    def begin(self, rows: Floats) -> None:
        """Random weights; each unit's bias puts its bend among the rows (a random mix of five of them)."""
        rng, values = self._rng, self.values
        sample = rows[rng.permutation(len(rows))[:START_ROWS]]
        if len(self.plan.embedded):
            values["frequency"][:] = self.plan.sigma * rng.standard_normal(values["frequency"].shape)
            values["phase"][:] = rng.uniform(-np.pi, np.pi, values["phase"].shape)
            spread = 1 / np.sqrt(self.plan.frequencies)
            values["mix"][:] = rng.uniform(-spread, spread, values["mix"].shape)
        values["scale"][:] = 1
        signal, _ = self._joined(sample)
        signal = signal * values["scale"]
        for i in range(self.layers):
            weight, bias = values[f"weight-{i}"], values[f"bias-{i}"]
            weight[:] = rng.standard_normal(weight.shape) / np.sqrt(weight.shape[1])
            if i == self.layers - 1:
                weight *= LAST_LAYER
                break
            sums = signal @ weight
            shape = (len(weight), SIMPLEX, weight.shape[2])
            shares = rng.exponential(size=shape)
            picked = np.take_along_axis(sums, rng.integers(0, len(sample), shape), axis=1)
            bias[:] = -(picked * (shares / shares.sum(axis=1, keepdims=True))).sum(axis=1, keepdims=True)
            signal = self._forward_function(sums + bias)[0]

    def _joined(self, rows: Floats) -> tuple[Floats, Any]:
        """Rows (rows, inputs) with their embeddings: (members, rows, joined), and the angles."""
        plan, values = self.plan, self.values
        joined = np.empty((plan.members, len(rows), plan.joined), dtype=np.float32)
        joined[:, :, : plan.inputs] = rows
        if not len(plan.embedded):
            return joined, None
        numbers = np.ascontiguousarray(rows[:, plan.embedded].T)[None, :, :, None]
        angles = numbers * values["frequency"]
        angles += values["phase"]
        cosines = np.cos(angles)
        mixed = cosines @ values["mix"]
        joined[:, :, plan.inputs :] = mixed.swapaxes(1, 2).reshape(plan.members, len(rows), -1)
        return joined, (numbers, angles, cosines)

    def answer(self, rows: Floats) -> Floats:
        """Shape (rows, inputs) to sums (members, rows, outputs)."""
        signal, _ = self._joined(rows)
        signal *= self.values["scale"]
        for i in range(self.layers):
            signal = signal @ self.values[f"weight-{i}"]
            signal += self.values[f"bias-{i}"]
            if i < self.layers - 1:
                signal = self._forward_function(signal)[0]
        return signal

    def learn(self, rows: Floats, miss: Any, rate: float, decay: float, dropout: float) -> None:
        """One step. `miss` maps sums (members, rows, outputs) to the slope of the loss by them."""
        values, slopes = self.values, self.slopes
        joined, periodic = self._joined(rows)
        signal = joined * values["scale"]
        signals, kept = [signal], []
        for i in range(self.layers):
            sums = signal @ values[f"weight-{i}"]
            sums += values[f"bias-{i}"]
            if i == self.layers - 1:
                break
            signal, memory = self._forward_function(sums)
            mask = self._mask(signal.shape, dropout)
            if mask is not None:
                signal = signal * mask
            kept.append((memory, mask))
            signals.append(signal)
        slope = miss(sums)
        for i in reversed(range(self.layers)):
            np.matmul(signals[i].swapaxes(1, 2), slope, out=slopes[f"weight-{i}"])
            np.sum(slope, axis=1, keepdims=True, out=slopes[f"bias-{i}"])
            slope = slope @ values[f"weight-{i}"].swapaxes(1, 2)
            if i > 0:
                memory, mask = kept[i - 1]
                if mask is not None:
                    slope *= mask
                slope *= self._backward_function(memory)
        np.sum(slope * joined, axis=1, keepdims=True, out=slopes["scale"])
        if periodic is not None:
            self._learn_embedding(slope * values["scale"], *periodic)
        self._step(rate, decay)

    def _learn_embedding(self, slope: Floats, numbers: Floats, angles: Floats, cosines: Floats) -> None:
        plan, slopes = self.plan, self.slopes
        columns = slope[:, :, plan.inputs :].reshape(plan.members, slope.shape[1], -1, plan.width)
        inner = np.ascontiguousarray(columns.swapaxes(1, 2))
        np.matmul(cosines.swapaxes(2, 3), inner, out=slopes["mix"])
        by_angle = inner @ self.values["mix"].swapaxes(2, 3)
        by_angle *= np.sin(angles, out=angles)
        np.negative(by_angle.sum(axis=2, keepdims=True), out=slopes["phase"])
        np.matmul(-numbers.swapaxes(2, 3), by_angle, out=slopes["frequency"])

    def _mask(self, shape: tuple[int, ...], dropout: float) -> Floats | None:
        """Bytes are drawn: much quicker than floats, and a share in 256ths is near enough."""
        level = round(256 * dropout)
        if level == 0:
            return None
        drawn = np.frombuffer(self._rng.bytes(int(np.prod(shape))), dtype=np.uint8).reshape(shape)
        return np.asarray((drawn >= level) * np.float32(256 / (256 - level)), dtype=np.float32)

    def _step(self, rate: float, decay: float) -> None:
        """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), in place, one array of parameters after another."""
        self._steps += 1
        unbias = np.sqrt(1 - BETA_2**self._steps) / (1 - BETA_1**self._steps)
        for (_, _, factor, decays), part in zip(self._parts, self._slices, strict=True):
            slope, mean, square, room = (a[part] for a in (self._slope, self._mean, self._square, self._room))
            np.multiply(slope, np.float32(1 - BETA_1), out=room)
            mean *= np.float32(BETA_1)
            mean += room
            np.multiply(slope, slope, out=room)
            room *= np.float32(1 - BETA_2)
            square *= np.float32(BETA_2)
            square += room
            np.sqrt(square, out=room)
            room += np.float32(EPSILON)
            np.divide(mean, room, out=room)
            room *= np.float32(rate * factor * unbias)
            if decays:
                self.flat[part] *= np.float32(1 - rate * decay)
            self.flat[part] -= room


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def selu(sums: Any) -> tuple[Any, Any]:
    """Klambauer et al. 2017, arXiv:1706.02515. What to remember for the way back is the answer."""
    answer = np.minimum(sums, 0)
    np.exp(answer, out=answer)
    answer -= 1
    answer *= SELU_SCALE * SELU_ALPHA
    answer += np.maximum(sums, 0) * SELU_SCALE
    return answer, answer


def _selu_slope(answer: Any) -> Any:
    return np.where(answer > 0, np.float32(SELU_SCALE), answer + np.float32(SELU_SCALE * SELU_ALPHA))


MISH_LIMIT = 20.0


def mish(sums: Any) -> tuple[Any, Any]:
    """x tanh(log(1 + exp(x))) (Misra 2020, arXiv:1908.08681)."""
    power = np.exp(np.minimum(sums, MISH_LIMIT))
    bent = power * (power + 2)
    bent /= bent + 2
    return sums * bent, (sums, bent, power)


def _mish_slope(memory: Any) -> Any:
    sums, bent, power = memory
    power /= power + 1
    power *= sums
    power *= 1 - bent * bent
    power += bent
    return power


ACTIVATIONS: dict[str, Any] = {"selu": (selu, _selu_slope), "mish": (mish, _mish_slope)}
