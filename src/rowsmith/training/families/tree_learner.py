"""What the families of trees share: how categories reach a tree, and the learner that holds the trees."""

from __future__ import annotations

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
from rowsmith.training.families.inputs import JoinedInputs
from rowsmith.training.families.links import chance, sigmoid, softmax, two_classes
from rowsmith.training.families.node_table import NodeTable
from rowsmith.training.families.tree_text import node_table
from rowsmith.training.families.trees import TreeText
from rowsmith.transformation.target_encoding import TargetEncoding
from rowsmith.types import Array, JsonObject, Matrix, Scores2D, Task, Vector

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

    `unit` is what the leaves are counted in (see `TreeText`).
    """

    family: ClassVar[str] = "trees"

    def __init__(self, trees: TreeText, shape: Shape, encoding: TargetEncoding | None = None) -> None:
        self._binary = shape.task.is_classification and shape.classes == 2
        self._classes = shape.classes
        self._encoding = encoding
        self._outputs = shape.classes if shape.task.is_classification and not self._binary else 1
        self._trees = trees

    @cached_property
    def _table(self) -> NodeTable:
        """Made when it is first asked: a search weighs many learners that are never asked again."""
        return node_table(self._trees.text, self._outputs)

    def predict(self, matrix: Matrix) -> Scores2D:
        matrix = self._encoding.apply(matrix) if self._encoding else matrix
        return self._answers(self._table.sums(matrix) * self._trees.unit)

    def predict_row(self, vector: Matrix) -> Vector:
        sums = self._table.sums_row(self._encoding.apply_row(vector) if self._encoding else vector)
        return np.asarray(self._answers(sums[None, :] * self._trees.unit)[0])

    def _answers(self, sums: Scores2D) -> Scores2D:
        if self._binary:
            return two_classes(sigmoid(sums[:, 0]))
        return softmax(sums) if self._outputs > 1 else sums

    @classmethod
    def together(cls, learners: Sequence[TreeLearner]) -> RowAnswers:
        return _Together(learners)

    @cached_property
    def row_us(self) -> float:
        return price.LEARNER_US + price.of_text(self._trees.text) + price.of_encoding(self._encoding)

    def to_state(self) -> State:
        task = Task.REGRESSION if self._classes == 0 else Task.BINARY if self._binary else Task.MULTICLASS
        data: JsonObject = {"task": task.value, "classes": self._classes, "unit": self._trees.unit}
        children = {"encoding": self._encoding.to_state()} if self._encoding else {}
        return State(KIND, data, blobs={"trees": self._trees.text.encode()}, children=children)


class _Together:
    """Several learners of the same task and one row: their trees are one table, and their answers are made at once."""

    def __init__(self, learners: Sequence[TreeLearner]) -> None:
        self._learners = learners
        self._units = np.array([learner._trees.unit for learner in learners])[:, None]
        self._inputs = JoinedInputs([learner._encoding for learner in learners])
        self._table: NodeTable | None = None
        self._is_one_chance = len(learners) == 1 and learners[0]._binary

    def __call__(self, vector: Matrix) -> Array:
        if self._table is None:
            places = [self._inputs.places(i, len(vector)) for i in range(len(self._learners))]
            self._table = NodeTable.joined([learner._table for learner in self._learners], places)
        sums = self._table.sums_row(self._inputs.of(vector))
        if self._is_one_chance:
            event = chance(sums.item() * self._learners[0]._trees.unit)
            return np.array([[1.0 - event, event]])
        return self._learners[0]._answers(sums.reshape(len(self._learners), -1) * self._units)


def restorer(state: State, parts: Mapping[str, Any]) -> TreeLearner:
    data = state.data
    shape = Shape(0, 0, data["classes"], Task(data["task"]))
    # The first models have no unit: their leaves hold plain numbers, added up tree by tree.
    trees = TreeText(state.blobs["trees"].decode(), data.get("unit", 1.0))
    return TreeLearner(trees, shape, parts.get("encoding"))


RESTORERS = {KIND: restorer}
