"""Blend: the weighted sum of several learners' answers, for one row at the price of few calls.

Learners of one class may answer a row together (`Joining`): the models of a bag look at the same columns, and each call
into NumPy or a library costs as much as a few dozen trees. Many rows are answered by one learner after another, in
parts that the nearer caches hold, on as many cores as there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeAlias, cast

import numpy as np

from rowsmith.types import Array, Matrix, Scores2D, Vector

RowAnswers: TypeAlias = Callable[[Matrix], Array]
"""One row, shape (features,), to the answers of several learners, shape (learners, outputs)."""
ROWS_OF_A_PART = 2048
MOST_CORES = 8


class Answering(Protocol):
    """What a blend needs of a learner (`rowsmith.model.Learner`)."""

    def predict(self, matrix: Matrix) -> Scores2D: ...

    def predict_row(self, vector: Matrix) -> Vector: ...


class Joining(Protocol):
    """A class of learners that answer a row together, with the bits of `predict_row`."""

    @classmethod
    def together(cls, learners: Sequence[Any]) -> RowAnswers: ...


class Blend:
    """`shares` are the learners' weights; one row alone gets the bits that it gets among others."""

    def __init__(self, learners: Sequence[Answering], shares: Sequence[float], outputs: int) -> None:
        order = sorted(range(len(learners)), key=lambda i: kind_of(learners[i]))
        self._learners = [learners[i] for i in order]
        self._shares = [shares[i] for i in order]
        self._column = np.array(self._shares)[:, None]
        self._outputs = outputs
        self._row = together(self._learners) if learners else None

    def predict(self, matrix: Matrix) -> Scores2D:
        """Shape (rows, features) to (rows, outputs)."""
        total = np.zeros((len(matrix), self._outputs))
        starts = range(0, len(matrix), ROWS_OF_A_PART)

        def answer(start: int) -> None:
            part = matrix[start : start + ROWS_OF_A_PART]
            for share, learner in zip(self._shares, self._learners, strict=True):
                total[start : start + ROWS_OF_A_PART] += share * learner.predict(part)

        cores = min(cores_here(), MOST_CORES, len(starts))
        if cores < 2:
            for start in starts:
                answer(start)
        else:
            with ThreadPoolExecutor(cores) as pool:
                list(pool.map(answer, starts))
        return total

    def predict_row(self, vector: Matrix) -> Vector:
        """Shape (features,) to (outputs,)."""
        if self._row is None:
            return np.zeros(self._outputs)
        answers = self._column * self._row(vector)
        if len(answers) == 1:
            return np.asarray(answers[0])
        # accumulate() adds one learner after another, as `predict` does; sum() would add in pairs.
        return np.asarray(np.add.accumulate(answers, axis=0)[-1])


def kind_of(learner: Any) -> str:
    """Learners of the same kind answer together. Adapters name the kind of what they hold, too."""
    return str(getattr(learner, "kind_together", type(learner).__name__))


def together(learners: Sequence[Answering]) -> RowAnswers:
    """One function of a row for learners of any kinds, those of a kind standing next to each other."""
    groups: dict[str, list[Answering]] = {}
    for learner in learners:
        groups.setdefault(kind_of(learner), []).append(learner)
    parts = [_together_of_a_kind(group) for group in groups.values()]
    if len(parts) == 1:
        return parts[0]
    return lambda vector: np.concatenate([part(vector) for part in parts])


def _together_of_a_kind(group: list[Answering]) -> RowAnswers:
    kind = type(group[0])
    if hasattr(kind, "together"):
        return cast(type[Joining], kind).together(group)
    if len(group) == 1:
        answer = group[0].predict_row
        return lambda vector: answer(vector)[None, :]
    return lambda vector: np.stack([learner.predict_row(vector) for learner in group])


def cores_here() -> int:
    """Those that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
