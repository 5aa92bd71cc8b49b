"""TreePlan: how many rows go through the small trees of a table together, 64 at a time (see _traverse.c)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rowsmith.types import Array

TEST = np.dtype([("question", np.uint32), ("threshold", np.int32)])
"""Whether an answer is at most a threshold; in the order of questions, then of thresholds."""
STEP = np.dtype([("left", np.uint16), ("right", np.uint16), ("test", np.uint32)])
"""Where the rows go that came to an inner node: to the left those that pass the test."""
MOST_LEAVES = 256
"""Of a larger tree rows see so little that walking is quicker. Leaves have the places from here on."""
NOT_PLANNED = np.iinfo(np.uint32).max
SIGN = 1 << 31

Arrays: TypeAlias = tuple[Array, Array, Array, Array]


@dataclass(frozen=True)
class TreePlan:
    """`steps` are those of the inner nodes of each planned tree, in an order in which children come after their
    parents; `inner` says of every tree how many these are, and `places` where the numbers of each leaf begin."""

    tests: Array
    steps: Array
    inner: Array
    places: Array

    @property
    def arrays(self) -> Arrays:
        """As add_leaves_of_many takes them."""
        return self.tests, self.steps, self.inner, self.places


def plan_of(nodes: Array, roots: Array) -> TreePlan:
    """`nodes` and `roots` as in NodeTable, where one tree lies behind the other."""
    here = np.arange(len(nodes))
    child = nodes["child"].astype(np.int64)
    is_inner = child != here
    first = roots.astype(np.int64)
    trees = np.repeat(np.arange(len(first)), np.diff(first, append=len(nodes)))
    inner = np.bincount(trees[is_inner], minlength=len(first))
    turned = np.bincount(trees[child < here], minlength=len(first))
    is_planned = (inner < MOST_LEAVES) & (turned == 0)
    before = np.cumsum(is_inner) - is_inner
    before -= before[first][trees]
    place = np.where(is_inner, before, MOST_LEAVES + here - first[trees] - before)
    chosen = is_inner & is_planned[trees]
    keys = nodes["question"][chosen].astype(np.int64) << 32 | (nodes["threshold"][chosen].astype(np.int64) + SIGN)
    different, number = np.unique(keys, return_inverse=True)
    tests = np.zeros(len(different), dtype=TEST)
    tests["question"], tests["threshold"] = different >> 32, (different & (2 * SIGN - 1)) - SIGN
    steps = np.zeros(len(number), dtype=STEP)
    steps["left"], steps["right"], steps["test"] = place[child[chosen]], place[child[chosen] + 1], number
    places = nodes["place"][~is_inner & is_planned[trees]]
    told = np.where(is_planned, inner, NOT_PLANNED).astype(np.uint32)
    return TreePlan(tests, steps, told, np.ascontiguousarray(places))
