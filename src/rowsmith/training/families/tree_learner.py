"""What the families of trees share: how categories reach a tree, and the learner that holds the trees."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from rowsmith.blend import RowAnswers
from rowsmith.state import State
from rowsmith.training.data import Shape
from rowsmith.training.families import price
from rowsmith.training.families.base import Fit, Part
from rowsmith.training.families.evaluator import Evaluator, RowCall
from rowsmith.training.families.inputs import JoinedInputs
from rowsmith.training.families.links import sigmoid, softmax, two_classes
from rowsmith.training.families.trees import TreeText, pieces
from rowsmith.transformation.target_encoding import TargetEncoding
from rowsmith.types import Array, JsonObject, Matrix, Rows, Scores2D, Task, Vector

KIND = "trees"
TREES_AT_ONCE = 64
MANY_ROWS = 500
LARGEST = np.float32(1e37)


@dataclass(frozen=True)
class Prepared:
    """The parts of a fit as a library of trees gets them.

    Categories of few levels stay what they are (`native` columns); those of more keep their code, which is
    ordered by frequency, and get target encoding beside it.
    """

    train: Part
    validation: Part | None
    native: tuple[int, ...]
    encoding: TargetEncoding | None


def prepare(fit: Fit, native_levels: int) -> Prepared:
    """Categories of at most `native_levels` levels stay native."""
    native = tuple(i for i, feature in enumerate(fit.features) if 0 < feature.levels <= native_levels)
    if not any(feature.levels > native_levels for feature in fit.features):
        return Prepared(fit.train, fit.validation, native, None)
    train, validation = fit.train, fit.validation
    encoding, matrix = TargetEncoding.fit(
        train.matrix,
        fit.features,
        train.target,
        fit.classes,
        train.weights,
        fit.seed,
        min_levels=native_levels,
        structure=train.structure,
    )
    train = replace(train, matrix=matrix)
    if validation is not None:
        validation = replace(validation, matrix=encoding.apply(validation.matrix))
    return Prepared(train, validation, native, encoding)


def clipped(matrix: Matrix) -> Matrix:
    """Infinities made finite, with room for the sum of two: not every library takes them. They split alike."""
    return np.clip(matrix, -LARGEST, LARGEST)


class TreeLearner:
    """Trees over the encoded matrix; answers probabilities (rows, classes) or numbers (rows, 1).

    `unit` is what the leaves are counted in (see `TreeText`). Models from before have none: the library sums up their
    leaves in the order of the trees, and makes the answers.
    """

    family: ClassVar[str] = "trees"

    def __init__(
        self, text: str, shape: Shape, encoding: TargetEncoding | None = None, unit: float | None = None
    ) -> None:
        self._binary = shape.task.is_classification and shape.classes == 2
        self._classes = shape.classes
        self._encoding = encoding
        self._outputs = shape.classes if shape.task.is_classification and not self._binary else 1
        self._text = text
        self._unit = unit

    @classmethod
    def of(cls, trees: TreeText, shape: Shape, encoding: TargetEncoding | None) -> TreeLearner:
        return cls(trees.text, shape, encoding, trees.unit)

    @cached_property
    def _whole(self) -> Evaluator:
        """Made when it is first asked: a search weighs many learners that are never asked again."""
        return Evaluator(self._text, outputs=self._outputs)

    @cached_property
    def _pieces(self) -> list[Evaluator]:
        """The trees in groups that the nearer caches hold, for many rows: up to twice as fast as the whole."""
        rounds = max(TREES_AT_ONCE // self._outputs, 1)
        texts = pieces(self._text, rounds)
        return [self._whole] if len(texts) == 1 else [Evaluator(text, outputs=self._outputs) for text in texts]

    def predict(self, matrix: Matrix) -> Scores2D:
        matrix = self._encoding.apply(matrix) if self._encoding else matrix
        if self._unit is None or len(matrix) < MANY_ROWS:
            return self._answers(self._whole.predict(matrix), self._unit)
        total = np.zeros((len(matrix), self._outputs))
        for piece in self._pieces:
            total += piece.predict(matrix)
        return self._answers(total, self._unit)

    def predict_row(self, vector: Matrix) -> Vector:
        sums = self._whole.predict_row(self._encoding.apply_row(vector) if self._encoding else vector)
        return np.asarray(self._answers(sums[None, :], self._unit)[0])

    def _answers(self, sums: Scores2D, unit: float | Array | None) -> Scores2D:
        """Shape (rows, outputs); `unit` is one, or one for each row."""
        if unit is None:
            return two_classes(sums[:, 0]) if self._binary else sums
        sums = sums * unit
        if self._binary:
            return two_classes(sigmoid(sums[:, 0]))
        return softmax(sums) if self._outputs > 1 else sums

    @property
    def kind_together(self) -> str:
        return KIND if self._unit is not None else f"{KIND}, answered by the library"

    @classmethod
    def together(cls, learners: Sequence[TreeLearner]) -> RowAnswers:
        return _Together(learners)

    @cached_property
    def row_us(self) -> float:
        return price.LEARNER_US + price.of_text(self._text) + price.of_encoding(self._encoding)

    def to_state(self) -> State:
        task = Task.REGRESSION if self._classes == 0 else Task.BINARY if self._binary else Task.MULTICLASS
        data: JsonObject = {"task": task.value, "classes": self._classes}
        if self._unit is not None:
            data["unit"] = self._unit
        children = {"encoding": self._encoding.to_state()} if self._encoding else {}
        return State(KIND, data, blobs={"trees": self._text.encode()}, children=children)


class _Together:
    """Several learners of the same task and one row: the inputs are made once, and so are the answers."""

    def __init__(self, learners: Sequence[TreeLearner]) -> None:
        self._learners = learners
        units = [learner._unit for learner in learners]
        self._units = None if None in units else np.array(units, dtype=np.float64)[:, None]
        self._inputs = JoinedInputs([learner._encoding for learner in learners])
        self._local = threading.local()

    def __call__(self, vector: Matrix) -> Array:
        work: _Work | None = getattr(self._local, "work", None)
        if work is None:
            work = self._local.work = _Work(self._learners, self._inputs, len(vector))
        self._inputs.of(vector).take(work.places, out=work.values, mode="clip")
        for call in work.calls:
            call()
        return self._learners[0]._answers(work.sums.copy(), self._units)


class _Work:
    """What a thread keeps: the inputs of all learners one after another, and a call for each, with its sums."""

    def __init__(self, learners: Sequence[TreeLearner], inputs: JoinedInputs, features: int) -> None:
        places = [inputs.places(i, features) for i in range(len(learners))]
        self.places: Rows = np.concatenate(places)
        self.values: Matrix = np.zeros(len(self.places), dtype=np.float32)
        self.sums = np.zeros((len(learners), learners[0]._outputs))
        parts = np.split(self.values, np.cumsum([len(place) for place in places])[:-1])
        self.calls = [
            RowCall(learner._whole, part, sums) for learner, part, sums in zip(learners, parts, self.sums, strict=True)
        ]


def restorer(state: State, parts: Mapping[str, Any]) -> TreeLearner:
    data = state.data
    shape = Shape(0, 0, data["classes"], Task(data["task"]))
    return TreeLearner(state.blobs["trees"].decode(), shape, parts.get("encoding"), data.get("unit"))


RESTORERS = {KIND: restorer}
