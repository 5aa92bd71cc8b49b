"""How well one column alone tells the target: out-of-fold means of the target within its levels or quantiles.

The idea is the predictive power score's (a cross-validated model of one column), with a table in place of a tree.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.stats import rankdata

from rowsmith.types import Array, Rows, Vector

FOLDS = 3
MAX_BINS = 256
ROWS_PER_BIN = 10
# Rows of the overall mean that are mixed into each bin.
PRIOR_ROWS = 1.0


def bins_of(values: pl.Series) -> Rows:
    """The bin of each row: a level or quantile of its own; missing is bin 0. Shape (rows,)."""
    if values.dtype.is_float():
        finite = values.is_finite().fill_null(False)
        numbers = values.filter(finite).to_numpy()
        most = int(np.clip(len(numbers) // ROWS_PER_BIN, 2, MAX_BINS))
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, most + 1)[1:-1])) if len(numbers) else np.empty(0)
        bins = np.searchsorted(edges, values.fill_null(0.0).to_numpy(), side="left") + 1
        return np.where(finite.to_numpy(), bins, 0).astype(np.int64)
    return values.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()


def class_score(bins: Rows, codes: Rows, classes: int, seed: int) -> float:
    """The area under the ROC curve: of class 1 for two classes, else one against the rest, weighted by rows."""
    cells, count = _cells(bins, seed)
    table = np.bincount(cells * classes + codes, minlength=FOLDS * count * classes).reshape(FOLDS, count, classes)
    shares = _out_of_fold(table, table.sum(axis=2))
    flat_shares, flat_table = shares.reshape(-1, classes), table.reshape(-1, classes)
    sizes, weights = flat_table.sum(axis=1), flat_table.sum(axis=0)
    if classes == 2:
        return _auc(flat_shares[:, 1], flat_table[:, 1], sizes)
    present = [k for k in range(classes) if 0 < weights[k] < len(codes)]
    areas = [weights[k] * _auc(flat_shares[:, k], flat_table[:, k], sizes) for k in present]
    return float(sum(areas) / weights[present].sum())


def number_score(bins: Rows, values: pl.Series, target: Vector, seed: int) -> float:
    """The share of variance explained (R²), or the rank correlation without its sign if that is larger."""
    centred = target - target.mean()
    spread = float((centred**2).sum())
    if not spread:
        return 0.0
    cells, count = _cells(bins, seed)
    sums = np.bincount(cells, weights=centred, minlength=FOLDS * count).reshape(FOLDS, count, 1)
    sizes = np.bincount(cells, minlength=FOLDS * count).reshape(FOLDS, count)
    means = _out_of_fold(sums, sizes)[:, :, 0]
    # The sum of (value - mean)² over the rows of each cell, multiplied out.
    errors = spread + float((sizes * means**2 - 2 * means * sums[:, :, 0]).sum())
    return max(1 - errors / spread, rank_correlation(values, target))


def _cells(bins: Rows, seed: int) -> tuple[Rows, int]:
    """Fold and bin of each row as one number, and how many bins there are."""
    count = int(bins.max(initial=0)) + 1
    folds = np.random.default_rng(seed).permutation(len(bins)) % FOLDS
    return folds * count + bins, count


def _out_of_fold(sums: Array, sizes: Array) -> Array:
    """Mean outcomes of each bin over the other folds: shape (folds, bins, k) from sums of that shape and row counts."""
    others, rows = sums.sum(axis=0) - sums, sizes.sum(axis=0) - sizes
    prior = others.sum(axis=1) / np.maximum(rows.sum(axis=1), 1)[:, None]
    return np.asarray((others + PRIOR_ROWS * prior[:, None, :]) / (rows + PRIOR_ROWS)[:, :, None])


def rank_correlation(values: pl.Series, target: Vector) -> float:
    """Spearman's, without its sign, over the rows that have a number; 0 for other columns."""
    if not values.dtype.is_float():
        return 0.0
    known = values.is_finite().fill_null(False).to_numpy()
    if np.count_nonzero(known) < len(known) / 2:
        return 0.0
    one, other = rankdata(values.to_numpy()[known]), rankdata(target[known])
    if one.min() == one.max() or other.min() == other.max():
        return 0.0
    return float(abs(np.corrcoef(one, other)[0, 1]))


def _auc(scores: Vector, events: Rows, sizes: Rows) -> float:
    """The Mann-Whitney statistic (Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747) of cells of rows that
    share a score: how many rows each has, and how many of these are events.
    """
    others = sizes - events
    _, place = np.unique(scores, return_inverse=True)
    events_at, others_at = np.bincount(place, weights=events), np.bincount(place, weights=others)
    pairs = events_at.sum() * others_at.sum()
    below = np.cumsum(others_at) - others_at
    return float((events_at * (below + others_at / 2)).sum() / pairs) if pairs else 0.5
