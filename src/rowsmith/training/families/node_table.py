"""NodeTable: all trees of a learner, or of several, as one table of nodes that `traverse.py` leads rows through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rowsmith.errors import ArtifactError
from rowsmith.training.families.traverse import (
    IS_CATEGORY,
    LARGEST,
    MISSING_IS_LARGEST,
    MISSING_IS_LEAST,
    NODE,
    QUESTION,
    add_leaves,
    add_leaves_by_plan,
    ordered,
)
from rowsmith.training.families.tree_plan import TreePlan, plan_of
from rowsmith.types import Array, Matrix, Rows, Scores2D, Vector

MANY_ROWS = 16
NO_SETS = np.zeros(0, dtype=np.uint32)


@dataclass(frozen=True)
class Splits:
    """The inner nodes and leaves of many trees, one tree after another.

    `nodes` and `leaves` count those of each tree. The rest has shape (all nodes,): a child below 0 is leaf `~child` of
    its tree, node 0 is the root, and a row goes left when its value is at most the threshold, both float32, or is
    missing and `missing_left` holds. Where `is_category` holds, it goes left when its level is in the set that begins
    at `set_place` of `sets` (see traverse.py).
    """

    nodes: Rows
    leaves: Rows
    column: Array
    threshold: Matrix
    missing_left: Array
    left: Array
    right: Array
    is_category: Array | None = None
    set_place: Array | None = None
    sets: Array = field(default_factory=lambda: NO_SETS)


@dataclass(frozen=True)
class NodeTable:
    """Trees whose leaves hold `width` numbers each; tree i adds to the outputs from `outputs[i]` on, of `count`.

    `columns` is how many columns a row must have.
    """

    questions: Array
    sets: Array
    nodes: Array
    values: Vector
    width: int
    roots: Array
    outputs: Array
    count: int
    columns: int

    @classmethod
    def of(cls, splits: Splits, places: Rows, values: Vector, width: int, outputs: Rows, count: int) -> NodeTable:
        """`places`, shape (all leaves,), say where in `values` the numbers of each leaf begin.

        Raises ArtifactError where the splits are not those of trees: what passes here cannot lead a row astray.
        """
        _check(splits, places, values, width, outputs, count)
        first = np.cumsum(2 * splits.nodes + 1) - (2 * splits.nodes + 1)
        place = _Places(splits, first)
        questions, asked = _questions(splits)
        nodes = np.zeros(int((2 * splits.nodes + 1).sum()), dtype=NODE)
        nodes["child"] = np.arange(len(nodes))
        nodes["threshold"] = LARGEST
        nodes["place"][place.of_leaf] = places
        thresholds = ordered(splits.threshold)
        if splits.is_category is not None:
            thresholds = np.where(splits.is_category, 0, thresholds)
        nodes["threshold"][place.of_node] = thresholds
        nodes["question"][place.of_node] = asked
        nodes["child"][place.of_node] = place.of_left
        roots, columns = first.astype(np.uint32), int(questions["column"].max()) + 1
        return cls(questions, splits.sets, nodes, values, width, roots, outputs.astype(np.uint32), count, columns)

    @classmethod
    def joined(cls, tables: Sequence[NodeTable], columns: Sequence[Rows]) -> NodeTable:
        """Tables of the same width as one, the outputs of the second after those of the first, and so on.

        `columns[i]` says where the columns of table i stand in the rows that the new one is asked about.
        """
        starts = {
            part: _starts([len(getattr(table, part)) for table in tables])
            for part in ("questions", "sets", "nodes", "values")
        }
        questions, nodes = [], []
        for i, (table, places) in enumerate(zip(tables, columns, strict=True)):
            asked, moved = table.questions.copy(), table.nodes.copy()
            asked["column"] = places[asked["column"]]
            asked["set"] += np.uint32(starts["sets"][i])
            moved["question"] += np.uint32(starts["questions"][i])
            moved["child"] += np.uint32(starts["nodes"][i])
            moved["place"] += np.uint32(starts["values"][i])
            questions.append(asked)
            nodes.append(moved)
        outputs = _starts([table.count for table in tables])
        asked = np.concatenate(questions)
        return cls(
            asked,
            np.concatenate([table.sets for table in tables]),
            np.concatenate(nodes),
            np.concatenate([table.values for table in tables]),
            tables[0].width,
            np.concatenate([t.roots + np.uint32(start) for t, start in zip(tables, starts["nodes"], strict=True)]),
            np.concatenate([t.outputs + np.uint32(start) for t, start in zip(tables, outputs, strict=True)]),
            sum(table.count for table in tables),
            int(asked["column"].max()) + 1,
        )

    def sums(self, matrix: Matrix) -> Scores2D:
        """Shape (rows, columns) to (rows, outputs): what the leaves hold that each row reaches, added up."""
        sums = np.zeros((len(matrix), self.count))
        self._add(self._wide_enough(matrix), len(matrix), sums)
        return sums

    def sums_row(self, vector: Matrix) -> Vector:
        """Shape (columns,) to (outputs,)."""
        sums = np.zeros(self.count)
        self._add(vector if len(vector) >= self.columns else self._wide_enough(vector[None, :]), 1, sums)
        return sums

    def _add(self, matrix: Matrix, rows: int, sums: Array) -> None:
        if not rows:
            return
        matrix = np.ascontiguousarray(matrix, dtype=np.float32)
        trees = self.questions, self.sets, self.nodes, self.values, self.width, self.roots, self.outputs
        if rows < MANY_ROWS or add_leaves_by_plan is None:
            add_leaves(*trees, matrix, rows, sums)
        else:
            add_leaves_by_plan(*trees, matrix, rows, sums, *self._plan.arrays)

    @cached_property
    def _plan(self) -> TreePlan:
        return plan_of(self.nodes, self.roots)

    def _wide_enough(self, matrix: Matrix) -> Matrix:
        """A table without columns still has trees, of one leaf each."""
        missing = self.columns - matrix.shape[1]
        return np.pad(matrix, ((0, 0), (0, missing)), constant_values=np.nan) if missing > 0 else matrix


def _questions(splits: Splits) -> tuple[Array, Array]:
    """What the nodes ask, each thing once and at least one, and the number of each node's question."""
    kind = np.where(splits.missing_left, MISSING_IS_LEAST, MISSING_IS_LARGEST)
    sets = np.zeros(len(kind), dtype=np.int64)
    if splits.is_category is not None and splits.set_place is not None:
        kind = np.where(splits.is_category, IS_CATEGORY, kind)
        sets = np.where(splits.is_category, splits.set_place, 0)
    # One number for each: to sort records field by field takes ten times as long.
    asked = splits.column.astype(np.uint64) << np.uint64(34) | kind.astype(np.uint64) << np.uint64(32)
    found, number = np.unique(asked | sets.astype(np.uint64), return_inverse=True)
    questions = np.zeros(max(len(found), 1), dtype=QUESTION)
    if len(found):
        questions["column"], questions["kind"] = found >> np.uint64(34), found >> np.uint64(32) & np.uint64(3)
        questions["set"] = found & np.uint64(2**32 - 1)
    return questions, number


