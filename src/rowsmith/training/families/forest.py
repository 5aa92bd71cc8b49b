"""A forest whose leaves hold a number for each output, in few bytes: most leaves hold what others hold too.

One tree serves all classes, where the common text form would need a copy for each. A table says what leaves hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from rowsmith.errors import ArtifactError
from rowsmith.state import State
from rowsmith.training.families import price
from rowsmith.training.families.base import Restorer
from rowsmith.training.families.exact import on_a_grid
from rowsmith.training.families.links import two_classes
from rowsmith.training.families.node_table import NodeTable, Splits
from rowsmith.training.families.trees import last_float32
from rowsmith.transformation.target_encoding import TargetEncoding
from rowsmith.types import Array, JsonObject, Matrix, Rows, Scores2D, Task, Vector

KIND = "forest"


@dataclass(frozen=True)
class Grown:
    """Trees as scikit-learn grows them: nodes in depth-first order, a leaf having no children.

    The arrays hold the nodes of all trees one after another; `nodes` counts those of each tree. `left` and `right`
    are node numbers within the tree, -1 for a leaf; `value` has shape (nodes, outputs).
    """

    nodes: Rows
    left: Array
    right: Array
    feature: Array
    threshold: Array
    default_left: Array
    value: Array

    def packed(self) -> dict[str, Array]:
        """The arrays of a `Forest`: only what prediction needs, each in the narrowest type.

        In depth-first order the left child is the next node, so the number of leaves on the left of a node says
        where both children are.
        """
        is_leaf = self.left < 0
        inner = ~is_leaf
        distinct, codes = _distinct(self.value[is_leaf].astype(np.float32))
        first = np.cumsum(self.nodes) - self.nodes
        return {
            "leaves": np.add.reduceat(is_leaf, first, dtype=np.int64) if len(first) else np.zeros(0, dtype=np.int64),
            "left_leaves": _narrow((self.right[inner] - self.left[inner] + 1) // 2),
            "feature": _narrow(self.feature[inner]),
            "threshold": last_float32(self.threshold[inner].astype(np.float64)),
            "default_left": np.packbits(self.default_left[inner].astype(bool)),
            "codes": _narrow(codes),
            "table": distinct,
        }


class Forest:
    """Answers the mean over the trees of what their leaves hold: class shares, or a number.

    `arrays` hold the trees one after another, as `Grown.packed` made them. Two classes have one output, the share of
    the event. `prior`, shape (outputs,), counts as much as `prior_trees` trees: no class is impossible.
    """

    family: ClassVar[str] = "extra_trees"

    def __init__(
        self,
        arrays: Mapping[str, Array],
        *,
        task: Task,
        classes: int,
        encoding: TargetEncoding | None,
        prior_trees: float = 0.0,
    ) -> None:
        self._arrays = dict(arrays)
        self._task = task
        self._classes = classes
        self._encoding = encoding
        self._prior_trees = prior_trees
        self._leaves: Rows = self._arrays["leaves"].astype(np.int64)
        self._count = len(self._leaves)
        # In the first models each leaf has numbers of its own.
        table = self._arrays["table"] if "table" in self._arrays else self._arrays["value"]
        self._table = on_a_grid(table, self._count)
        self._codes: Rows = self._arrays["codes"] if "codes" in self._arrays else np.arange(len(table))
        self._prior = prior_trees * self._arrays["prior"].astype(np.float64) if prior_trees else 0.0

    @cached_property
    def _nodes(self) -> NodeTable:
        """Made when it is first asked: training never asks most of its learners again."""
        width = int(self._table.shape[1])
        places = self._codes.astype(np.int64) * width
        outputs = np.zeros(self._count, dtype=np.int64)
        return NodeTable.of(splits_of(self._arrays), places, self._table.ravel(), width, outputs, width)

    def predict(self, matrix: Matrix) -> Scores2D:
        return self._answer(self._nodes.sums(self._encoding.apply(matrix) if self._encoding else matrix))

    def predict_row(self, vector: Matrix) -> Vector:
        sums = self._nodes.sums_row(self._encoding.apply_row(vector) if self._encoding else vector)
        return np.asarray(self._answer(sums[None, :])[0])

    @cached_property
    def row_us(self) -> float:
        trees = price.of_forest(self._leaves, self._table.shape[1])
        return price.LEARNER_US + trees + price.of_encoding(self._encoding)

    def _answer(self, total: Array) -> Scores2D:
        mean = (total + self._prior) / (self._count + self._prior_trees)
        return two_classes(mean[:, 0]) if self._task is Task.BINARY else np.asarray(mean)

    def to_state(self) -> State:
        data: JsonObject = {"task": self._task.value, "classes": self._classes}
        if self._prior_trees:
            data["prior_trees"] = self._prior_trees
        children = {"encoding": self._encoding.to_state()} if self._encoding else {}
        return State(KIND, data, arrays=self._arrays, children=children)


def splits_of(arrays: Mapping[str, Array]) -> Splits:
    """The trees of a packed forest. Raises ArtifactError where its counts are not those of trees."""
    leaves = arrays["leaves"].astype(np.int64)
    if "left" in arrays:
        # The first models keep both children, and the missing ones' way in whole bytes.
        left, right = arrays["left"].astype(np.int64), arrays["right"].astype(np.int64)
        missing_left = arrays["default_left"].astype(bool)
    else:
        left, right = children(arrays["left_leaves"].astype(np.int64), leaves)
        missing_left = np.unpackbits(arrays["default_left"], count=len(left)).astype(bool)
    return Splits(
        nodes=leaves - 1,
        leaves=leaves,
        column=arrays["feature"].astype(np.int64),
        threshold=arrays["threshold"],
        missing_left=missing_left,
        left=left,
        right=right,
    )


def children(left_leaves: Rows, leaves: Rows) -> tuple[Array, Array]:
    """Left and right child of each node as `Tree` has them, level by level for all trees at once.

    Raises ArtifactError where the counts are not those of trees.
    """
    nodes = leaves - 1
    if nodes.min(initial=0) < 0 or nodes.sum() != len(left_leaves):
        raise ArtifactError("these are not trees: the nodes do not belong to their leaves")
    start = np.cumsum(nodes) - nodes
    left, right = np.zeros(len(left_leaves), dtype=np.int64), np.zeros(len(left_leaves), dtype=np.int64)
    has_nodes = nodes > 0
    start, below = start[has_nodes], leaves[has_nodes]
    node, leaf = np.zeros_like(start), np.zeros_like(start)
    while len(node):
        on_left = left_leaves[start + node]
        on_right = below - on_left
        if (on_left < 1).any() or (on_right < 1).any():
            raise ArtifactError("these are not trees: a node has no leaf on one side")
        left[start + node] = np.where(on_left > 1, node + 1, ~leaf)
        right[start + node] = np.where(on_right > 1, node + on_left, ~(leaf + on_left))
        goes_left, goes_right = on_left > 1, on_right > 1
        node, leaf, start, below = (
            np.concatenate([a[goes_left], b[goes_right]])
            for a, b in (
                (node + 1, node + on_left),
                (leaf, leaf + on_left),
                (start, start),
                (on_left, on_right),
            )
        )
    return left, right


def _distinct(values: Matrix) -> tuple[Matrix, Rows]:
    """The different rows, in the order in which they come, and the place of each row among them."""
    keys: list[bytes] = np.ascontiguousarray(values).view(f"V{values.shape[1] * values.itemsize}").ravel().tolist()
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    table = np.frombuffer(b"".join(places), dtype=values.dtype).reshape(-1, values.shape[1])
    return table, np.array([places[key] for key in keys], dtype=np.int64)


def _narrow(numbers: Array) -> Array:
    """Whole numbers from 0 in the narrowest type that holds them."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


def grown_of(trees: Sequence[Any], value: Sequence[Array]) -> Grown:
    """From scikit-learn's `tree_` objects, and what each of their nodes holds."""
    return Grown(
        nodes=np.array([tree.node_count for tree in trees], dtype=np.int64),
        left=np.concatenate([tree.children_left for tree in trees]),
        right=np.concatenate([tree.children_right for tree in trees]),
        feature=np.concatenate([tree.feature for tree in trees]),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        default_left=np.concatenate([tree.missing_go_to_left for tree in trees]),
        value=np.concatenate(value),
    )


def restorer(state: State, parts: Mapping[str, Any]) -> Forest:
    data = state.data
    return Forest(
        state.arrays,
        task=Task(data["task"]),
        classes=data["classes"],
        encoding=parts.get("encoding"),
        prior_trees=data.get("prior_trees", 0.0),
    )


RESTORERS: Mapping[str, Restorer] = {KIND: restorer}
