"""Symmetric trees: every level asks one question of all rows, and the answers as bits are the number of the leaf.

A model is a few arrays. NumPy evaluates all trees of a row at once, a compiled loop many rows (`_planes.h`). What
leaves hold is rounded so that sums are exact: they may be taken in any order, and a row alone gets the bits of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from rowsmith.blend import RowAnswers
from rowsmith.state import State
from rowsmith.training.families import price
from rowsmith.training.families.base import Fit, Restorer
from rowsmith.training.families.exact import on_a_grid
from rowsmith.training.families.inputs import JoinedInputs
from rowsmith.training.families.links import sigmoid, softmax, two_classes
from rowsmith.training.families.traverse import MISSING_IS_LEAST, QUESTION, add_symmetric, ordered
from rowsmith.training.families.tree_plan import tests_of
from rowsmith.transformation.target_encoding import TargetEncoding
from rowsmith.types import Array, Matrix, Rows, Scores2D, Task, Vector

KIND = "symmetric_trees"
ONE_HOT_LEVELS = 16
FEW_LEVELS = 3
BYTE = 8


class OneHot:
    """Columns of 0 and 1 beside the matrix, one for each level of each small category and one for its absence."""

    def __init__(self, columns: Rows, levels: Matrix) -> None:
        self.columns = columns
        self.levels = levels

    @classmethod
    def of(cls, fit: Fit) -> OneHot:
        pairs = [
            (column, level)
            for column, feature in enumerate(fit.features)
            if FEW_LEVELS < feature.levels <= ONE_HOT_LEVELS
            for level in range(-1, feature.levels)
        ]
        return cls(
            np.array([column for column, _ in pairs], dtype=np.int64),
            np.array([level for _, level in pairs], dtype=np.float32),
        )

    def apply(self, matrix: Matrix) -> Matrix:
        """The last axis gets longer; works for rows (rows, columns) and for one (columns,)."""
        if not len(self.columns):
            return np.ascontiguousarray(matrix, dtype=np.float32)
        return np.concatenate([matrix, self.beside(matrix)], axis=-1, dtype=np.float32)

    def beside(self, matrix: Matrix) -> Matrix:
        """The new columns alone."""
        values = matrix[..., self.columns]
        return np.equal(np.where(np.isnan(values), np.float32(-1), values), self.levels).astype(np.float32)

    def equals(self, other: OneHot) -> bool:
        return np.array_equal(self.columns, other.columns) and np.array_equal(self.levels, other.levels)


class SymmetricTrees:
    """`columns` and `borders` have shape (trees, depth), `leaves` (trees, 2^depth, outputs), `bias` (outputs,)."""

    family: ClassVar[str] = "catboost"

    def __init__(
        self,
        spread: OneHot,
        encoding: TargetEncoding | None,
        columns: Rows,
        borders: Matrix,
        leaves: Array,
        bias: Vector,
        task: Task,
        classes: int,
    ) -> None:
        self.spread = spread
        self.encoding = encoding
        self.columns = columns
        self.borders = borders
        self.bias = bias
        self.task = task
        self.classes = classes
        self._kept_leaves = leaves
        # Still float32 without loss: rounding takes digits away.
        self.leaves: Array = np.ascontiguousarray(on_a_grid(leaves, len(leaves)), dtype=np.float32)

    def predict(self, matrix: Matrix) -> Scores2D:
        if not len(matrix):
            return np.zeros((0, max(self.classes, 1)))
        matrix = self.spread.apply(self.encoding.apply(matrix) if self.encoding else matrix)
        sums = np.zeros((len(matrix), len(self.bias)))
        if add_symmetric is not None and self.columns.size:
            questions, tests, levels = self._asked
            depth, width = self.columns.shape[1], len(self.bias)
            matrix = np.ascontiguousarray(matrix)
            add_symmetric(questions, tests, levels, self.leaves, matrix, len(matrix), depth, width, sums)
        else:
            self._add_numpy(matrix, sums)
        return answers(self.bias + sums, self.task)

    @cached_property
    def _asked(self) -> tuple[Array, Array, Array]:
        """Questions and tests as in TreePlan, and the test of each level, shape (trees, depth)."""
        different, asked = np.unique(self.columns, return_inverse=True)
        questions = np.zeros(len(different), dtype=QUESTION)
        questions["column"], questions["kind"] = different, MISSING_IS_LEAST
        tests, levels = tests_of(asked.ravel(), ordered(self.borders).ravel())
        return questions, tests, levels.astype(np.uint32)

    def _add_numpy(self, matrix: Matrix, sums: Scores2D) -> None:
        """The twin of the compiled loop, which takes ten times as long."""
        by_column = np.ascontiguousarray(matrix.T)
        answer_type = np.uint8 if self.columns.shape[1] <= BYTE else np.uint16
        answer: Array = np.empty(len(matrix), dtype=bool)
        place: Array = np.empty(len(matrix), dtype=answer_type)
        for columns, borders, leaves in zip(self.columns.tolist(), self.borders, self.leaves, strict=True):
            place.fill(0)
            for column, border in zip(reversed(columns), reversed(borders), strict=True):
                np.greater(by_column[column], border, out=answer)
                place += place
                place += answer
            sums += leaves.take(place, axis=0)

    def predict_row(self, vector: Matrix) -> Vector:
        return np.asarray(self._alone(vector)[0])

    @cached_property
    def _alone(self) -> JoinedTrees:
        return JoinedTrees([self])

    @classmethod
    def together(cls, learners: Sequence[SymmetricTrees]) -> RowAnswers:
        return JoinedTrees(learners)

    @property
    def row_us(self) -> float:
        trees, depth = self.columns.shape
        symmetric = price.of_symmetric_trees(trees, depth, self.leaves.shape[2])
        return price.LEARNER_US + symmetric + price.of_encoding(self.encoding)

    def to_state(self) -> State:
        return State(
            KIND,
            {"task": self.task.value, "classes": self.classes},
            arrays={
                "columns": self.columns,
                "borders": self.borders,
                "leaves": self._kept_leaves,
                "bias": self.bias,
                "one_hot_columns": self.spread.columns,
                "one_hot_levels": self.spread.levels,
            },
            children={"encoding": self.encoding.to_state()} if self.encoding else {},
        )


def answers(sums: Scores2D, task: Task) -> Scores2D:
    if task is Task.REGRESSION:
        return sums
    return two_classes(sigmoid(sums[:, 0].copy())) if task is Task.BINARY else softmax(sums)


class JoinedTrees:
    """All trees of several learners of the same task in one set of arrays, for one row.

    Levels are filled up to whole bytes with questions that no value answers with yes.
    """

    def __init__(self, learners: Sequence[SymmetricTrees]) -> None:
        self._learners = learners
        self._task = learners[0].task
        self._spread = learners[0].spread
        if not all(learner.spread.equals(self._spread) for learner in learners):
            raise ValueError("the learners of a model spread the same categories")
        self._inputs = JoinedInputs([learner.encoding for learner in learners])
        counts = np.array([len(learner.columns) for learner in learners])
        self._has_trees = counts > 0
        self._first_tree: Rows = (np.cumsum(counts) - counts)[self._has_trees]
        deepest = max(learner.columns.shape[1] for learner in learners)
        self._bits = BYTE if deepest <= BYTE else 2 * BYTE
        self._borders: Matrix = np.concatenate([self._filled(learner.borders, np.inf) for learner in learners])
        sizes = np.repeat([learner.leaves.shape[1] for learner in learners], counts)
        self._first_leaf: Rows = np.cumsum(sizes) - sizes
        self._bias = np.stack([learner.bias for learner in learners])
        self._leaves: Matrix = np.concatenate([learner.leaves.reshape(-1, len(learner.bias)) for learner in learners])
        self._columns: Rows | None = None

    def __call__(self, vector: Matrix) -> Array:
        if self._columns is None:
            self._columns = self._places(len(vector))
        values = self._inputs.of(vector)
        if len(self._spread.columns):
            values = np.concatenate([values, self._spread.beside(vector)])
        bits = values.take(self._columns, mode="clip") > self._borders
        packed = np.packbits(bits.ravel(), bitorder="little")
        place = packed if self._bits == BYTE else packed.view("<u2")
        leaves = self._leaves.take(self._first_leaf + place, axis=0)
        sums = self._bias.copy()
        if len(self._first_tree):
            sums[self._has_trees] += np.add.reduceat(leaves, self._first_tree, axis=0, dtype=np.float64)
        return answers(sums, self._task)

    def _places(self, features: int) -> Rows:
        """Where the joined values hold what each question of each tree is about."""
        spread = features + self._inputs.width + np.arange(len(self._spread.columns))
        parts = []
        for i, learner in enumerate(self._learners):
            place = np.concatenate([self._inputs.places(i, features), spread])
            parts.append(self._filled(place[learner.columns], 0))
        return np.concatenate(parts)

    def _filled(self, levels: Array, filling: float) -> Array:
        """Shape (trees, depth) to (trees, bits)."""
        return np.pad(levels, ((0, 0), (0, self._bits - levels.shape[1])), constant_values=filling)


def restorer(state: State, parts: Mapping[str, Any]) -> SymmetricTrees:
    arrays, data = state.arrays, state.data
    return SymmetricTrees(
        OneHot(arrays["one_hot_columns"], arrays["one_hot_levels"]),
        parts.get("encoding"),
        arrays["columns"],
        arrays["borders"],
        arrays["leaves"],
        arrays["bias"],
        Task(data["task"]),
        data["classes"],
    )


RESTORERS: Mapping[str, Restorer] = {KIND: restorer}
