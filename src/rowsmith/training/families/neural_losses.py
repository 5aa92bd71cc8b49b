"""What a network is asked to make small: cross entropy, or the squared or absolute error of a standardised number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from rowsmith.training.families.base import Fit, Part
from rowsmith.training.families.links import sigmoid, softmax
from rowsmith.training.families.neural_network import Floats, Network
from rowsmith.transformation.dense import DenseView
from rowsmith.types import Array, Rows

Slope: TypeAlias = Callable[[Floats], Floats]
TINY = 1e-12
CHUNK_ROWS = 512


def slope_of(fit: Fit, train: Part) -> Callable[[Rows], Slope]:
    """For some of the training rows: from sums (members, rows, outputs) to the slope of the mean loss by them."""
    target = train.target if fit.task.is_classification else train.target.astype(np.float32)
    weights = None if train.weights is None else train.weights.astype(np.float32)

    def of(part: Rows) -> Slope:
        answers = target[part]
        share: Any = np.float32(1 / len(part))
        if weights is not None:
            share = share * weights[part][:, None]

        def slope(sums: Floats) -> Floats:
            miss: Any
            if sums.shape[2] > 1:
                miss = np.exp(sums - sums.max(axis=2, keepdims=True))
                miss /= miss.sum(axis=2, keepdims=True)
                miss[:, np.arange(len(answers)), answers] -= 1
            elif fit.task.is_classification:
                miss = sigmoid(sums) - answers.astype(np.float32)[:, None]
            else:
                miss = sums - answers[:, None]
                if fit.absolute:
                    np.sign(miss, out=miss)
            miss *= share
            return np.asarray(miss)

        return slope

    return of


class Check:
    """The mean loss of the validation rows, answered by the mean of the members; numbers reach as far as `bound`."""

    def __init__(self, fit: Fit, view: DenseView, part: Part, bound: float) -> None:
        self._fit = fit
        self._bound = bound
        self._target = part.target
        self._weights = part.weights
        with np.errstate(all="ignore"):  # infinite inputs are the view's business, which makes them finite
            self._rows = view.apply(part.matrix).astype(np.float32)

    def loss(self, network: Network) -> float:
        starts = range(0, len(self._rows), CHUNK_ROWS)
        losses = [self._losses(network.answer(self._rows[i : i + CHUNK_ROWS]), self._target[i:]) for i in starts]
        weights = self._weights
        if weights is not None and weights.sum() <= 0:
            weights = None
        return float(np.average(np.concatenate(losses), weights=weights))

    def _losses(self, sums: Floats, target: Array) -> Array:
        """`target` is that of the rows, and of others behind them."""
        target = target[: sums.shape[1]]
        wide: Array = sums.astype(np.float64)
        if not self._fit.task.is_classification:
            miss = np.clip(wide[:, :, 0], -self._bound, self._bound).mean(axis=0) - target
            return np.asarray(np.abs(miss) if self._fit.absolute else miss**2)
        if wide.shape[2] > 1:
            shares = np.mean([softmax(member)[np.arange(len(target)), target] for member in wide], axis=0)
        else:
            event = sigmoid(wide[:, :, 0]).mean(axis=0)
            shares = np.where(target == 1, event, 1 - event)
        return np.asarray(-np.log(np.maximum(shares, TINY)))
