"""The choice: which finished trials make the model, with which shares, and how many learners of each.

It depends on the finished units, the effort and the seed alone, so that a replay chooses the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rowsmith.recipe import TrainSection
from rowsmith.training.budget import BAG_ROWS
from rowsmith.training.data import TrainingData, covered_rows
from rowsmith.training.ensemble import Candidate, Effort, Price, bag_sizes, mixed, select
from rowsmith.training.families import price
from rowsmith.training.objective import Objective
from rowsmith.training.trials import Run, Status
from rowsmith.training.unit import UnitResult
from rowsmith.types import Feature, Rows, Scores2D, Vector

MOST_BYTES = 25_000_000
"""Of the learners together."""
ROW_MS = 0.3
"""Of a row, unless the recipe says otherwise: what a person who waits for an answer never notices, and a server answers
a thousand rows a second with, its own work included."""
TEXT_ROW_MS, TEXT_FEATURE = 0.8, ":words"
PER_FAMILY = 3
"""The best of each family are looked at, however many of another one are better: those that err elsewhere help."""
MOST_OF_A_FAMILY = 4
"""On a table that is answered by bags. Of a hundred tuned relatives the best are the luckiest on these few rows."""


@dataclass(frozen=True)
class Bag:
    """A configuration with its runs: one, and more of them where it ran again on other folds."""

    runs: tuple[Run, ...]

    @property
    def best(self) -> Run:
        return self.runs[0]

    @property
    def refit(self) -> bool:
        return self.best.refit

    @property
    def learners(self) -> int:
        return 1 if self.refit else sum(run.folds for run in self.runs)

    def learners_of(self, size: int) -> list[tuple[Run, UnitResult]]:
        """`size` of the learners, each with its run: the model of all rows, or a fold model where there is none."""
        if self.refit and self.best.of_all_rows is not None:
            return [(self.best, self.best.of_all_rows)]
        models = [(run, result) for run in self.runs for result in run.fold_models]
        return models[:size]

    def answers(self, data: TrainingData, rows: Rows) -> Scores2D:
        """Out of fold, the mean over the runs, for each of `rows`."""
        return np.asarray(np.mean([run.oof(data)[rows] for run in self.runs], axis=0))

    def candidate(self, data: TrainingData, rows: Rows) -> Candidate:
        return Candidate(self.answers(data, rows), self.best.price, self.learners)


@dataclass(frozen=True)
class Choice:
    """`shares[i]` is that of `bags[i]`, `sizes[i]` how many of its learners are used; `answers` those of the whole,
    out of fold, for each of `rows`."""

    bags: tuple[Bag, ...]
    shares: Vector
    sizes: tuple[int, ...]
    rows: Rows
    answers: Scores2D

    @property
    def single(self) -> Bag:
        """Whose learner may stand alone for all: the best configuration."""
        return self.bags[0]

    @property
    def chosen(self) -> list[tuple[Bag, float, int]]:
        """What has a share, the largest first."""
        parts = zip(self.bags, self.shares.tolist(), self.sizes, strict=True)
        return sorted((part for part in parts if part[1] > 0), key=lambda part: -part[1])


def limit_of(options: TrainSection, features: Sequence[Feature]) -> Price:
    """What the learners may cost together; reading and encoding a row is paid besides.

    A table with free text gets more unless told: reading that takes longer than learners do.
    """
    row_ms = options.max_row_ms
    if row_ms is None:
        row_ms = TEXT_ROW_MS if any(feature.name.endswith(TEXT_FEATURE) for feature in features) else ROW_MS
    return Price(max(1000.0 * row_ms - price.ROW_US, 0.0), MOST_BYTES)


def bags_of(runs: Sequence[Run], most: int, *, of_a_family: int | None = None) -> list[Bag]:
    """What an ensemble may choose from, best first: the best `most` configurations, and the best of each family; no
    more than so many `of_a_family`."""
    complete = sorted(
        (run for run in runs if run.is_complete and run.status is Status.OK), key=lambda run: (run.error, run.id)
    )
    alike: dict[str, list[Run]] = {}
    for run in complete:
        alike.setdefault(_configuration(run), []).append(run)
    seen: dict[str, int] = {}
    chosen = []
    for place, found in enumerate(alike.values()):
        family = found[0].family
        before = seen.get(family, 0)
        if (place < most and (of_a_family is None or before < of_a_family)) or before < PER_FAMILY:
            chosen.append(Bag(tuple(sorted(found, key=lambda run: (run.repeat, run.id)))))
        seen[family] = before + 1
    return chosen


def _configuration(run: Run) -> str:
    return json.dumps([run.family, dict(run.params)], sort_keys=True)


def choose(
    data: TrainingData, objective: Objective, runs: Sequence[Run], options: TrainSection, effort: Effort, folds: int
) -> Choice:
    """The ensemble under the limits of `options`. At least one run must be complete."""
    rows = covered_rows(data, folds)
    looked_at = _sample(rows, effort.rows, options.seed)
    few_rows = len(data.matrix) < BAG_ROWS
    bags = bags_of(runs, effort.candidates, of_a_family=MOST_OF_A_FAMILY if few_rows else None)
    candidates = [bag.candidate(data, looked_at) for bag in bags]
    errors = [objective.error(candidate.answers, looked_at) for candidate in candidates]
    order = sorted(range(len(bags)), key=lambda i: (errors[i], bags[i].best.id))
    bags, candidates = [bags[i] for i in order], [candidates[i] for i in order]
    limit = limit_of(options, data.features)
    shares = select(candidates, looked_at, objective, effort, limit=limit, seed=options.seed)
    chosen = np.flatnonzero(shares).tolist()
    parts = [bags[i].answers(data, rows) for i in chosen]
    answers = mixed(parts, shares[chosen], is_pool=objective.is_classification)
    return Choice(tuple(bags), shares, tuple(bag_sizes(candidates, shares, limit)), rows, answers)


def _sample(rows: Rows, most: int, seed: int) -> Rows:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng([seed, 3]).choice(rows, most, replace=False))
