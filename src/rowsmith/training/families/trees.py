"""One evaluator for every family of trees: LightGBM's, read from its model text.

Other libraries' trees are written as that text (`model_text`), so that a model of any of them answers one row
in microseconds through the C interface, and the library that grew the trees is not needed to serve them.
Format: https://lightgbm.readthedocs.io (src/io/gbdt_model_text.cpp, src/io/tree.cpp); of its fields only those
that prediction reads are kept.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rowsmith.types import Array, Matrix, Scores2D, Vector

END_OF_TREES = "end of trees"
NEEDED_FIELDS = frozenset(
    {"num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child"}
    | {"leaf_value", "cat_boundaries", "cat_threshold", "is_linear", "shrinkage"}
)
DEFAULT_LEFT, MISSING_IS_NAN = 2, 8
FLOAT32, NORMAL, RAW = 0, 0, 1


@dataclass(frozen=True)
class Tree:
    """A binary tree in arrays. Node 0 is the root; a child below 0 is leaf `~child`.

    A row goes left when its value is at most the threshold, or is missing and `default_left` holds. A tree
    without nodes has one leaf.
    """

    feature: Array
    threshold: Vector
    default_left: Array
    left: Array
    right: Array
    value: Vector


def model_text(trees: Sequence[Tree], *, features: int, outputs: int, objective: str, average: bool = False) -> str:
    """Trees as a model. Tree i adds to output i % outputs; `average` divides by their number."""
    blocks = [_tree_text(i, tree) for i, tree in enumerate(trees)]
    head = ["tree", "version=v4", f"num_class={outputs}", f"num_tree_per_iteration={outputs}", "label_index=0"]
    head += [f"max_feature_idx={features - 1}", f"objective={objective}"]
    head += ["average_output"] if average else []
    return _join(head, features, blocks)


def trimmed(text: str, features: int) -> str:
    """LightGBM's own text without what prediction does not need, and without names."""
    head, *blocks = text[: text.index(END_OF_TREES)].rstrip("\n").split("\nTree=")
    kept = [
        line
        for line in head.splitlines()
        if line and not line.startswith(("feature_names=", "feature_infos=", "tree_sizes=", "monotone_constraints="))
    ]
    trees = []
    for i, block in enumerate(blocks):
        fields = [line for line in block.splitlines()[1:] if line.split("=", 1)[0] in NEEDED_FIELDS]
        trees.append("\n".join([f"Tree={i}", *fields, "", "", ""]))
    return _join(kept, features, trees)


def _join(head: list[str], features: int, blocks: list[str]) -> str:
    names = " ".join(f"f{i}" for i in range(features))
    infos = " ".join(["none"] * features)
    sizes = " ".join(str(len(block)) for block in blocks)
    head = [*head, f"feature_names={names}", f"feature_infos={infos}", f"tree_sizes={sizes}", "", ""]
    return "\n".join(head) + "".join(blocks) + f"{END_OF_TREES}\n"


def _tree_text(number: int, tree: Tree) -> str:
    lines = [f"Tree={number}", f"num_leaves={len(tree.value)}", "num_cat=0"]
    if len(tree.feature):
        decision = MISSING_IS_NAN + DEFAULT_LEFT * tree.default_left.astype(np.int64)
        lines += [
            f"split_feature={_words(tree.feature)}",
            f"threshold={_numbers(tree.threshold)}",
            f"decision_type={_words(decision)}",
            f"left_child={_words(tree.left)}",
            f"right_child={_words(tree.right)}",
        ]
    lines += [f"leaf_value={_numbers(tree.value)}", "is_linear=0", "shrinkage=1", "", "", ""]
    return "\n".join(lines)


def _words(values: Array) -> str:
    return " ".join(map(str, values.tolist()))


def _numbers(values: Vector) -> str:
    return " ".join(map(repr, values.astype(np.float64).tolist()))


class Evaluator:
    """Trees that predict. Batches and single rows run the same C++ code over a row, so their bits agree."""

    def __init__(self, text: str, *, outputs: int, raw: bool = False) -> None:
        self.text = text
        self.outputs = outputs
        self._raw = raw
        import lightgbm

        self._booster: Any = lightgbm.Booster(model_str=text)
        self._local = threading.local()

    def predict(self, matrix: Matrix) -> Scores2D:
        """Shape (rows, features) to (rows, outputs): what the model's objective makes of the sums of leaves."""
        if not len(matrix):
            return np.zeros((0, self.outputs))
        answer = self._booster.predict(np.ascontiguousarray(matrix), raw_score=self._raw, num_threads=1)
        return np.asarray(answer, dtype=np.float64).reshape(len(matrix), self.outputs)

    def predict_row(self, vector: Matrix) -> Vector:
        """Shape (features,) to (outputs,), through a configuration that each thread keeps for itself."""
        row = getattr(self._local, "row", None)
        if row is None:
            row = self._local.row = _RowCall(self._booster, len(vector), self.outputs, RAW if self._raw else NORMAL)
        return row(vector)


class _RowCall:
    """LGBM_BoosterPredictForMatSingleRowFast with its buffers. Belongs to one thread."""

    def __init__(self, booster: Any, features: int, outputs: int, kind: int) -> None:
        from lightgbm import basic

        library = self._library = vars(basic)["_LIB"]
        self._booster = booster  # the configuration points into it
        self._features = features
        self._config = ctypes.c_void_p()
        self._check(
            library.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle,
                ctypes.c_int(kind),
                ctypes.c_int(0),
                ctypes.c_int(-1),
                ctypes.c_int(FLOAT32),
                ctypes.c_int32(features),
                ctypes.c_char_p(b"num_threads=1"),
                ctypes.byref(self._config),
            )
        )
        self._answer = np.zeros(outputs)
        self._length = ctypes.c_int64()
        self._answer_at = ctypes.c_void_p(self._answer.ctypes.data)
        self._length_at = ctypes.byref(self._length)

    def __call__(self, vector: Matrix) -> Vector:
        if vector.dtype != np.float32 or vector.shape != (self._features,) or not vector.flags.c_contiguous:
            vector = np.ascontiguousarray(vector, dtype=np.float32).reshape(self._features)
        at = ctypes.c_void_p(vector.ctypes.data)
        self._check(
            self._library.LGBM_BoosterPredictForMatSingleRowFast(self._config, at, self._length_at, self._answer_at)
        )
        return self._answer.copy()

    def __del__(self) -> None:
        if self._config:
            self._library.LGBM_FastConfigFree(self._config)

    def _check(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(f"LightGBM: {self._library.LGBM_GetLastError().decode('utf-8', 'replace')}")
