"""What a model family is. To add one: read `extra_trees.py`, write a file like it, and add a line to `FAMILIES`.

A family sees an easy world: at least two classes, all of them present, coded 0..classes-1; numbers to predict
are standardised. `training/unit.py` prepares that and undoes it (see `adapters.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rowsmith.state import State
from rowsmith.training.data import Shape, TrainingData
from rowsmith.transformation.structure import Structure
from rowsmith.types import Array, Feature, Matrix, Rows, Task, Vector

if TYPE_CHECKING:  # a worker process needs no dataframe library
    from rowsmith.model import Learner

Params: TypeAlias = Mapping[str, Any]
Restorer: TypeAlias = Callable[[State, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Real:
    """A number between two others, both included."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number between two others, both included."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values."""

    values: tuple[Any, ...]


Space: TypeAlias = Mapping[str, Real | Whole | Choice]


@dataclass(frozen=True)
class Part:
    """Rows with their answers: features (rows, features), target (rows,), weights None or (rows,).

    `structure` says what the rows have to do with each other; a split inside the fit has to respect it.
    """

    matrix: Matrix
    target: Array
    weights: Vector | None = None
    structure: Structure | None = None

    def take(self, rows: Rows) -> Part:
        """Some of the rows, by position."""
        return Part(
            self.matrix[rows],
            self.target[rows],
            None if self.weights is None else self.weights[rows],
            None if self.structure is None else self.structure.take(rows),
        )


class DrawnPart(Part):
    """Rows of a large table. Its matrix is a copy of them, made when somebody asks for it, and then kept."""

    data: TrainingData | None
    rows: Rows

    def __init__(
        self,
        matrix: Matrix | None = None,
        target: Array | None = None,
        weights: Vector | None = None,
        structure: Structure | None = None,
        *,
        data: TrainingData | None = None,
        rows: Rows | None = None,
    ) -> None:
        """Either `data` and `rows`, or a `matrix` (which is what `replace` gives)."""
        self.__dict__.update(target=target, weights=weights, structure=structure, data=data, rows=rows)
        if matrix is not None:
            self.__dict__["matrix"] = matrix

    @cached_property
    def matrix(self) -> Matrix:
        assert self.data is not None
        return np.ascontiguousarray(self.data.matrix[self.rows])


@dataclass(frozen=True)
class Fit:
    """One piece of learning.

    `validation` is for early stopping; without it exactly `rounds` rounds are run (for families that have
    rounds). `deadline` (time.monotonic) asks to stop early with what there is; None means no hurry.
    `absolute` asks to minimise the absolute error of a number, instead of the squared one.
    """

    train: Part
    validation: Part | None
    features: tuple[Feature, ...]
    task: Task
    classes: int
    params: Params
    seed: int
    threads: int = 1
    deadline: float | None = None
    rounds: int | None = None
    absolute: bool = False

    @property
    def shape(self) -> Shape:
        widest = max((feature.levels for feature in self.features), default=0)
        return Shape(len(self.train.target), len(self.features), self.classes, self.task, widest)

    @property
    def out_of_time(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline


@dataclass(frozen=True)
class Fitted:
    """A learner, and how many rounds it used: with `Fit.rounds` set to that, the same bytes come out again.

    `grown` counts those that were learned before it was clear which was the best; 0 where there are no others.
    """

    learner: Learner
    rounds: int = 0
    grown: int = 0


@dataclass(frozen=True)
class Family:
    """One kind of model.

    `portfolio(shape)` names configurations, the family's best guess first; none when the family does not suit. A
    name means the same whatever the shape, because `portfolio.json` knows configurations by it.
    `space` is what tuning may change in the first of them. `cost(shape, params)` guesses seconds of one fit on
    one core, `memory(shape, params)` its megabytes beyond the rows themselves; measurements correct the first.
    `libraries` are the modules that `fit` imports; loading them is not counted as its time.
    `quick` is a configuration that gives a fair model in the least time, to have one at once.
    With `refit` a model learned from all rows stands for the trial, instead of the bag of the fold models, on small
    tables too: right for families that gain nothing from averaging their like. `more_rounds` is how many times the
    rounds of the folds such a model needs. `cuts` says that it cuts along one column at a time, so that columns made of
    pairs of numbers may tell it what it could not see. `restorers` rebuild the family's learners from their State.
    """

    name: str
    title: str
    portfolio: Callable[[Shape], Mapping[str, Params]]
    space: Callable[[Shape], Space]
    fit: Callable[[Fit], Fitted]
    cost: Callable[[Shape, Params], float]
    memory: Callable[[Shape, Params], float]
    restorers: Mapping[str, Restorer] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    quick: Params | None = None
    refit: bool = False
    more_rounds: float = 1.0
    cuts: bool = False


class Stopping:
    """Early stopping for anything that learns in rounds and reports a validation loss after each."""

    def __init__(self, fit: Fit, patience: int) -> None:
        self._fit = fit
        self._patience = patience
        self.best = np.inf
        self.best_rounds = 0
        self.rounds = 0

    def after_round(self, loss: float | None) -> bool:
        """True when this was the last round. `loss` is None where nothing is validated."""
        self.rounds += 1
        if loss is None:
            self.best_rounds = self.rounds
        elif loss < self.best or self.best_rounds == 0:
            self.best, self.best_rounds = loss, self.rounds
        return self.rounds - self.best_rounds >= self._patience or self._fit.out_of_time
