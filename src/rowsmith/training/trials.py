"""Trials: one configuration each, on all folds. `Trial` is the line of the leaderboard, `Run` the work behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from rowsmith.state import State
from rowsmith.training.data import TrainingData, covered_rows
from rowsmith.training.ensemble import Price
from rowsmith.training.families.base import Params
from rowsmith.training.objective import Objective
from rowsmith.training.unit import ALL_ROWS, UnitResult
from rowsmith.types import JsonObject, Scores2D


class Status(StrEnum):
    """How a trial ended."""

    OK = "ok"
    FAILED = "failed"
    PRUNED = "pruned"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Trial:
    """A line of the leaderboard.

    `score` is the metric over all out-of-fold rows, `fold_scores` that of each fold; both NaN where unknown.
    `seconds` adds up the units. `weight` is the share in the ensemble. `repeat` is 0 but for a
    configuration that was tried again on other folds. `message` says why a trial failed, was
    pruned (its first folds showed that it cannot help) or was stopped (the time was up).
    """

    id: int
    family: str
    params: Mapping[str, Any]
    score: float
    fold_scores: tuple[float, ...]
    seconds: float
    status: Status
    message: str = ""
    weight: float = 0.0
    repeat: int = 0

    def to_dict(self) -> JsonObject:
        """Plain JSON, which knows no NaN: a score that is not known is None."""
        return {
            **asdict(self),
            "params": dict(self.params),
            "status": self.status.value,
            "score": _known(self.score),
            "fold_scores": [_known(score) for score in self.fold_scores],
        }


@dataclass
class Run:
    """A trial while it runs. `results` holds finished units by fold, `repeat` says of which set of folds.

    With `refit` a model of all rows is to stand for the trial, should the ensemble choose it (see `refit.py`).
    `error` is the objective over all out-of-fold rows, `estimate` the best guess of it where a trial was pruned.
    """

    id: int
    family: str
    params: Params
    folds: int
    threads: int = 1
    refit: bool = False
    repeat: int = 0
    results: dict[int, UnitResult] = field(default_factory=dict)
    seeds: dict[int, int] = field(default_factory=dict)
    status: Status | None = None
    message: str = ""
    error: float = np.inf
    estimate: float = np.inf
    score: float = float("nan")
    fold_scores: tuple[float, ...] = ()
    seconds: float = 0.0
    deadline: float | None = None

    @property
    def is_complete(self) -> bool:
        """Every fold is done."""
        return all(fold in self.results for fold in range(self.folds))

    @property
    def fold_models(self) -> list[UnitResult]:
        return [self.results[fold] for fold in range(self.folds)]

    @property
    def of_all_rows(self) -> UnitResult | None:
        return self.results.get(ALL_ROWS)

    @property
    def price(self) -> Price:
        """Of one learner, as the fold models tell."""
        sizes = [size_of(result.state) for result in self.fold_models]
        return Price(float(np.mean([result.row_us for result in self.fold_models])), float(np.mean(sizes)))

    def leading_folds(self) -> int:
        """How many folds from the first on are done without a gap."""
        done = 0
        while done in self.results:
            done += 1
        return done

    def oof(self, data: TrainingData) -> Scores2D:
        """Out-of-fold answers, shape (rows, outputs); NaN for rows that no fold validates."""
        oof = np.full((len(data.matrix), data.outputs), np.nan)
        for fold in range(self.folds):
            oof[data.fold(self.repeat, fold)[1]] = self.results[fold].scores
        return oof

    def measure(self, data: TrainingData, objective: Objective) -> Scores2D:
        """Fill in error, scores and status of a complete run; returns its out-of-fold answers."""
        oof = self.oof(data)
        rows = covered_rows(data, self.folds)
        self.error = objective.error(oof[rows], rows)
        self.score = objective.score(oof[rows], rows)
        parts = [data.fold(self.repeat, fold)[1] for fold in range(self.folds)]
        self.fold_scores = tuple(objective.score(oof[part], part) for part in parts)
        self.status = Status.OK
        self.message = "" if np.isfinite(self.error) else "the metric is not defined for its answers"
        return oof

    def trial(self, weight: float = 0.0) -> Trial:
        status = self.status or Status.STOPPED
        return Trial(
            id=self.id,
            family=self.family,
            params=self.params,
            score=self.score,
            fold_scores=self.fold_scores,
            seconds=self.seconds,
            status=status,
            message=self.message,
            weight=weight,
            repeat=self.repeat,
        )


def _known(score: float) -> float | None:
    return score if np.isfinite(score) else None


def size_of(state: State) -> int:
    """Bytes of the arrays and blobs of a State tree."""
    own = sum(array.nbytes for array in state.arrays.values()) + sum(map(len, state.blobs.values()))
    return own + sum(size_of(child) for child in state.children.values())
