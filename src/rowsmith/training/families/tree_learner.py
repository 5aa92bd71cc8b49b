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
from rowsmith.training.families.links import two_classes
from rowsmith.transformation.target_encoding import TargetEncoding
from rowsmith.types import Array, Matrix, Rows, Scores2D, Task, Vector

KIND = "trees"
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
        train.matrix, fit.features, train.target, fit.classes, train.weights, fit.seed, min_levels=native_levels
    )
    train = replace(train, matrix=matrix)
    if validation is not None:
        validation = replace(validation, matrix=encoding.apply(validation.matrix))
    return Prepared(train, validation, native, encoding)


def clipped(matrix: Matrix) -> Matrix:
    """Infinities made finite, with room for the sum of two: not every library takes them. They split alike."""
    return np.clip(matrix, -LARGEST, LARGEST)


class TreeLearner:
    """Trees over the encoded matrix; answers probabilities (rows, classes) or numbers (rows, 1)."""

    family: ClassVar[str] = "trees"

    def __init__(self, text: str, shape: Shape, encoding: TargetEncoding | None = None) -> None:
        self._binary = shape.task.is_classification and shape.classes == 2
        self._classes = shape.classes
        self._encoding = encoding
        self._outputs = shape.classes if shape.task.is_classification and not self._binary else 1
        self._text = text

    @cached_property
    def _trees(self) -> Evaluator:
        """Made when it is first asked: a search weighs many learners that are never asked again."""
        return Evaluator(self._text, outputs=self._outputs)

    def predict(self, matrix: Matrix) -> Scores2D:
        scores = self._trees.predict(self._encoding.apply(matrix) if self._encoding else matrix)
        return np.hstack([1.0 - scores, scores]) if self._binary else scores

    def predict_row(self, vector: Matrix) -> Vector:
        scores = self._trees.predict_row(self._encoding.apply_row(vector) if self._encoding else vector)
        if self._binary:
            event = scores[0]
            return np.array([1.0 - event, event])
        return scores

    @classmethod
    def together(cls, learners: Sequence[TreeLearner]) -> RowAnswers:
        return _Together(learners)

    @cached_property
    def row_us(self) -> float:
        return price.LEARNER_US + price.of_text(self._text) + price.of_encoding(self._encoding)

    def to_state(self) -> State:
        task = Task.REGRESSION if self._classes == 0 else Task.BINARY if self._binary else Task.MULTICLASS
        data = {"task": task.value, "classes": self._classes}
        children = {"encoding": self._encoding.to_state()} if self._encoding else {}
        return State(KIND, data, blobs={"trees": self._text.encode()}, children=children)


class _Together:
    """Several learners of the same task and one row: the inputs are made once, and so are the two classes."""

    def __init__(self, learners: Sequence[TreeLearner]) -> None:
        self._learners = learners
        self._is_binary = learners[0]._binary
        self._inputs = JoinedInputs([learner._encoding for learner in learners])
        self._local = threading.local()

    def __call__(self, vector: Matrix) -> Array:
        work: _Work | None = getattr(self._local, "work", None)
        if work is None:
            work = self._local.work = _Work(self._learners, self._inputs, len(vector))
        self._inputs.of(vector).take(work.places, out=work.values, mode="clip")
        for call in work.calls:
            call()
        if not self._is_binary:
            return work.answers.copy()
        return two_classes(work.answers[:, 0])


class _Work:
    """What a thread keeps: the inputs of all learners one after another, and a call for each, with its answer."""

    def __init__(self, learners: Sequence[TreeLearner], inputs: JoinedInputs, features: int) -> None:
        places = [inputs.places(i, features) for i in range(len(learners))]
        self.places: Rows = np.concatenate(places)
        self.values: Matrix = np.zeros(len(self.places), dtype=np.float32)
        self.answers = np.zeros((len(learners), learners[0]._outputs))
        parts = np.split(self.values, np.cumsum([len(place) for place in places])[:-1])
        self.calls = [
            RowCall(learner._trees, part, answer)
            for learner, part, answer in zip(learners, parts, self.answers, strict=True)
        ]


def restorer(state: State, parts: Mapping[str, Any]) -> TreeLearner:
    shape = Shape(0, 0, state.data["classes"], Task(state.data["task"]))
    return TreeLearner(state.blobs["trees"].decode(), shape, parts.get("encoding"))


RESTORERS = {KIND: restorer}
