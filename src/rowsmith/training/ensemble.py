"""The choice of an ensemble over out-of-fold answers, at a price.

Numbers: greedy selection (Caruana et al. 2004, doi:10.1145/1015330.1015432). It starts from the best candidate and
adds, with replacement, the one that helps most among those that can still be paid. On small tables that overfits the
very rows it is chosen on, so it is repeated on random halves of the rows and the shares are averaged (the "bagged
selection" of the paper). Classes: the shares of a logarithmic pool, fitted for all candidates at once (`pool.py`).

A candidate is a bag of learners that answer alike: its fold models. What is left of the limit after the choice of
candidates goes into larger bags, where it lowers the variance of the whole most.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rowsmith.blend import logarithms, normalised
from rowsmith.training.objective import Objective
from rowsmith.training.pool import pool_shares
from rowsmith.types import Rows, Scores2D, Vector

SMALL_TABLE = 5000
BAGS = 8
MOST_STEPS = 30
PATIENCE = 4
MOST_MEMBERS = 8
LEAST_SHARE = 0.03
LEAST_BAG = 2
"""Learners of a bag that a candidate has to be worth: one alone answers visibly worse than its out-of-fold rows say,
where most of those are answered in bags."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much selection may do: the best `candidates`, on a sample of so many `rows`, `bags` times on small tables.

    Chosen by the clock once, then written down, so that a replay does the same.
    """

    candidates: int = 24
    rows: int = 50_000
    bags: int = BAGS


@dataclass(frozen=True, slots=True)
class Price:
    """What a learner costs whoever predicts with it: microseconds a row, bytes to keep."""

    row_us: float
    size: float

    def __add__(self, other: Price) -> Price:
        return Price(self.row_us + other.row_us, self.size + other.size)

    def __mul__(self, times: float) -> Price:
        return Price(self.row_us * times, self.size * times)

    def fits(self, limit: Price) -> bool:
        return self.row_us <= limit.row_us and self.size <= limit.size


FREE = Price(0.0, 0.0)


@dataclass(frozen=True)
class Candidate:
    """Out-of-fold answers, shape (rows, outputs), and a bag of `learners` that cost `price` each."""

    answers: Scores2D
    price: Price = FREE
    learners: int = 1

    @property
    def least(self) -> Price:
        return self.price * min(LEAST_BAG, self.learners)


def select(
    candidates: Sequence[Candidate], rows: Rows, objective: Objective, effort: Effort, *, limit: Price, seed: int
) -> Vector:
    """Shares of the candidates, shape (candidates,), that `mixed` makes the answers of the ensemble with.

    `candidates[i].answers` has one row for each of `rows`; candidates are in order of their error, best first. What is
    chosen can be had within `limit` with `LEAST_BAG` learners of each; where nothing can, the best that one learner of
    fits, else the cheapest, stands alone.
    """
    usable = [i for i, candidate in enumerate(candidates) if candidate.least.fits(limit)]
    shares = np.zeros(len(candidates))
    if not usable:
        single = [i for i, candidate in enumerate(candidates) if candidate.price.fits(limit)]
        cheapest = min(range(len(candidates)), key=lambda i: candidates[i].price.row_us)
        shares[single[0] if single else cheapest] = 1.0
        return shares
    shares[usable] = _select([candidates[i] for i in usable], rows, objective, effort, limit, seed)
    return shares


def bag_sizes(candidates: Sequence[Candidate], shares: Vector, limit: Price) -> list[int]:
    """How many learners of each candidate's bag to use: all of them, where the limit allows."""
    chosen = np.flatnonzero(shares).tolist()
    sizes = [min(LEAST_BAG, candidate.learners) if i in chosen else 0 for i, candidate in enumerate(candidates)]
    spent = _sum(candidates[i].price * sizes[i] for i in chosen)
    if not spent.fits(limit):
        return [min(size, 1) for size in sizes]
    while True:
        open_bags = [
            i for i in chosen if sizes[i] < candidates[i].learners and (spent + candidates[i].price).fits(limit)
        ]
        if not open_bags:
            return sizes
        best = max(open_bags, key=lambda i: _worth(float(shares[i]), sizes[i], candidates[i].price))
        sizes[best] += 1
        spent += candidates[best].price


def _worth(share: float, size: int, price: Price) -> float:
    """By how much one more learner lowers the variance of the whole, for a microsecond."""
    return share**2 * (1 / size - 1 / (size + 1)) / max(price.row_us, 1e-3)


