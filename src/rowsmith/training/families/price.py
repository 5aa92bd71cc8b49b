"""What a row costs: microseconds guessed from the size of a learner, so that a replay elsewhere chooses alike.

The figures are those of one core of a server of 2020 (2 to 3 GHz), between other work that takes the nearer caches,
and of a learner evaluated together with the others of its ensemble (what all of them share is in `ROW_US`).
"""

from __future__ import annotations

import re

import numpy as np

from rowsmith.transformation.target_encoding import TargetEncoding
from rowsmith.types import Array

ROW_US = 40.0
"""Reading the row, encoding it, calls, calibration and the answer: paid once, whatever the ensemble."""
LEARNER_US = 0.7
"""A place in the weighted sum."""
ENCODED_COLUMN_US = 0.1
ARITHMETIC_US = 30.0
"""Columns made of pairs of numbers, and a learner that is evaluated alone because of them."""
LEAF_COUNT = re.compile(r"^num_leaves=(\d+)$", re.MULTILINE)


def of_trees(leaves: Array) -> float:
    """Binary trees of so many leaves each, one output a tree.

    Eight are walked at once, so what counts is how far apart the nodes lie: measured 7 ns a tree of 8 leaves, 16 ns of
    31, 35 ns of 127 (1,500 of each), and 190 and 320 ns of 2,500 and 20,000 leaves (150 of each).
    """
    depth = np.log2(np.maximum(leaves, 1))
    return float((3.0 + 0.11 * depth**3).sum()) / 1e3


def of_symmetric_trees(trees: int, depth: int, outputs: int) -> float:
    """CatBoost's: comparisons that wait for nothing, and one leaf with all outputs."""
    questions = 8 if depth <= 8 else 16
    return 2.0 + trees * (6.0 + 0.8 * questions + 2.0 * outputs) / 1e3


def of_text(text: str) -> float:
    """Trees in the common form."""
    return of_trees(np.array(LEAF_COUNT.findall(text), dtype=np.int64))


def of_forest(leaves: Array, outputs: int) -> float:
    """Trees whose leaves are looked up in a table where they hold more than one number."""
    return of_trees(leaves) + (len(leaves) * (10.0 + 3.0 * outputs) / 1e3 if outputs > 1 else 0.0)


def of_encoding(encoding: TargetEncoding | None) -> float:
    return ENCODED_COLUMN_US * len(encoding.columns) if encoding else 0.0


def of_linear(columns: int, outputs: int) -> float:
    """The dense view, and a sum for each output."""
    return 14.0 + 0.05 * columns + 0.002 * columns * outputs
