"""The race: whether a trial can still help, judged after its first folds against a blend of the trials before it.

The blend is a small greedy ensemble that grows by one trial at a time, in the order of their numbers. A trial
stays in the race when some share of it would make the blend better on the folds done so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rowsmith.training.data import TrainingData, covered_rows
from rowsmith.training.objective import Objective
from rowsmith.training.trials import Run, Status
from rowsmith.types import Scores2D

RACE_FOLDS = 2
LEAST_GAIN = 5e-4
"""By this share of what the blend gains over a constant a trial has to improve it."""
SHARES = (0.15, 0.4, 1.0)
SNAPSHOTS = 16


@dataclass(frozen=True)
class Verdict:
    """`estimate` is the error over all rows that the first folds suggest."""

    can_help: bool
    estimate: float


@dataclass(frozen=True)
class _Blend:
    oof: Scores2D
    error: float


class Race:
    """Keeps the blends after each of the latest trials, so that a verdict can be given as of any of them."""

    def __init__(self, data: TrainingData, objective: Objective, folds: int, constant_error: float) -> None:
        self._data = data
        self._objective = objective
        self._rows = covered_rows(data, folds)
        self._constant_error = constant_error
        self.folds = max(min(RACE_FOLDS, folds - 1), 1)
        self._blends: dict[int, _Blend] = {}
        self._next = 0

    @property
    def latest(self) -> int:
        """The number of the newest trial that the blend knows of; -1 for none."""
        return self._next - 1

    def advance(self, runs: Sequence[Run], answers: dict[int, Scores2D]) -> None:
        """Take in the trials that have ended since, up to the first one that is still running."""
        while self._next < len(runs) and runs[self._next].status is not None:
            blend = self._blends.get(self._next - 1)
            run = runs[self._next]
            if run.status is Status.OK and run.id in answers:
                blend = self._grown(blend, answers[run.id])
            if blend is not None:
                self._blends[self._next] = blend
                self._blends.pop(self._next - SNAPSHOTS, None)
            self._next += 1

    def verdict(self, run: Run, newest: int) -> Verdict:
        """On a run whose first folds are done, by the trials up to number `newest`."""
        blend = self._blends.get(min(newest, self.latest))
        if blend is None:
            return Verdict(True, np.inf)
        pieces = [(self._data.fold(run.repeat, fold)[1], run.results[fold].scores) for fold in range(self.folds)]
        rows = np.concatenate([rows for rows, _ in pieces])
        answers = np.concatenate([scores for _, scores in pieces])
        reference = blend.oof[rows]
        error = self._objective.error(reference, rows)
        errors = [self._objective.error((1 - share) * reference + share * answers, rows) for share in SHARES]
        can_help = min(errors) < error - LEAST_GAIN * abs(self._constant_error - error)
        return Verdict(can_help, blend.error + errors[-1] - error)

    def _grown(self, blend: _Blend | None, oof: Scores2D) -> _Blend:
        if blend is None:
            return _Blend(oof, self._objective.error(oof[self._rows], self._rows))
        best = blend
        for share in SHARES:
            mixed = (1 - share) * blend.oof + share * oof
            error = self._objective.error(mixed[self._rows], self._rows)
            if error < best.error:
                best = _Blend(mixed, error)
        return best
