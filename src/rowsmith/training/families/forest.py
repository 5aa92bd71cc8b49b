"""A forest whose leaves hold a number for each output: the evaluator finds the leaves, an array says what they hold.

One tree then serves all classes, where the common text form would need a copy for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from rowsmith.state import State
from rowsmith.training.families.base import Restorer
from rowsmith.training.families.evaluator import Evaluator
from rowsmith.training.families.links import two_classes
from rowsmith.training.families.trees import Tree, model_text
from rowsmith.transformation.target_encoding import TargetEncoding
from rowsmith.types import Array, Matrix, Rows, Scores2D, Task, Vector

KIND = "forest"
CHUNK_ROWS = 4096


class Forest:
    """Answers the mean over the trees of what their leaves hold: class shares, or a number.

    `nodes` and `leaves` count those of each tree; the other arrays hold the trees one after another, `value` with
    shape (leaves, outputs). Two classes have one output, the share of the event.
    """

    family: ClassVar[str] = "extra_trees"

    def __init__(
        self,
        trees: Mapping[str, Array],
        *,
        features: int,
        task: Task,
        classes: int,
        encoding: TargetEncoding | None,
    ) -> None:
        self._arrays = dict(trees)
        self._features = features
        self._task = task
        self._classes = classes
        self._encoding = encoding
        self._count = len(trees["leaves"])
        self._value = trees["value"]
        self._first: Rows = np.cumsum(trees["leaves"]) - trees["leaves"]
        text = model_text(_split(trees), features=features, outputs=1)
        self._evaluator = Evaluator(text, outputs=self._count, leaves=True)

    @classmethod
    def of(
        cls, trees: Sequence[Tree], *, features: int, task: Task, classes: int, encoding: TargetEncoding | None
    ) -> Forest:
        """Trees whose `value` has shape (leaves, outputs)."""
        arrays: dict[str, Array] = {
            "nodes": np.array([len(tree.feature) for tree in trees], dtype=np.int64),
            "leaves": np.array([len(tree.value) for tree in trees], dtype=np.int64),
            "feature": np.concatenate([tree.feature for tree in trees]).astype(np.int32),
            "threshold": np.concatenate([tree.float32_threshold for tree in trees]),
            "default_left": np.concatenate([tree.default_left for tree in trees]),
            "left": np.concatenate([tree.left for tree in trees]).astype(np.int32),
            "right": np.concatenate([tree.right for tree in trees]).astype(np.int32),
            "value": np.concatenate([tree.value for tree in trees]).astype(np.float32),
        }
        return cls(arrays, features=features, task=task, classes=classes, encoding=encoding)

    def predict(self, matrix: Matrix) -> Scores2D:
        parts = [self._answer_chunk(matrix[i : i + CHUNK_ROWS]) for i in range(0, len(matrix), CHUNK_ROWS)]
        return np.concatenate(parts) if parts else np.zeros((0, max(self._classes, 1)))

    def _answer_chunk(self, matrix: Matrix) -> Scores2D:
        leaves = self._evaluator.predict(self._encoding.apply(matrix) if self._encoding else matrix).astype(np.int64)
        total = np.zeros((len(matrix), self._value.shape[1]))
        for tree, first in enumerate(self._first.tolist()):
            total += self._value[first + leaves[:, tree]]
        return self._answer(total)

    def predict_row(self, vector: Matrix) -> Vector:
        leaves = self._evaluator.predict_row(self._encoding.apply_row(vector) if self._encoding else vector)
        steps = self._value[self._first + leaves.astype(np.int64)]
        # accumulate() adds in the order of the trees, as `predict` does; sum() would add in pairs.
        total = np.add.accumulate(steps, axis=0, dtype=np.float64)[-1:]
        return np.asarray(self._answer(total)[0])

    def _answer(self, total: Array) -> Scores2D:
        mean = total / self._count
        return two_classes(mean[:, 0]) if self._task is Task.BINARY else np.asarray(mean)

    def to_state(self) -> State:
        data = {"features": self._features, "task": self._task.value, "classes": self._classes}
        children = {"encoding": self._encoding.to_state()} if self._encoding else {}
        return State(KIND, data, arrays=self._arrays, children=children)


def _split(trees: Mapping[str, Array]) -> list[Tree]:
    """The arrays of a forest as single trees (without what their leaves hold)."""
    cuts = np.cumsum(trees["nodes"])[:-1]
    names = ("feature", "threshold", "default_left", "left", "right")
    parts = zip(*(np.split(trees[name], cuts) for name in names), strict=True)
    return [
        Tree(feature, threshold, default_left, left, right, np.zeros(leaves))
        for (feature, threshold, default_left, left, right), leaves in zip(parts, trees["leaves"].tolist(), strict=True)
    ]


def restorer(state: State, parts: Mapping[str, Any]) -> Forest:
    data = state.data
    return Forest(
        state.arrays,
        features=data["features"],
        task=Task(data["task"]),
        classes=data["classes"],
        encoding=parts.get("encoding"),
    )


RESTORERS: Mapping[str, Restorer] = {KIND: restorer}