class _Places:
    """Where in the table everything stands: the root first, and the children of node i at 1 + 2i and 2 + 2i."""

    def __init__(self, splits: Splits, first: Rows) -> None:
        start = np.repeat(first, splits.nodes)
        within = np.arange(len(start)) - np.repeat(_starts(splits.nodes), splits.nodes)
        self.of_left = start + 1 + 2 * within
        self.of_node: Rows = np.full(len(start), -1)
        self.of_node[_starts(splits.nodes)[splits.nodes > 0]] = first[splits.nodes > 0]
        self.of_leaf: Rows = np.full(int(splits.leaves.sum()), -1)
        self.of_leaf[_starts(splits.leaves)[splits.nodes == 0]] = first[splits.nodes == 0]
        first_node = np.repeat(_starts(splits.nodes), splits.nodes)
        first_leaf = np.repeat(_starts(splits.leaves), splits.nodes)
        for child, place in ((splits.left, self.of_left), (splits.right, self.of_left + 1)):
            is_leaf = child < 0
            self.of_node[(first_node + child)[~is_leaf]] = place[~is_leaf]
            self.of_leaf[(first_leaf + ~child)[is_leaf]] = place[is_leaf]
        # As many children as there are nodes but roots and leaves: where each has a place, none has two, and none is a
        # root, so that a walk from a root ends in a leaf.
        if (self.of_node < 0).any() or (self.of_leaf < 0).any():
            raise ArtifactError("these are not trees: a node or a leaf belongs to no other node")


def _check(splits: Splits, places: Rows, values: Vector, width: int, outputs: Rows, count: int) -> None:
    nodes, leaves = splits.nodes, splits.leaves
    whole = len(splits.column) == len(splits.threshold) == len(splits.missing_left) == len(splits.left)
    whole = whole and len(splits.left) == len(splits.right) == int(nodes.sum())
    if not whole or not np.array_equal(leaves, nodes + 1) or nodes.min(initial=0) < 0:
        raise ArtifactError("these are not trees: the nodes do not belong to their leaves")
    own_nodes, own_leaves = np.repeat(nodes, nodes), np.repeat(leaves, nodes)
    for child in (splits.left, splits.right):
        if ((child == 0) | (child >= own_nodes) | (child < -own_leaves)).any():
            raise ArtifactError("these are not trees: a node has a child that there is not")
    if len(places) != leaves.sum() or (len(places) and not 0 <= places.min() <= places.max() <= len(values) - width):
        raise ArtifactError("these are not trees: a leaf holds nothing")
    if len(outputs) != len(nodes) or (len(outputs) and not 0 <= outputs.min() <= outputs.max() <= count - width):
        raise ArtifactError("these are not trees: a tree has no output")
    if len(splits.column) and not 0 <= splits.column.min() <= splits.column.max() < 2**30:
        raise ArtifactError("these are not trees: a node asks for a column that there is not")
    _check_sets(splits)


def _check_sets(splits: Splits) -> None:
    if splits.is_category is None or splits.set_place is None or not splits.is_category.any():
        return
    start = splits.set_place[splits.is_category].astype(np.int64)
    if not 0 <= start.min() <= start.max() < len(splits.sets):
        raise ArtifactError("these are not trees: a node asks for a set of levels that there is not")
    if (start + splits.sets[start] >= len(splits.sets)).any():
        raise ArtifactError("these are not trees: a set of levels is cut short")


def _starts(sizes: Sequence[int] | Rows) -> Rows:
    lengths = np.asarray(sizes, dtype=np.int64)
    return np.cumsum(lengths) - lengths
