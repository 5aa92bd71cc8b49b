"""Trees as text: the one form in which trees are kept, whichever library grew them. `tree_text.py` reads it.

It is LightGBM's model text, of which only those fields are kept that prediction reads. Format:
https://github.com/microsoft/LightGBM, src/io/gbdt_model_text.cpp and src/io/tree.cpp
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rowsmith.types import Array, Matrix, Vector

END_OF_TREES = "end of trees"
NEEDED_FIELDS = frozenset(
    {"num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child"}
    | {"leaf_value", "cat_boundaries", "cat_threshold", "is_linear", "shrinkage"}
)
NOT_KEPT = ("feature_names=", "feature_infos=", "tree_sizes=", "monotone_constraints=", "objective=")
BITS_OF_A_LEAF = 34
"""With those of 2^18 trees they make the 52 bits up to which sums are exact."""
IS_CATEGORY, DEFAULT_LEFT, MISSING_IS_NAN = 1, 2, 8


@dataclass(frozen=True)
class Tree:
    """A binary tree in arrays, shape (nodes,) and, for `value`, (leaves,) or (leaves, outputs).

    Node 0 is the root; a child below 0 is leaf `~child`. A row goes left when its value, a float32, is at most the
    threshold, or is missing and `default_left` holds. A tree without nodes has one leaf.
    """

    feature: Array
    threshold: Vector
    default_left: Array
    left: Array
    right: Array
    value: Array

    @classmethod
    def of_nodes(
        cls, left: Array, right: Array, feature: Array, threshold: Array, default_left: Array, value: Array
    ) -> Tree:
        """From libraries that keep nodes and leaves in one list, where a leaf has no left child (-1)."""
        is_leaf = left < 0
        place = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
        inner = ~is_leaf
        return cls(
            feature=feature[inner],
            threshold=threshold[inner].astype(np.float64),
            default_left=default_left[inner].astype(bool),
            left=place[left[inner]],
            right=place[right[inner]],
            value=value[is_leaf].astype(np.float64),
        )


@dataclass(frozen=True)
class TreeText:
    """Trees as a model whose leaves hold whole numbers, to be multiplied by `unit`, a power of two.

    Sums of them are exact, so that trees may be asked in any order. Leaves have ten digits.
    """

    text: str
    unit: float


def model_text(trees: Sequence[Tree], *, features: int, outputs: int) -> TreeText:
    """Trees as a model. Tree i adds to output i % outputs."""
    unit = _unit([tree.value for tree in trees])
    blocks = [_tree_text(i, tree, unit) for i, tree in enumerate(trees)]
    return TreeText(_join(_head(features, outputs), features, blocks), unit)


def _unit(values: Sequence[Vector]) -> float:
    largest = max((float(np.abs(leaves).max(initial=0.0)) for leaves in values), default=0.0)
    return float(2.0 ** (math.frexp(largest)[1] - BITS_OF_A_LEAF))


def trimmed(text: str, features: int) -> TreeText:
    """LightGBM's own text without what prediction does not need, and with no more digits than it needs."""
    head, *blocks = text[: text.index(END_OF_TREES)].rstrip("\n").split("\nTree=")
    kept = [line for line in head.splitlines() if line and not line.startswith(NOT_KEPT)]
    trees = [dict(line.split("=", 1) for line in block.splitlines()[1:] if "=" in line) for block in blocks]
    leaves = [np.array(fields["leaf_value"].split(), dtype=np.float64) for fields in trees]
    unit = _unit(leaves)
    written = []
    for i, (fields, values) in enumerate(zip(trees, leaves, strict=True)):
        needed = {name: value for name, value in fields.items() if name in NEEDED_FIELDS}
        if "threshold" in needed:
            decisions = np.array(needed["decision_type"].split(), dtype=np.int64)
            numbers = np.array(needed["threshold"].split(), dtype=np.float64)
            needed["threshold"] = _thresholds(numbers, decisions & IS_CATEGORY != 0)
        needed["leaf_value"] = _in_units(values, unit)
        written.append("\n".join([f"Tree={i}", *(f"{name}={value}" for name, value in needed.items()), "", "", ""]))
    return TreeText(_join(kept, features, written), unit)


def _head(features: int, outputs: int) -> list[str]:
    kind = ["tree", "version=v4", f"num_class={outputs}", f"num_tree_per_iteration={outputs}", "label_index=0"]
    return [*kind, f"max_feature_idx={features - 1}"]


def _join(head: list[str], features: int, blocks: list[str]) -> str:
    names = " ".join(f"f{i}" for i in range(features))
    infos = " ".join(["none"] * features)
    sizes = " ".join(str(len(block)) for block in blocks)
    head = [*head, f"feature_names={names}", f"feature_infos={infos}", f"tree_sizes={sizes}", "", ""]
    return "\n".join(head) + "".join(blocks) + f"{END_OF_TREES}\n"


def _tree_text(number: int, tree: Tree, unit: float) -> str:
    lines = [f"Tree={number}", f"num_leaves={len(tree.value)}", "num_cat=0"]
    if len(tree.feature):
        decision = MISSING_IS_NAN + DEFAULT_LEFT * tree.default_left.astype(np.int64)
        lines += [
            f"split_feature={_words(tree.feature)}",
            f"threshold={_thresholds(tree.threshold, np.zeros(len(tree.threshold), dtype=bool))}",
            f"decision_type={_words(decision)}",
            f"left_child={_words(tree.left)}",
            f"right_child={_words(tree.right)}",
        ]
    lines += [f"leaf_value={_in_units(tree.value, unit)}", "is_linear=0", "shrinkage=1", "", "", ""]
    return "\n".join(lines)


def _words(values: Array) -> str:
    return " ".join(map(str, values.tolist()))


def _in_units(values: Vector, unit: float) -> str:
    return _words(np.round(values / unit).astype(np.int64))


def last_float32(thresholds: Array) -> Matrix:
    """The largest float32 that is at most the threshold."""
    with np.errstate(over="ignore"):
        last = thresholds.astype(np.float32)
        return np.where(last > thresholds, np.nextafter(last, np.float32(-np.inf)), last)


def _thresholds(thresholds: Vector, exact: Array) -> str:
    """Values are float32, so any number from the last float32 that goes left to the next one splits alike: nine
    digits of their middle do. Places of categories (`exact`) stay whole numbers."""
    last = last_float32(thresholds)
    with np.errstate(over="ignore"):
        following = np.nextafter(last, np.float32(np.inf))
    middle = (last.astype(np.float64) + following.astype(np.float64)) / 2
    # Near nought and at the ends of float32 nine digits may not be enough.
    plain = np.isfinite(middle) & (np.abs(middle) > 1e-30)
    words = [
        str(int(number)) if whole else f"{mid:.9g}" if short else repr(number)
        for number, mid, whole, short in zip(
            thresholds.tolist(), middle.tolist(), exact.tolist(), plain.tolist(), strict=True
        )
    ]
    return " ".join(words)
