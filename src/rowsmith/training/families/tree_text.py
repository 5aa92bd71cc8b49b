"""Reading LightGBM's model text, the form in which boosted trees are kept, into a table of nodes (see `trees.py`)."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import orjson

from rowsmith.errors import ArtifactError
from rowsmith.training.families.node_table import NO_SETS, NodeTable, Splits
from rowsmith.training.families.trees import DEFAULT_LEFT, END_OF_TREES, IS_CATEGORY, MISSING_IS_NAN, last_float32
from rowsmith.types import Array, Rows, Vector

MISSING_IS_ZERO = 4
MISSING = MISSING_IS_ZERO | MISSING_IS_NAN


def node_table(text: str, outputs: int) -> NodeTable:
    """Trees in the text as a table; tree i adds to output i % outputs. Raises ArtifactError as `splits_of` does."""
    splits, values = splits_of(text)
    trees = np.arange(len(splits.leaves))
    return NodeTable.of(splits, np.arange(len(values)), values, 1, trees % outputs, outputs)


def splits_of(text: str) -> tuple[Splits, Vector]:
    """The trees in the text, and what their leaves hold, shape (all leaves,).

    Raises ArtifactError for text that is not such a model.
    """
    fields = _fields(text)
    try:
        leaves = _whole(fields["num_leaves"])
        splits = _splits(fields, leaves)
        values = _numbers(fields["leaf_value"])
    except (ValueError, OverflowError) as error:
        raise ArtifactError(f"these are not trees: {error}") from error
    if len(leaves) != len(fields["Tree"]):
        raise ArtifactError("these are not trees: one does not say how many leaves it has")
    return splits, values


def _fields(text: str) -> dict[str, list[str]]:
    """What each tree says of itself, by name, in the order of the trees."""
    if END_OF_TREES not in text:
        raise ArtifactError("these are not trees: their text has no end")
    fields: dict[str, list[str]] = defaultdict(list)
    start = text.find("\nTree=0\n")
    for line in text[start:].split("\n") if start >= 0 else []:
        name, found, value = line.partition("=")
        if found:
            fields[name].append(value)
    return fields


def _splits(fields: dict[str, list[str]], leaves: Rows) -> Splits:
    threshold = _numbers(fields["threshold"])
    decision = _whole(fields["decision_type"])
    is_category = decision & IS_CATEGORY != 0
    if (decision & MISSING == MISSING_IS_ZERO).any():
        raise ArtifactError("these trees take 0 for a missing value, which no family of this program does")
    # Without missing values in training, LightGBM takes 0 for one.
    missing_left = np.where(decision & MISSING == MISSING_IS_NAN, decision & DEFAULT_LEFT != 0, threshold >= 0)
    sets, starts = _sets(fields)
    place = np.zeros(len(decision), dtype=np.int64)
    if is_category.any():
        nodes = leaves - 1
        own = np.repeat(_firsts(_whole(fields["num_cat"])), nodes)[is_category]
        place[is_category] = starts.take(own + threshold[is_category].astype(np.int64), mode="raise")
    return Splits(
        nodes=leaves - 1,
        leaves=leaves,
        column=_whole(fields["split_feature"]),
        threshold=last_float32(threshold),
        missing_left=missing_left,
        left=_whole(fields["left_child"]),
        right=_whole(fields["right_child"]),
        is_category=is_category,
        set_place=place,
        sets=sets,
    )


def _sets(fields: dict[str, list[str]]) -> tuple[Array, Rows]:
    """All different sets of levels, each a count of words and the words, and where each set of the text is among them.

    Trees ask for the same sets again and again; what is one set is one question.
    """
    places: dict[tuple[int, ...], int] = {}
    starts: list[int] = []
    length = 0
    for bounds, words in zip(fields["cat_boundaries"], fields["cat_threshold"], strict=True):
        cuts, levels = (list(map(int, text.split())) for text in (bounds, words))
        for start, stop in pairwise(cuts):
            found = (stop - start, *levels[start:stop])
            if found not in places:
                places[found] = length
                length += len(found)
            starts.append(places[found])
    sets = np.array([number for found in places for number in found], dtype=np.int64).astype(np.uint32)
    return sets if places else NO_SETS, np.array(starts, dtype=np.int64)


def _numbers(words: list[str]) -> Vector:
    return _array(words, np.dtype(np.float64))


def _whole(words: list[str]) -> Rows:
    return _array(words, np.dtype(np.int64))


def _array(words: list[str], kind: np.dtype[Any]) -> Array:
    """Numbers between spaces. A parser of JSON is twenty times as fast; infinities, and whatever else it does not know,
    are left to NumPy."""
    try:
        found = np.array(orjson.loads(f"[{','.join(words).replace(' ', ',')}]"))
    except orjson.JSONDecodeError:
        return np.array(" ".join(words).split(), dtype=kind)
    is_of_kind = found.dtype.kind == "i" or found.dtype.kind == kind.kind
    if found.ndim != 1 or (found.size and not is_of_kind):
        raise ValueError("these are not numbers of the right kind")
    return found.astype(kind)


def _firsts(sizes: Rows) -> Rows:
    return np.cumsum(sizes) - sizes
