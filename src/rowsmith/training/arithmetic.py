"""Which pairs of numbers are worth a column of their own: those that explain what a quick model leaves unexplained.

Every pair of the most useful numbers is joined in each way, and judged by the share of the variance of the quick
model's out-of-fold residuals that lies between its quantile bins, beyond what its parents explain of it alone, and
beyond chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from rowsmith.training.data import Shape
from rowsmith.training.families.base import Fit
from rowsmith.transformation.arithmetic import OPERATIONS, Arithmetic, calculated
from rowsmith.transformation.structure import inner_parts
from rowsmith.types import Array, Feature, Matrix, Rows, Vector

JOINED = 8
"""Columns that a configuration with `arithmetic` gets, at most."""
MOST_ROWS = 200_000
"""Beyond them a matrix of its own for each fit takes too much memory."""
ROWS_LOOKED_AT = 10_000
PARENTS = 12
"""Numbers that are joined, at most."""
MOST_OF_A_PAIR = 2
MOST_OUTPUTS = 10
PARTS = 3
BINS = 32
BEYOND_CHANCE = 4.0
"""Standard deviations of what a column of noise explains, by chi squared: some hundred pairs are looked at."""
QUICK = {"learning_rate": 0.2, "num_leaves": 15, "deterministic": True, "force_col_wise": True, "verbosity": -1}
QUICK_ROUNDS = 60
NATIVE_LEVELS = 32


def choose_arithmetic(fit: Fit, most: int) -> Arithmetic | None:
    """At most `most` columns for this piece of learning, looking at its training rows alone; None where none helps."""
    if not can_join(fit.features, fit.shape):
        return None
    numbers = _numbers(fit.features)
    rng = np.random.default_rng(fit.seed)
    rows = len(fit.train.target)
    looked_at = np.sort(rng.permutation(rows)[:ROWS_LOOKED_AT])
    matrix: Matrix = np.ascontiguousarray(fit.train.matrix[looked_at])
    residuals, gains = _residuals(fit, matrix, looked_at)
    parents = sorted((i for i in numbers if gains[i] > 0), key=lambda i: (-gains[i], i))[:PARENTS]
    alone = {i: _explained(matrix[:, i], residuals) for i in parents}
    least = BEYOND_CHANCE * float(np.sqrt(2 * (BINS - 1))) / len(looked_at)
    scored = []
    for left, right, operation in _pairs(parents):
        values = calculated(matrix[:, left], matrix[:, right], np.array(operation))
        gain = _explained(values, residuals) - max(alone[left], alone[right], 0.0)
        if gain > least:
            scored.append((gain, (left, right, operation)))
    return _best(scored, most)


def can_join(features: Sequence[Feature], shape: Shape) -> bool:
    """Whether there are numbers to join, and neither too many rows nor classes."""
    return len(_numbers(features)) > 1 and shape.outputs <= MOST_OUTPUTS and shape.rows <= MOST_ROWS


def _numbers(features: Sequence[Feature]) -> list[int]:
    """Columns of the table that are numbers; parts of dates and of texts are not."""
    return [i for i, feature in enumerate(features) if not feature.levels and feature.name == feature.source]


def _pairs(parents: list[int]) -> list[tuple[int, int, int]]:
    """Left, right and operation; a ratio both ways round."""
    ratio = OPERATIONS.index("/")
    both = [(a, b, operation) for a, b in combinations(parents, 2) for operation in range(len(OPERATIONS))]
    return both + [(b, a, ratio) for a, b in combinations(parents, 2)]


def _best(scored: list[tuple[float, tuple[int, int, int]]], most: int) -> Arithmetic | None:
    chosen: list[tuple[int, int, int]] = []
    of_pair: dict[frozenset[int], int] = {}
    for _, key in sorted(scored, key=lambda found: (-found[0], found[1])):
        pair = frozenset(key[:2])
        if of_pair.get(pair, 0) < MOST_OF_A_PAIR and len(chosen) < most:
            of_pair[pair] = of_pair.get(pair, 0) + 1
            chosen.append(key)
    if not chosen:
        return None
    left, right, operation = (np.array(column, dtype=np.int64) for column in zip(*chosen, strict=True))
    return Arithmetic(left, right, operation)


def _residuals(fit: Fit, matrix: Matrix, looked_at: Rows) -> tuple[Array, Vector]:
    """Out of fold, of a quick model, shape (rows, responses); and how much each column is used in it."""
    import lightgbm

    target = fit.train.target[looked_at]
    weights = None if fit.train.weights is None else fit.train.weights[looked_at]
    structure = None if fit.train.structure is None else fit.train.structure.take(looked_at)
    parts = inner_parts(len(looked_at), PARTS, structure, fit.seed)
    truth, settings = _truth(fit, target)
    native = [i for i, feature in enumerate(fit.features) if 0 < feature.levels <= NATIVE_LEVELS]
    residuals, gains = truth - truth.mean(axis=0), np.zeros(matrix.shape[1])
    for part in range(PARTS):
        inside, outside = parts != part, parts == part
        if not outside.any() or not inside.any():
            continue
        data = lightgbm.Dataset(
            matrix[inside],
            target[inside].astype(np.float32),
            weight=None if weights is None else weights[inside],
            categorical_feature=native,
            params=settings,
        )
        model = lightgbm.train({**settings, "seed": fit.seed % (2**31)}, data, QUICK_ROUNDS)
        answers = np.asarray(model.predict(matrix[outside], num_threads=1))
        residuals[outside] = truth[outside] - answers.reshape(len(answers), -1)
        gains += model.feature_importance("gain")
    return residuals, gains


def _truth(fit: Fit, target: Array) -> tuple[Array, dict[str, Any]]:
    """What the quick model should answer, shape (rows, responses), and its settings."""
    settings = {**QUICK, "num_threads": fit.threads}
    if not fit.task.is_classification:
        return np.asarray(target, dtype=np.float64)[:, None], {**settings, "objective": "l2"}
    if fit.classes == 2:
        return (target == 1).astype(np.float64)[:, None], {**settings, "objective": "binary"}
    shares = (target[:, None] == np.arange(fit.classes)).astype(np.float64)
    return shares, {**settings, "objective": "multiclass", "num_class": fit.classes}


def _explained(values: Array, residuals: Array) -> float:
    """Share of the residuals' variance between bins of a column, less what chance would give so many bins."""
    present = np.isfinite(values)
    if not present.any():
        return 0.0
    edges = np.unique(np.quantile(values[present], np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.where(present, np.searchsorted(edges, np.where(present, values, 0.0)), len(edges) + 1)
    counts = np.bincount(bins, minlength=len(edges) + 2)
    used = counts > 0
    centred = residuals - residuals.mean(axis=0)
    total = float((centred**2).sum())
    if total <= 0.0:
        return 0.0
    between = 0.0
    for response in centred.T:
        sums = np.bincount(bins, weights=response, minlength=len(counts))
        between += float((sums[used] ** 2 / counts[used]).sum())
    return between / total - (int(used.sum()) - 1) / len(values)
