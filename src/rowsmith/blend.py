"""Blend: one answer of several learners', for one row at the price of few calls.

Numbers are added up with their shares. Probabilities are multiplied, each to the power of its share, and made to sum
to 1 again: a logarithmic pool (Genest and Zidek 1986, doi:10.1214/ss/1177013825). It is as sharp as its learners are,
where a mean of probabilities is duller than each of them.

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
LEAST_PROBABILITY = 1e-6
"""What a learner holds impossible is so unlikely in a pool: one of them must not overrule all the others."""


class Answering(Protocol):
    """What a blend needs of a learner (`rowsmith.model.Learner`)."""

    def predict(self, matrix: Matrix) -> Scores2D: ...

    def predict_row(self, vector: Matrix) -> Vector: ...


class Joining(Protocol):
    """A class of learners that answer a row together, with the bits of `predict_row`."""

    @classmethod
    def together(cls, learners: Sequence[Any]) -> RowAnswers: ...


class Blend:
    """`shares` are the learners' weights, `is_pool` says that they are exponents of probabilities. One row alone gets
    the bits that it gets among others."""

    def __init__(
        self, learners: Sequence[Answering], shares: Sequence[float], outputs: int, *, is_pool: bool = False
    ) -> None:
        self._is_pool = is_pool
        order = sorted(range(len(learners)), key=lambda i: kind_of(learners[i]))
        self._learners = [learners[i] for i in order]
        self._shares = [shares[i] for i in order]
        self._column = np.array(self._shares)[:, None]
        self._outputs = outputs
        self._nothing = np.zeros(outputs)
        self._is_plain = self._shares == [1.0] and not is_pool
        self._row = together(self._learners) if learners else None

    def predict(self, matrix: Matrix) -> Scores2D:
        """Shape (rows, features) to (rows, outputs)."""
        total = np.zeros((len(matrix), self._outputs))
        starts = range(0, len(matrix), ROWS_OF_A_PART)

        def answer(start: int) -> None:
            part = matrix[start : start + ROWS_OF_A_PART]
            for share, learner in zip(self._shares, self._learners, strict=True):
                answers = learner.predict(part)
                total[start : start + ROWS_OF_A_PART] += share * (logarithms(answers) if self._is_pool else answers)

        cores = min(cores_here(), MOST_CORES, len(starts))
        if cores < 2:
            for start in starts:
                answer(start)
        else:
            with ThreadPoolExecutor(cores) as pool:
                list(pool.map(answer, starts))
        return normalised(total) if self._is_pool else total

    def predict_row(self, vector: Matrix) -> Vector:
        """Shape (features,) to (outputs,)."""
        if self._row is None:
            return np.zeros(self._outputs)
        answers = self._row(vector)
        if self._is_plain:
            return np.asarray(self._nothing + answers[0])  # as `predict` adds it
        if self._is_pool:
            answers = logarithms(answers)
        # accumulate() adds one learner after another, as `predict` does; sum() would add in pairs.
        total = np.add.accumulate(self._column * answers, axis=0)[-1]
        return np.asarray(normalised(total[None, :])[0] if self._is_pool else total)


def logarithms(probabilities: Array) -> Array:
    return np.asarray(np.log(np.maximum(probabilities, LEAST_PROBABILITY)))


def normalised(sums: Scores2D) -> Scores2D:
    """Sums of logarithms, shape (rows, classes), to probabilities."""
    powers = np.exp(sums - sums.max(axis=1, keepdims=True))
    # accumulate() adds one class after another, however many rows there are; sum() would choose its order.
    return np.asarray(powers / np.add.accumulate(powers, axis=1)[:, -1:])


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
