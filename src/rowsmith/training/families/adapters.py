"""Learners around learners: they give every family the easy world that `base.py` promises, and undo it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rowsmith.blend import RowAnswers, kind_of, together
from rowsmith.state import State
from rowsmith.training.families import price
from rowsmith.transformation.arithmetic import Arithmetic
from rowsmith.types import Array, Matrix, Scores2D, Vector

if TYPE_CHECKING:
    from rowsmith.model import Learner


class Constant:
    """The same answer for every row: the shares of the classes, or the mean."""

    family: ClassVar[str] = "constant"
    kind: ClassVar[str] = "constant"

    def __init__(self, answer: Vector) -> None:
        self._answer = np.asarray(answer, dtype=np.float64)

    @classmethod
    def of(cls, target: Array, weights: Vector | None, classes: int) -> Constant:
        """The best single answer: class shares (none of them nought, so that none is impossible), or the mean."""
        if weights is not None and weights.sum() <= 0:
            weights = None
        if not classes:
            return cls(np.array([np.average(target, weights=weights)]))
        counts = np.bincount(target, weights=weights, minlength=classes)
        shares = counts / counts.sum() + 1.0 / (len(target) * classes)
        return cls(shares / shares.sum())

    def predict(self, matrix: Matrix) -> Scores2D:
        return np.repeat(self._answer[None, :], len(matrix), axis=0)

    def predict_row(self, vector: Matrix) -> Vector:
        return self._answer.copy()

    @property
    def row_us(self) -> float:
        return price.LEARNER_US

    def to_state(self) -> State:
        return State(self.kind, arrays={"answer": self._answer})

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> Constant:
        return cls(state.arrays["answer"])


class SomeClasses:
    """A learner that saw only some of the classes; each of the others gets the small share `floor`."""

    family: ClassVar[str] = "some_classes"
    kind: ClassVar[str] = "some_classes"

    def __init__(self, learner: Learner, present: Array, classes: int, floor: float) -> None:
        self._learner = learner
        self._present = present
        self._classes = classes
        self._floor = floor
        self._share = 1.0 - floor * (classes - len(present))

    def predict(self, matrix: Matrix) -> Scores2D:
        scores = np.full((len(matrix), self._classes), self._floor)
        scores[:, self._present] = self._share * self._learner.predict(matrix)
        return scores

    def predict_row(self, vector: Matrix) -> Vector:
        scores = np.full(self._classes, self._floor)
        scores[self._present] = self._share * self._learner.predict_row(vector)
        return scores

    @property
    def row_us(self) -> float:
        return price.LEARNER_US + self._learner.row_us

    def to_state(self) -> State:
        return State(
            self.kind,
            {"classes": self._classes, "floor": self._floor},
            arrays={"present": self._present},
            children={"learner": self._learner.to_state()},
        )

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> SomeClasses:
        return cls(parts["learner"], state.arrays["present"], state.data["classes"], state.data["floor"])


class ScaledTarget:
    """A learner of standardised numbers. With `log` it learned log(1 + y); answers stay within what it saw there."""

    family: ClassVar[str] = "scaled_target"
    kind: ClassVar[str] = "scaled_target"

    def __init__(self, learner: Learner, offset: float, scale: float, log: bool, highest: float) -> None:
        self._learner = learner
        self._offset = offset
        self._scale = scale
        self._log = log
        self._highest = highest

    def predict(self, matrix: Matrix) -> Scores2D:
        return self._undo(self._learner.predict(matrix))

    def predict_row(self, vector: Matrix) -> Vector:
        return self._undo(self._learner.predict_row(vector))

    @property
    def row_us(self) -> float:
        return price.LEARNER_US + self._learner.row_us

    def _undo(self, scores: Array) -> Array:
        scores = self._offset + self._scale * scores
        return _without_logarithm(scores, self._highest) if self._log else scores

    @property
    def kind_together(self) -> str:
        return f"{self.kind}({'log ' if self._log else ''}{kind_of(self._learner)})"

    @classmethod
    def together(cls, learners: Sequence[ScaledTarget]) -> RowAnswers:
        inner = together([learner._learner for learner in learners])
        offset = np.array([[learner._offset] for learner in learners])
        scale = np.array([[learner._scale] for learner in learners])
        highest = np.array([[learner._highest] for learner in learners])
        if learners[0]._log:
            return lambda vector: _without_logarithm(offset + scale * inner(vector), highest)
        return lambda vector: np.asarray(offset + scale * inner(vector))

    def to_state(self) -> State:
        data = {"offset": self._offset, "scale": self._scale, "log": self._log, "highest": self._highest}
        return State(self.kind, data, children={"learner": self._learner.to_state()})

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> ScaledTarget:
        return cls(parts["learner"], **state.data)


class WithArithmetic:
    """A learner that looks at pairs of numbers joined by arithmetic, beside the numbers themselves."""

    family: ClassVar[str] = "with_arithmetic"
    kind: ClassVar[str] = "with_arithmetic"

    def __init__(self, learner: Learner, arithmetic: Arithmetic) -> None:
        self._learner = learner
        self._arithmetic = arithmetic

    def predict(self, matrix: Matrix) -> Scores2D:
        return self._learner.predict(self._arithmetic.apply(matrix))

    def predict_row(self, vector: Matrix) -> Vector:
        return self._learner.predict_row(self._arithmetic.apply(vector))

    @property
    def row_us(self) -> float:
        return price.ARITHMETIC_US + self._learner.row_us

    @classmethod
    def together(cls, learners: Sequence[WithArithmetic]) -> RowAnswers:
        """What they look at is calculated at once."""
        joined = Arithmetic.joined([learner._arithmetic for learner in learners])
        ends = np.cumsum([learner._arithmetic.width for learner in learners])
        parts = [
            (learner._learner.predict_row, end - learner._arithmetic.width, end)
            for learner, end in zip(learners, ends.tolist(), strict=True)
        ]

        def answers(vector: Matrix) -> Array:
            made = joined.made(vector)
            return np.stack([answer(np.concatenate([vector, made[start:end]])) for answer, start, end in parts])

        return answers

    def to_state(self) -> State:
        children = {"learner": self._learner.to_state(), "arithmetic": self._arithmetic.to_state()}
        return State(self.kind, children=children)

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> WithArithmetic:
        return cls(parts["learner"], parts["arithmetic"])


def _without_logarithm(scores: Array, highest: float | Array) -> Array:
    """The exponential turns a slightly wild logarithm into an absurd number; nothing was learned up there."""
    return np.asarray(np.expm1(np.minimum(np.maximum(scores, 0.0), highest)))


RESTORERS = {adapter.kind: adapter.from_state for adapter in (Constant, SomeClasses, ScaledTarget, WithArithmetic)}
