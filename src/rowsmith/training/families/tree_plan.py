"""TreePlan: how many rows go through the small trees of a table together, 64 at a time (see _traverse.c)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rowsmith.types import Array, Rows

TEST = np.dtype([("question", np.uint32), ("threshold", np.int32)])
"""Whether an answer is at most a threshold; in the order of questions, then of thresholds."""
STEP = np.dtype([("slot", np.uint32), ("test", np.uint32)])
"""Of the rows in a slot, those that pass a test stay, and the others go to a new one: step i of a tree to slot i + 1.
They begin in slot 0, and at last each slot is a leaf."""
MOST_LEAVES = 256
"""Of a larger tree rows see so little that walking is quicker."""
NOT_PLANNED = np.iinfo(np.uint32).max
SIGN = 1 << 31

Arrays: TypeAlias = tuple[Array, Array, Array, Array]


@dataclass(frozen=True)
class TreePlan:
    """`steps` are those of the inner nodes of each planned tree, `inner` says of every tree how many these are, and
    `places` where the numbers of each leaf begin."""

    tests: Array
    steps: Array
    inner: Array
    places: Array

    @property
    def arrays(self) -> Arrays:
        """As add_leaves_by_plan takes them."""
        return self.tests, self.steps, self.inner, self.places


def plan_of(nodes: Array, roots: Array) -> TreePlan:
    """`nodes` and `roots` as in NodeTable, where one tree lies behind the other."""
    child = nodes["child"].astype(np.int64)
    is_inner = child != np.arange(len(nodes))
    first = roots.astype(np.int64)
    trees = np.repeat(np.arange(len(first)), np.diff(first, append=len(nodes)))
    inner = np.bincount(trees[is_inner], minlength=len(first))
    is_planned = inner < MOST_LEAVES
    levels = _levels(child, is_inner, first[is_planned])
    stepped = np.concatenate(levels)
    stepped = stepped[np.argsort(trees[stepped], kind="stable")]
    slot = np.zeros(len(nodes), dtype=np.int64)
    steps_of_tree = inner * is_planned
    before = np.cumsum(steps_of_tree) - steps_of_tree
    slot[child[stepped] + 1] = np.arange(1, len(stepped) + 1) - before[trees[stepped]]
    for level in levels:
        slot[child[level]] = slot[level]
    steps = np.zeros(len(stepped), dtype=STEP)
    steps["slot"] = slot[stepped]
    tests, steps["test"] = tests_of(nodes["question"][stepped], nodes["threshold"][stepped])
    leaves = np.flatnonzero(~is_inner & is_planned[trees])
    sizes = (inner + 1) * is_planned
    places = np.zeros(len(leaves), dtype=np.uint32)
    places[(np.cumsum(sizes) - sizes)[trees[leaves]] + slot[leaves]] = nodes["place"][leaves]
    told = np.where(is_planned, inner, NOT_PLANNED).astype(np.uint32)
    return TreePlan(tests, steps, told, places)


def tests_of(questions: Array, thresholds: Array) -> tuple[Array, Rows]:
    """The different ones among these tests, and the number of each."""
    keys = questions.astype(np.int64) << 32 | (thresholds.astype(np.int64) + SIGN)
    different, number = np.unique(keys, return_inverse=True)
    tests = np.zeros(len(different), dtype=TEST)
    tests["question"], tests["threshold"] = different >> 32, (different & (2 * SIGN - 1)) - SIGN
    return tests, number


def _levels(child: Rows, is_inner: Array, roots: Rows) -> list[Rows]:
    """The inner nodes of the trees with these roots: the roots, those below them, and so on."""
    levels = [roots[is_inner[roots]]]
    while len(levels[-1]):
        below = np.stack([child[levels[-1]], child[levels[-1]] + 1], axis=1).ravel()
        levels.append(below[is_inner[below]])
    return levels
