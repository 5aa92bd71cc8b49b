"""What is put on top of the ensemble: calibrated probabilities, and the width of prediction intervals.

A calibrator is kept only where it lowers the cross-validated log loss of the out-of-fold answers. Each one here
keeps the order of the probabilities of two classes (isotonic ties aside), so ranking metrics are not hurt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from rowsmith.model import Calibrator
from rowsmith.state import State
from rowsmith.training.families.links import sigmoid, softmax, two_classes
from rowsmith.training.objective import log_loss
from rowsmith.types import Array, Interval, Scores2D, Vector

TINY = 1e-12
PARTS = 5
LEAST_GAIN = 1e-4
MOST_CELLS = 200_000
LEAST_ROWS = 300
GOLDEN_STEPS = 16
"""Two numbers are fitted: a sample of the rows (cells: rows times classes) is enough."""
Fitter = Callable[[Scores2D, Array, "Vector | None"], Calibrator]


class Temperature:
    """Probabilities to the power 1/t, and normalised (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""

    kind: ClassVar[str] = "temperature"

    def __init__(self, inverse: float) -> None:
        self._inverse = inverse

    def apply(self, scores: Scores2D) -> Scores2D:
        return softmax(self._inverse * np.log(np.clip(scores, TINY, 1.0)))

    def to_state(self) -> State:
        return State(self.kind, {"inverse": self._inverse})

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> Temperature:
        return cls(state.data["inverse"])


class Platt:
    """A straight line through the log odds of the event (Platt 1999)."""

    kind: ClassVar[str] = "platt"

    def __init__(self, slope: float, offset: float) -> None:
        self._slope = slope
        self._offset = offset

    def apply(self, scores: Scores2D) -> Scores2D:
        return two_classes(sigmoid(self._slope * log_odds(scores) + self._offset))

    def to_state(self) -> State:
        return State(self.kind, {"slope": self._slope, "offset": self._offset})

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> Platt:
        return cls(state.data["slope"], state.data["offset"])


RESTORERS = {calibrator.kind: calibrator.from_state for calibrator in (Temperature, Platt)}


def log_odds(scores: Scores2D) -> Vector:
    """Of the event, shape (rows,), clipped to be finite."""
    event = np.clip(scores[:, 1], TINY, 1.0 - TINY)
    return np.asarray(np.log(event / (1.0 - event)))


def fit_calibrator(scores: Scores2D, truth: Array, weights: Vector | None, *, seed: int) -> Calibrator | None:
    """The calibrator that most lowers the cross-validated log loss, or None where none does so beyond chance."""
    rng = np.random.default_rng([seed, 2])
    most = max(MOST_CELLS // scores.shape[1], LEAST_ROWS)
    if len(truth) > most:
        some = np.sort(rng.choice(len(truth), most, replace=False))
        scores, truth, weights = scores[some], truth[some], _some(weights, some)
    if len(truth) < 10 * PARTS or len(np.unique(truth)) < 2:
        return None
    parts = rng.permutation(len(truth)) % PARTS
    best, chosen = 0.0, None
    for fitter in (_fit_temperature, _fit_platt) if scores.shape[1] == 2 else (_fit_temperature,):
        gains = np.array([_gain(fitter, scores, truth, weights, parts == part) for part in range(PARTS)])
        # One standard error: five parts that agree, and not one lucky part.
        sure = gains.mean() - gains.std(ddof=1) / np.sqrt(PARTS)
        if sure > LEAST_GAIN and gains.mean() > best:
            best, chosen = float(gains.mean()), fitter
    return chosen(scores, truth, weights) if chosen else None


def _gain(fitter: Fitter, scores: Scores2D, truth: Array, weights: Vector | None, outside: Array) -> float:
    """By how much a calibrator fitted on the other rows lowers the log loss of these."""
    fitted = fitter(scores[~outside], truth[~outside], _some(weights, ~outside))
    weights = _some(weights, outside)
    before = log_loss(truth[outside], scores[outside], weights)
    return before - log_loss(truth[outside], fitted.apply(scores[outside]), weights)


def interval_width(values: Vector, truth: Vector, share: float) -> Interval:
    """Offsets around a number that held `share` of the true values out of fold, the finite-sample step included.

    Split-conformal quantiles of the residuals, as many left out below as above (Lei et al. 2018,
    doi:10.1080/01621459.2017.1307116).
    """
    residuals = np.sort(truth - values)
    rows = len(residuals)
    tail = (1.0 - share) / 2.0
    low = max(int(np.floor((rows + 1) * tail)) - 1, 0)
    high = min(int(np.ceil((rows + 1) * (1.0 - tail))) - 1, rows - 1)
    return Interval(float(residuals[low]), float(residuals[high]))


def _some(weights: Vector | None, rows: Array) -> Vector | None:
    return None if weights is None else weights[rows]


def _fit_temperature(scores: Scores2D, truth: Array, weights: Vector | None) -> Temperature:
    """Golden-section search over the logarithm of the inverse temperature; the loss is convex in it."""
    golden = (np.sqrt(5.0) - 1.0) / 2.0

    logarithms = np.log(np.clip(scores, TINY, 1.0))

    def loss(exponent: float) -> float:
        return log_loss(truth, softmax(np.exp(exponent) * logarithms), weights)

    low, high = np.log(0.2), np.log(5.0)
    left, right = high - golden * (high - low), low + golden * (high - low)
    left_loss, right_loss = loss(left), loss(right)
    for _ in range(GOLDEN_STEPS):
        if left_loss < right_loss:
            high, right, right_loss = right, left, left_loss
            left = high - golden * (high - low)
            left_loss = loss(left)
        else:
            low, left, left_loss = left, right, right_loss
            right = low + golden * (high - low)
            right_loss = loss(right)
    return Temperature(float(np.exp((low + high) / 2.0)))


def _fit_platt(scores: Scores2D, truth: Array, weights: Vector | None) -> Platt:
    """Newton's method on the two parameters, with a little ridge towards leaving things as they are."""
    x = log_odds(scores)
    w = np.ones(len(x)) if weights is None else weights / weights.mean()
    slope, offset, ridge = 1.0, 0.0, 1e-3
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(slope * x + offset, -30.0, 30.0)))
        miss, curve = w * (p - truth), w * p * (1.0 - p) + 1e-12
        gradient = np.array([miss @ x + ridge * (slope - 1.0), miss.sum() + ridge * offset])
        mixed = curve @ x
        hessian = np.array([[curve @ (x * x) + ridge, mixed], [mixed, curve.sum() + ridge]])
        step = np.linalg.solve(hessian, gradient)
        slope, offset = slope - step[0], offset - step[1]
        if np.abs(step).max() < 1e-9:
            break
    return Platt(float(max(slope, 1e-3)), float(offset))