def _sum(prices: Iterable[Price]) -> Price:
    total = FREE
    for price in prices:
        total += price
    return total


def mixed(answers: Sequence[Scores2D], shares: Vector, *, is_pool: bool) -> Scores2D:
    """The answers of an ensemble, as `Blend` gives them: shares are exponents of probabilities, or factors."""
    total = np.zeros_like(answers[0])
    for share, answer in zip(shares, answers, strict=True):
        if share > 0:
            total += share * (logarithms(answer) if is_pool else answer)
    return normalised(total) if is_pool else total


def _select(
    candidates: Sequence[Candidate], rows: Rows, objective: Objective, effort: Effort, limit: Price, seed: int
) -> Vector:
    is_pool = objective.is_classification
    parts = _parts(len(rows), effort, seed)

    def fitted(among: Sequence[Candidate]) -> Vector:
        if is_pool:
            answers = [candidate.answers for candidate in among]
            return pool_shares(answers, objective.truth(rows), objective.weights(rows), seed=seed)
        return _mean_shares(among, rows, parts, objective, limit)

    shares = fitted(candidates)
    kept = _worth_keeping(candidates, shares, limit)
    if kept != np.flatnonzero(shares).tolist():
        # Not all of it can be kept: once more among what is.
        shares = np.zeros_like(shares)
        shares[kept] = fitted([candidates[i] for i in kept])
    answers = [candidate.answers for candidate in candidates]
    if objective.error(mixed(answers, shares, is_pool=is_pool), rows) < objective.error(answers[0], rows):
        return shares
    return np.asarray(np.eye(len(candidates))[0])


def _parts(rows: int, effort: Effort, seed: int) -> list[Rows]:
    """What greedy selection looks at: all rows, or random halves of a small table."""
    everything = np.arange(rows)
    if rows > SMALL_TABLE or effort.bags < 2:
        return [everything]
    rng = np.random.default_rng([seed, 1])
    return [np.sort(rng.choice(everything, max(rows // 2, 1), replace=False)) for _ in range(effort.bags)]


def _mean_shares(
    candidates: Sequence[Candidate], rows: Rows, parts: Sequence[Rows], objective: Objective, limit: Price
) -> Vector:
    return np.asarray(np.mean([_greedy(candidates, rows, part, objective, limit) for part in parts], axis=0))


def _greedy(candidates: Sequence[Candidate], rows: Rows, part: Rows, objective: Objective, limit: Price) -> Vector:
    truth_rows = rows[part]
    pieces = [candidate.answers[part] for candidate in candidates]
    errors = [objective.error(piece, truth_rows) for piece in pieces]
    best = int(np.argmin(errors))
    counts = np.zeros(len(pieces))
    counts[best] = 1
    spent = candidates[best].least
    total, best_error, best_counts, idle = pieces[best].copy(), errors[best], counts.copy(), 0
    for step in range(2, MOST_STEPS + 1):
        payable = [i for i in range(len(pieces)) if counts[i] or (spent + candidates[i].least).fits(limit)]
        trial_errors = [objective.error((total + pieces[i]) / step, truth_rows) for i in payable]
        place = int(np.argmin(trial_errors))
        best = payable[place]
        if not counts[best]:
            spent += candidates[best].least
        total += pieces[best]
        counts[best] += 1
        if trial_errors[place] < best_error:
            best_error, best_counts, idle = trial_errors[place], counts.copy(), 0
        else:
            idle += 1
            if idle >= PATIENCE:
                break
    return np.asarray(best_counts / best_counts.sum())


def _worth_keeping(candidates: Sequence[Candidate], shares: Vector, limit: Price) -> list[int]:
    """At most MOST_MEMBERS, none below LEAST_SHARE, and together within the limit, ascending: crumbs cost time in
    every prediction and help little. Where not everything can be paid, a dear one needs a larger share."""
    worth = shares.copy()
    if not _sum(candidates[i].least for i in np.flatnonzero(shares).tolist()).fits(limit):
        worth /= np.sqrt([max(candidate.least.row_us, 1.0) for candidate in candidates])
    order = np.argsort(-worth, kind="stable").tolist()
    kept, spent = [order[0]], candidates[order[0]].least
    for i in order[1:]:
        after = spent + candidates[i].least
        if len(kept) < MOST_MEMBERS and shares[i] >= LEAST_SHARE * shares.sum() and after.fits(limit):
            kept.append(i)
            spent = after
    return sorted(kept)
