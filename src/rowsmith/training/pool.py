"""Shares of a logarithmic pool: those that lower the log loss most, drawn a little towards what each is worth alone.

The loss is convex in the shares, so they are found for all candidates at once, which greedy selection over a jumping
metric is not (docs/decisions/0017). They need not sum to 1: experts who are too sure of themselves are toned down.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rowsmith.blend import logarithms
from rowsmith.types import Array, Scores2D, Vector

RIDGE_ROWS = 20.0
"""The pull towards the first guess is as strong as so many rows."""
GUESS_POWER = 10.0
"""The first guess: a candidate of twice the log loss of the best gets a thousandth of its share."""
MOST_CELLS = 12_000_000
ITERATIONS = 200


def pool_shares(answers: Sequence[Scores2D], truth: Array, weights: Vector | None, *, seed: int) -> Vector:
    """Shape (candidates,), none negative, one positive. `answers` are probabilities (rows, classes), `truth` codes."""
    count = len(answers)
    rows = _sample(len(truth), count * answers[0].shape[1], seed)
    logs = np.stack([logarithms(answer[rows]) for answer in answers])
    truth = truth[rows]
    row_shares = np.full(len(rows), 1.0) if weights is None else weights[rows]
    row_shares = row_shares / row_shares.sum()
    ridge = RIDGE_ROWS / len(truth)
    of_truth = np.take_along_axis(logs, truth[None, :, None], axis=2)[:, :, 0] @ row_shares
    guess = _guess(-of_truth)
    flat = logs.reshape(count, -1)

    def value_and_slope(shares: Vector) -> tuple[float, Vector]:
        sums = (shares @ flat).reshape(logs.shape[1:])
        largest = sums.max(axis=1, keepdims=True)
        powers = np.exp(sums - largest)
        totals = powers.sum(axis=1, keepdims=True)
        value = float(row_shares @ (np.log(totals) + largest)[:, 0] - shares @ of_truth)
        slope = flat @ (powers / totals * row_shares[:, None]).ravel() - of_truth
        apart = shares - guess
        return value + ridge * float(apart @ apart), slope + 2 * ridge * apart

    # The bits must not depend on how many threads this machine gives to BLAS.
    with threadpool_limits(1, user_api="blas"):
        options = {"maxiter": ITERATIONS, "ftol": 1e-9}
        found = minimize(
            value_and_slope, guess, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * count, options=options
        ).x
    return np.asarray(found if found.any() else guess)


def _guess(losses: Vector) -> Vector:
    shares = (losses.min() / np.maximum(losses, 1e-12)) ** GUESS_POWER if losses.min() > 0 else losses == losses.min()
    return np.asarray(shares / shares.sum())


def _sample(rows: int, cells_of_a_row: int, seed: int) -> Array:
    most = max(MOST_CELLS // cells_of_a_row, 500)
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng([seed, 4]).choice(rows, most, replace=False))
