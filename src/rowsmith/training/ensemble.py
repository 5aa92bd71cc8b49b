"""Greedy ensemble selection (Caruana et al. 2004, doi:10.1145/1015330.1015432) over out-of-fold answers.

Selection starts from the best candidate and adds, with replacement, the one that helps most. On small tables
that overfits the very rows it is chosen on, so it is repeated on random halves of the rows and the shares are
averaged (the "bagged selection" of the paper).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rowsmith.training.objective import Objective
from rowsmith.types import Rows, Scores2D, Vector

SMALL_TABLE = 5000
BAGS = 8
MOST_STEPS = 30
PATIENCE = 4
MOST_MEMBERS = 8
LEAST_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class Effort:
    """How much selection may do. Chosen by the clock once, then written down, so that a replay does the same."""

    candidates: int = 24
    rows: int = 50_000
    bags: int = BAGS


def select(answers: Sequence[Scores2D], rows: Rows, objective: Objective, effort: Effort, *, seed: int) -> Vector:
    """Shares of the candidates, shape (candidates,), summing to 1.

    `answers[i]` has one row for each of `rows`; candidates are in order of their error, best first.
    """
    rng = np.random.default_rng([seed, 1])
    chosen = np.arange(len(rows))
    if len(rows) > effort.rows:
        chosen = np.sort(rng.choice(len(rows), effort.rows, replace=False))
    shares = np.zeros(len(answers))
    if len(rows) <= SMALL_TABLE and effort.bags > 1:
        for _ in range(effort.bags):
            half = np.sort(rng.choice(chosen, max(len(chosen) // 2, 1), replace=False))
            shares += _greedy(answers, rows, half, objective) / effort.bags
    else:
        shares = _greedy(answers, rows, chosen, objective)
    shares = _without_crumbs(shares)
    mixed = sum(share * answer[chosen] for share, answer in zip(shares, answers, strict=True) if share > 0)
    alone = objective.error(answers[0][chosen], rows[chosen])
    if objective.error(np.asarray(mixed), rows[chosen]) < alone:
        return shares
    return np.asarray(np.eye(len(answers))[0])


def _greedy(answers: Sequence[Scores2D], rows: Rows, part: Rows, objective: Objective) -> Vector:
    truth_rows = rows[part]
    pieces = [answer[part] for answer in answers]
    errors = [objective.error(piece, truth_rows) for piece in pieces]
    best = int(np.argmin(errors))
    counts = np.zeros(len(pieces))
    counts[best] = 1
    total, best_error, best_counts, idle = pieces[best].copy(), errors[best], counts.copy(), 0
    for step in range(2, MOST_STEPS + 1):
        trial_errors = [objective.error((total + piece) / step, truth_rows) for piece in pieces]
        best = int(np.argmin(trial_errors))
        total += pieces[best]
        counts[best] += 1
        if trial_errors[best] < best_error:
            best_error, best_counts, idle = trial_errors[best], counts.copy(), 0
        else:
            idle += 1
            if idle >= PATIENCE:
                break
    return np.asarray(best_counts / best_counts.sum())


def _without_crumbs(shares: Vector) -> Vector:
    """At most MOST_MEMBERS members, none below LEAST_SHARE: crumbs cost time in every prediction and help little."""
    order = np.argsort(-shares, kind="stable")
    kept = np.zeros_like(shares)
    for i in order[:MOST_MEMBERS]:
        if shares[i] >= LEAST_SHARE or i == order[0]:
            kept[i] = shares[i]
    return np.asarray(kept / kept.sum())
