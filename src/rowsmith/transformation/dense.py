"""DenseView: the encoded matrix as linear models and neural networks want it. Fitted inside folds only.

Numbers are centred by the median, scaled by the interquartile range and softly clipped to (-3, 3) as in RealMLP
(Holzmüller et al. 2024, arXiv:2407.04491); a missing one is 0, and 1 in an indicator. Categories of few levels get a
column for each frequent level, the others are target encoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rowsmith.state import State
from rowsmith.transformation.dense_rows import densify
from rowsmith.transformation.structure import Structure
from rowsmith.transformation.target_encoding import TargetEncoding
from rowsmith.types import Array, Feature, Matrix, Rows, Vector

MAX_LEVELS = 32
"""Categories with more are target encoded."""
RARE_SHARE = 0.001
RARE_ROWS = 3
ROWS_LOOKED_AT = 20_000
SOFT_LIMIT = 3.0
NORMAL_QUARTILES = 1.349
"""The interquartile range of a normal distribution in standard deviations."""


@dataclass(frozen=True, eq=False)
class DenseView:
    """Column positions refer to the matrix with the target-encoded columns appended.

    `numbers` are scaled by `centre` and `scale`, `indicators` are those whose absence is told, `categories` are spread:
    `first` is the first slot of each in `spread`, `missing` its slot for a missing value, and `spread` holds the column
    of the answer that a slot sets to 1, or -1.
    """

    kind: ClassVar[str] = "dense_view"

    target_encoding: TargetEncoding
    numbers: Rows
    centre: Vector
    scale: Vector
    indicators: Rows
    categories: Rows
    first: Rows
    missing: Rows
    spread: Rows
    _width: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("numbers", "indicators", "categories", "first", "missing", "spread"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.int64))
        for name in ("centre", "scale"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        width = len(self.numbers) + len(self.indicators) + int((self.spread >= 0).sum())
        object.__setattr__(self, "_width", width)

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
        structure: Structure | None = None,
    ) -> tuple[DenseView, Array]:
        """The view for new rows, and the training rows through it (out of fold where the target is in it).

        Arguments as for `TargetEncoding.fit`.
        """
        encoding, matrix = TargetEncoding.fit(
            matrix, features, target, classes, weights, seed, min_levels=MAX_LEVELS, structure=structure
        )
        features = (*features, *encoding.features)
        numbers = np.array([i for i, feature in enumerate(features) if not feature.levels], dtype=np.int64)
        centre, scale = _centre_and_scale(matrix, numbers)
        indicators = _choose_indicators(matrix, features, numbers)
        encoded = set(encoding.columns.tolist())
        categories = [i for i, feature in enumerate(features) if feature.levels and i not in encoded]
        slots = [_frequent_slots(matrix[:, i], features[i].levels) for i in categories]
        sizes = np.array([len(frequent) for frequent in slots], dtype=np.int64)
        first = np.cumsum(sizes) - sizes
        frequent = np.concatenate(slots) if slots else np.zeros(0, dtype=bool)
        start = len(numbers) + len(indicators)
        view = cls(
            target_encoding=encoding,
            numbers=numbers,
            centre=centre,
            scale=scale,
            indicators=indicators,
            categories=np.array(categories, dtype=np.int64),
            first=first,
            missing=first + sizes - 1,
            spread=np.where(frequent, start + np.cumsum(frequent) - 1, -1),
        )
        return view, view._densified(matrix)

    @property
    def width(self) -> int:
        """Columns of the answer."""
        return self._width

    def apply(self, matrix: Matrix) -> Array:
        """Shape (rows, features) to float64 (rows, width), finite, for rows it was not fitted on."""
        return self._densified(self.target_encoding.apply(matrix))

    def apply_row(self, vector: Matrix) -> Array:
        """Shape (features,) to (width,), with the bits of `apply`."""
        dense: Array = self.apply(vector[None, :])[0]
        return dense

    def _densified(self, matrix: Matrix) -> Array:
        dense = np.zeros((len(matrix), self._width))
        if len(matrix):
            densify(
                np.ascontiguousarray(matrix, dtype=np.float32),
                self.numbers,
                self.centre,
                self.scale,
                self.indicators,
                self.categories,
                self.first,
                self.missing,
                self.spread,
                dense,
                len(matrix),
                SOFT_LIMIT,
            )
        return dense

    def to_state(self) -> State:
        names = ("numbers", "centre", "scale", "indicators", "categories", "first", "missing", "spread")
        arrays = {name: getattr(self, name) for name in names}
        return State(self.kind, arrays=arrays, children={"target_encoding": self.target_encoding.to_state()})

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> DenseView:
        return cls(target_encoding=parts["target_encoding"], **state.arrays)


def _centre_and_scale(matrix: Matrix, numbers: Rows) -> tuple[Vector, Vector]:
    """Scale is what to multiply with: 0 for a column that does not vary, which so becomes 0."""
    looked_at = matrix[:: max(len(matrix) // ROWS_LOOKED_AT, 1)]
    centre, scale = np.zeros(len(numbers)), np.zeros(len(numbers))
    for i, number in enumerate(numbers):
        values = looked_at[:, number].astype(np.float64)
        values = values[~np.isnan(values)]
        if not len(values):
            continue
        lower, centre[i], upper = np.quantile(values, (0.25, 0.5, 0.75))
        # Most values may be one and the same (amounts that are mostly 0); then the others set the scale.
        spread = (upper - lower) / NORMAL_QUARTILES or values.std()
        scale[i] = 1 / spread if spread > 0 else 0.0
    return centre, scale


def _choose_indicators(matrix: Matrix, features: Sequence[Feature], numbers: Rows) -> Rows:
    """One number of each table column that is missing in some rows: its other numbers are missing with it."""
    first_of_source = {features[i].source: int(i) for i in reversed(numbers.tolist())}
    categories = {feature.source for feature in features if feature.levels}
    candidates = sorted(i for source, i in first_of_source.items() if source not in categories)
    return np.array([i for i in candidates if 0 < np.isnan(matrix[:, i]).sum() < len(matrix)], dtype=np.int64)


def _frequent_slots(codes: Matrix, levels: int) -> npt.NDArray[np.bool_]:
    """Which of the levels, and at last "missing", have rows enough for a column of their own: shape (levels + 1,)."""
    is_missing = np.isnan(codes)
    counts = np.bincount(
        np.where(is_missing, levels, np.where(is_missing, 0, codes)).astype(np.int64), minlength=levels + 1
    )
    return (counts >= max(RARE_ROWS, RARE_SHARE * len(codes))) & (counts < len(codes))
