"""Target encoding: the level of a category replaced by what the target is like there. Fitted inside folds only.

Each level's mean is drawn towards the overall mean by as much as levels of its size are noise (empirical Bayes:
Micci-Barreca 2001, doi:10.1145/507533.507538). Rows that it is fitted on are encoded by the other parts of an inner
split, never by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rowsmith.state import State
from rowsmith.transformation.structure import Structure, inner_parts
from rowsmith.types import Array, Feature, Matrix, Rows, Vector

MIN_LEVELS = 8
INNER_FOLDS = 5
MAX_CLASSES = 10
MAX_COLUMNS = 256
WEAKEST_PRIOR = 1.0
"""The overall mean counts at least as much as this many rows."""


@dataclass(frozen=True, eq=False)
class TargetEncoding:
    """`table` has a row for each level of each encoded column, float32 (slots, responses).

    `columns` are those of the matrix, `first` their first slot, `missing` the slot for a missing value.
    `features` describes the columns that `apply` appends: for each encoded column one per response.
    """

    kind: ClassVar[str] = "target_encoding"

    columns: Rows
    first: Rows
    missing: Rows
    table: Matrix
    features: tuple[Feature, ...]

    @classmethod
    def fit(
        cls,
        matrix: Matrix,
        features: Sequence[Feature],
        target: Array,
        classes: int,
        weights: Vector | None = None,
        seed: int = 0,
        *,
        min_levels: int = MIN_LEVELS,
        structure: Structure | None = None,
    ) -> tuple[TargetEncoding, Matrix]:
        """The encoding for new rows, and the training matrix with its out-of-fold columns appended.

        Shapes: matrix (rows, features), target (rows,) of class codes, or of numbers where `classes` is 0. Encoded are
        categories of more than `min_levels` levels: by the share of the event for two classes, by that of each (of the
        ten most frequent) for more, by the mean for numbers. The inner split respects the `structure` of the rows.
        """
        responses, names = _responses(target, classes)
        columns = _choose_columns(features, min_levels, len(names))
        sizes = np.array([features[c].levels + 1 for c in columns], dtype=np.int64)
        first = np.cumsum(sizes) - sizes
        parts = inner_parts(len(matrix), INNER_FOLDS, structure, seed)
        ordered = structure is not None and structure.is_ordered
        weights = np.ones(len(matrix)) if weights is None else weights
        encoding = cls(
            columns=columns,
            first=first,
            missing=first + sizes - 1,
            table=np.empty((int(sizes.sum()), len(names)), dtype=np.float32),
            features=tuple(
                Feature(f"{features[c].name}:{name}", features[c].source) for c in columns for name in names
            ),
        )
        encoded = np.empty((len(matrix), len(columns), len(names)), dtype=np.float32)
        slots = encoding._slots(matrix)
        for i, (start, size) in enumerate(zip(first, sizes, strict=True)):
            levels = slots[:, i] - start
            encoding.table[start : start + size], encoded[:, i] = _fit_column(
                levels, int(size), responses, weights, parts, ordered
            )
        return encoding, _appended(matrix, encoded)

    def apply(self, matrix: Matrix) -> Matrix:
        """Shape (rows, features) to (rows, features + encoded), for rows it was not fitted on."""
        return _appended(matrix, self.table[self._slots(matrix)])

    def apply_row(self, vector: Matrix) -> Matrix:
        """Shape (features,) to (features + encoded,), with the bits of `apply`."""
        return np.concatenate([vector, self.table[self._slots(vector)].ravel()])

    @classmethod
    def joined(cls, encodings: Sequence[TargetEncoding]) -> TargetEncoding:
        """One that appends the columns of all of these, in their order. All have the same number of responses."""
        offsets = np.cumsum([0, *(len(encoding.table) for encoding in encodings[:-1])])
        pairs = list(zip(encodings, offsets, strict=True))
        return cls(
            columns=np.concatenate([encoding.columns for encoding in encodings]),
            first=np.concatenate([encoding.first + offset for encoding, offset in pairs]),
            missing=np.concatenate([encoding.missing + offset for encoding, offset in pairs]),
            table=np.concatenate([encoding.table for encoding in encodings]),
            features=tuple(feature for encoding in encodings for feature in encoding.features),
        )

    def _slots(self, matrix: Matrix) -> Rows:
        return slots_of(matrix[..., self.columns], self.first, self.missing)

    def to_state(self) -> State:
        arrays: dict[str, Array] = {
            "columns": self.columns,
            "first": self.first,
            "missing": self.missing,
            "table": self.table,
        }
        return State(self.kind, {"features": [[f.name, f.source] for f in self.features]}, arrays)

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> TargetEncoding:
        features = tuple(Feature(name, source) for name, source in state.data["features"])
        return cls(**state.arrays, features=features)


def slots_of(codes: Matrix, first: Rows, missing: Rows) -> Rows:
    """Places in a table that holds the levels of several categories one after another. Last axis: the categories."""
    return np.asarray(np.where(np.isnan(codes), missing - first, codes).astype(np.int64) + first)


def _appended(matrix: Matrix, encoded: Matrix) -> Matrix:
    return np.concatenate([matrix, encoded.reshape(len(matrix), -1)], axis=1) if encoded.size else matrix


def _choose_columns(features: Sequence[Feature], min_levels: int, responses: int) -> Rows:
    """Those of the most levels, should they be too many."""
    large = [column for column, feature in enumerate(features) if feature.levels > min_levels]
    large.sort(key=lambda column: -features[column].levels)
    return np.array(sorted(large[: max(MAX_COLUMNS // responses, 1)]), dtype=np.int64)


def _responses(target: Array, classes: int) -> tuple[Array, list[str]]:
    """What is averaged: shape (rows, responses), float64; and names for it."""
    if classes == 0:
        return np.asarray(target, dtype=np.float64)[:, None], ["mean"]
    if classes == 2:
        return (target == 1).astype(np.float64)[:, None], ["event"]
    frequent = np.argsort(-np.bincount(target, minlength=classes), kind="stable")[:MAX_CLASSES]
    kept = np.sort(frequent)
    return (target[:, None] == kept).astype(np.float64), [f"class_{code}" for code in kept]


def _fit_column(
    levels: Rows, size: int, responses: Array, weights: Vector, parts: Rows, ordered: bool
) -> tuple[Array, Array]:
    """The table (size, responses) from all rows, and each row's value (rows, responses) from the other inner parts, or
    from the parts before its own."""
    cells = levels * INNER_FOLDS + parts
    rows = np.bincount(cells, weights=weights, minlength=size * INNER_FOLDS).reshape(size, INNER_FOLDS)
    all_rows = rows.sum(axis=1)
    table, encoded = np.empty((size, responses.shape[1])), np.empty(responses.shape)
    for i, response in enumerate(responses.T):
        sums = np.bincount(cells, weights=weights * response, minlength=size * INNER_FOLDS).reshape(size, INNER_FOLDS)
        all_sums = sums.sum(axis=1)
        prior = _prior_strength(all_rows, all_sums, float(weights @ response**2))
        table[:, i] = _drawn(all_sums, all_rows, all_sums.sum() / all_rows.sum(), prior)
        other_rows, other_sums = _others(rows, ordered), _others(sums, ordered)
        # The first stretch of time has nothing before it: all its levels are the overall mean.
        means = np.full(INNER_FOLDS, all_sums.sum() / all_rows.sum())
        np.divide(other_sums.sum(axis=0), other_rows.sum(axis=0), out=means, where=other_rows.sum(axis=0) > 0)
        encoded[:, i] = _drawn(other_sums, np.maximum(other_rows, 0), means, prior)[levels, parts]
    return table, encoded


def _others(sums: Array, ordered: bool) -> Array:
    """Shape (levels, parts): for each part the sum over the others, or over those before it."""
    return np.asarray((np.cumsum(sums, axis=1) if ordered else sums.sum(axis=1, keepdims=True)) - sums)


def _drawn(sums: Array, rows: Array, mean: Any, prior: float) -> Array:
    drawn: Array = (sums + prior * mean) / (rows + prior)
    return drawn


def _prior_strength(rows: Array, sums: Array, sum_of_squares: float) -> float:
    """Variance within levels over variance between them, by the method of moments (one-way random effects), in rows."""
    present = rows > 0
    rows, sums = rows[present], sums[present]
    total, levels = rows.sum(), len(rows)
    within_sum = max(sum_of_squares - float((sums**2 / rows).sum()), 0.0)
    within = within_sum / max(total - levels, 1)
    between_sum = float((rows * (sums / rows - sums.sum() / total) ** 2).sum())
    spread = total - (rows**2).sum() / total
    between = (between_sum - (levels - 1) * within) / spread if spread > 0 else 0.0
    # Levels that differ by no more than noise: all are the overall mean.
    strength = within / between if between > 0 else total * total
    return float(min(max(strength, WEAKEST_PRIOR), total * total))
