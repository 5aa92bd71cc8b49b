"""add_leaves: rows through trees, compiled where the installation had a compiler, otherwise in NumPy.

Both have the same bits. `_traverse.c` walks eight ways at a time; the twin here asks all rows and trees for one level
after another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from rowsmith.types import Array, Matrix, Scores2D, Vector

MISSING_IS_LEAST, MISSING_IS_LARGEST, IS_CATEGORY = range(3)
QUESTION = np.dtype([("column", np.uint32), ("kind", np.uint32), ("set", np.uint32)])
"""What trees ask of a row: the value of a column, a missing one taken for the least or the largest of all, or whether
its level is in a set (a count of words, then the words, from `set` on): 0 where it is, 1 where it is not."""
NODE = np.dtype([("threshold", np.int32), ("child", np.uint32), ("question", np.uint32), ("place", np.uint32)])
"""A row goes on to `child` where its answer is at most the threshold, otherwise to the node after it. A leaf is its own
child, and `place` is where its numbers begin."""
LEAST, LARGEST = np.iinfo(np.int32).min, np.iinfo(np.int32).max
WALKS_AT_ONCE = 1 << 18

AddLeaves: TypeAlias = Callable[[Array, Array, Array, Vector, int, Array, Array, Matrix, int, Scores2D], None]
"""Questions, sets, nodes, values, width (numbers of a leaf), roots, outputs (where a tree's numbers go), matrix of
float32, rows; what is found is added to the last argument, shape (rows, all outputs)."""


def ordered(values: Matrix) -> Array:
    """Whole numbers in the order of the floats; -0 is 0."""
    bits = (values.astype(np.float32) + np.float32(0.0)).view(np.int32)
    return bits ^ ((bits >> 31) & LARGEST)


def add_leaves_numpy(
    questions: Array,
    sets: Array,
    nodes: Array,
    values: Vector,
    width: int,
    roots: Array,
    outputs: Array,
    matrix: Matrix,
    rows: int,
    sums: Scores2D,
) -> None:
    """The twin of the compiled loop; slower by far for many rows."""
    matrix, sums = matrix.reshape(rows, -1), sums.reshape(rows, -1)
    some = max(WALKS_AT_ONCE // max(len(roots), 1), 1)
    for start in range(0, rows, some):
        answers = _answers(questions, sets, matrix[start : start + some])
        places = nodes["place"][_leaves(nodes, roots, answers)].astype(np.int64)
        into = sums[start : start + some].T
        for k in range(width):
            np.add.at(into, outputs.astype(np.int64) + k, values[places + k].T)


def _answers(questions: Array, sets: Array, matrix: Matrix) -> Array:
    """Shape (rows, questions)."""
    values = matrix[:, questions["column"]]
    missing = np.where(questions["kind"] == MISSING_IS_LEAST, LEAST, LARGEST)
    answers = np.where(np.isnan(values), missing, ordered(values))
    of_sets = np.flatnonzero(questions["kind"] == IS_CATEGORY)
    if len(of_sets):
        answers[:, of_sets] = ~_is_in_set(values[:, of_sets], questions["set"][of_sets].astype(np.int64), sets)
    return answers


def _is_in_set(values: Matrix, places: Array, sets: Array) -> Array:
    is_level = (values > -1.0) & (values < 2.0**31)
    levels = np.where(is_level, values, 0.0).astype(np.int64)
    word = levels >> 5
    is_level &= word < sets[places]
    bits = sets[np.where(is_level, places + 1 + word, 0)].astype(np.int64)
    return np.asarray(is_level & (bits >> (levels & 31) & 1 != 0))


def _leaves(nodes: Array, roots: Array, answers: Array) -> Array:
    """The leaf that each row reaches in each tree, shape (rows, trees)."""
    at = np.broadcast_to(roots, (len(answers), len(roots))).copy()
    row = np.arange(len(answers))[:, None]
    while True:
        node = nodes[at]
        following = node["child"] + (answers[row, node["question"]] > node["threshold"])
        if np.array_equal(following, at):
            return at
        at = following.astype(np.uint32)


add_leaves_by_plan: Callable[..., None] | None = None
"""The same for many rows by a plan (see tree_plan.py), where it is compiled."""
add_symmetric: Callable[..., None] | None = None
"""The same for many rows and symmetric trees (see symmetric_trees.py), where it is compiled."""
try:
    from rowsmith.training.families._traverse import add_leaves as _one_or_many
    from rowsmith.training.families._traverse import add_leaves_by_plan as _many
    from rowsmith.training.families._traverse import add_symmetric as _symmetric
except ImportError:  # also of one that an earlier release left behind
    is_compiled = False
    add_leaves: AddLeaves = add_leaves_numpy
else:
    is_compiled = True
    add_leaves, add_leaves_by_plan, add_symmetric = _one_or_many, _many, _symmetric
