"""Trees as one `TreeEnsemble` (ai.onnx.ml 5), in float64, where the sums of leaves are as exact as the model's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import numpy_helper

from rowsmith.conversion.onnx.graph import ML, Graph
from rowsmith.training.families.node_table import Splits
from rowsmith.types import Array

AT_MOST, ABOVE, ONE_OF = 0, 3, 6
"""Modes of a node: when a row goes to the child of truth."""
SUM, NOTHING_AFTER = 1, 0


@dataclass(frozen=True)
class Nodes:
    """One tree, shape (nodes,); a child below 0 is leaf `~child`. `value` is what each leaf holds, shape (leaves,).

    `levels` are those that lead to the child of truth, for each node that is `ONE_OF`, in their order.
    """

    feature: Array
    split: Array
    mode: Array
    truth: Array
    falsehood: Array
    missing_is_true: Array
    value: Array
    levels: tuple[Array, ...] = ()

    def never_empty(self) -> Nodes:
        """ONNX has no tree of one leaf: one question with the same leaf on both sides stands for it."""
        if len(self.feature):
            return self
        zero, leaf = np.zeros(1, dtype=np.int64), np.full(1, ~0)
        return Nodes(zero, np.zeros(1), zero, leaf, leaf, zero, self.value)


def ensemble(graph: Graph, matrix: str, trees: Sequence[Nodes], targets: Sequence[int], outputs: int) -> str:
    """Sums of what leaves hold, shape (rows, outputs); tree i adds to output `targets[i]`."""
    if not trees:
        shape = graph.op("Slice", graph.op("Shape", matrix), *map(graph.integers, ([0], [1])))
        whole = graph.op("Concat", shape, graph.integers([outputs]), axis=0)
        return graph.op("Expand", graph.constant([[0.0]]), whole)
    trees = [tree.never_empty() for tree in trees]
    nodes = np.cumsum([0, *(len(tree.feature) for tree in trees)])
    leaves = np.cumsum([0, *(len(tree.value) for tree in trees)])

    def children(name: str) -> tuple[Array, Array]:
        """Places in the lists of nodes or of leaves, and whether it is a leaf."""
        parts = [getattr(tree, name) for tree in trees]
        starts = zip(parts, nodes[:-1], leaves[:-1], strict=True)
        places = [np.where(part < 0, ~part + leaf, part + node) for part, node, leaf in starts]
        return np.concatenate(places), np.concatenate(parts) < 0

    (truth, truth_is_leaf), (falsehood, falsehood_is_leaf) = children("truth"), children("falsehood")
    sets = [levels for tree in trees for levels in tree.levels]
    members = [np.append(levels, np.nan) for levels in sets]
    more: dict[str, Any] = {"membership_values": numpy_helper.from_array(np.concatenate(members))} if members else {}
    return graph.op(
        "TreeEnsemble",
        matrix,
        domain=ML,
        n_targets=outputs,
        aggregate_function=SUM,
        post_transform=NOTHING_AFTER,
        tree_roots=nodes[:-1].tolist(),
        nodes_featureids=_joined(trees, "feature").tolist(),
        nodes_splits=numpy_helper.from_array(_joined(trees, "split").astype(np.float64)),
        nodes_modes=numpy_helper.from_array(_joined(trees, "mode").astype(np.uint8)),
        nodes_truenodeids=truth.tolist(),
        nodes_trueleafs=truth_is_leaf.astype(int).tolist(),
        nodes_falsenodeids=falsehood.tolist(),
        nodes_falseleafs=falsehood_is_leaf.astype(int).tolist(),
        nodes_missing_value_tracks_true=_joined(trees, "missing_is_true").tolist(),
        leaf_targetids=np.repeat(targets, np.diff(leaves)).tolist(),
        leaf_weights=numpy_helper.from_array(_joined(trees, "value").astype(np.float64)),
        **more,
    )


def _joined(trees: Sequence[Nodes], name: str) -> Array:
    return np.concatenate([np.asarray(getattr(tree, name)) for tree in trees])


def of_splits(splits: Splits, values: Array) -> Iterator[Nodes]:
    """Tree by tree; `values`, shape (all leaves,), are what their leaves hold."""
    is_category = splits.is_category
    if is_category is None:
        is_category = np.zeros(len(splits.column), dtype=bool)
    set_place = splits.set_place if splits.set_place is not None else np.zeros(len(is_category), dtype=np.int64)
    columns = (
        splits.column,
        np.where(is_category, 0.0, splits.threshold),
        np.where(is_category, ONE_OF, AT_MOST),
        splits.left,
        splits.right,
        # A missing category is in no set.
        (splits.missing_left & ~is_category).astype(np.int64),
        set_place,
    )
    cuts = np.cumsum(splits.nodes)[:-1]
    held = np.split(values, np.cumsum(splits.leaves)[:-1])
    parts = [np.split(column, cuts) for column in columns]
    for column, split, mode, left, right, missing, places, value in zip(*parts, held, strict=True):
        starts = places[mode == ONE_OF].tolist()
        levels = tuple(_levels(splits.sets[start + 1 : start + 1 + int(splits.sets[start])]) for start in starts)
        yield Nodes(column, split, mode, left, right, missing, value, levels)


def _levels(words: Array) -> Array:
    """The numbers of the bits that are set, in words of 32 bits."""
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    return np.flatnonzero(bits).astype(np.float64)


def symmetric(columns: Array, borders: Array, value: Array) -> Nodes:
    """A tree that asks one question a level: bit i of the leaf's number is whether `columns[i]` is above its border."""
    depth = len(columns)
    level = np.repeat(np.arange(depth), 2 ** np.arange(depth))  # of each node, breadth first
    question = depth - 1 - level  # the root decides the highest bit
    node = np.arange(2**depth - 1)
    below, above = 2 * node + 1, 2 * node + 2
    is_last = level == depth - 1
    first_leaf = 2**depth - 1
    return Nodes(
        columns[question],
        borders[question].astype(np.float64),
        np.full(len(node), ABOVE),
        np.where(is_last, ~(above - first_leaf), above),
        np.where(is_last, ~(below - first_leaf), below),
        np.zeros(len(node), dtype=np.int64),
        value,
    )
