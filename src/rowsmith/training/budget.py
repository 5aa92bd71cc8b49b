"""Budget: what still fits into the time and the memory that are left."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace

import numpy as np

from rowsmith.recipe import TrainSection
from rowsmith.training.arithmetic import ROWS_LOOKED_AT
from rowsmith.training.data import Shape, TrainingData
from rowsmith.training.families.base import Family, Params

MOST_OF_TIME = 0.6
"""That one fit on one core may take; a longer one gets all cores, although two fits side by side are more work done."""
BAG_ROWS = 5000
"""Tables of fewer rows are answered by bags of fold models, others by models of all rows (see docs/decisions/0016)."""
VALIDATED_ROWS = 4000
"""Of larger tables, that are enough to tell configurations apart: folds beyond them are not run."""
LEAST_FOLDS = 2
LEAST_RESERVE, RESERVE_SHARE, MOST_RESERVE = 0.25, 0.025, 20.0
WORKER_MB = 230.0
"""A worker with one library loaded, before it sees a row (measured)."""
MAIN_MB = 300.0
FIRST_FIT_SECONDS = 1.0
LEARNING = 0.5
"""How far one measurement moves the correction of a family's price."""
SECONDS_OF_CHOICE = 0.4
"""What it takes to find pairs of numbers among `ROWS_LOOKED_AT` rows."""


@dataclass(frozen=True)
class Plan:
    """How the work is laid out: parallel workers and threads in each, folds that each trial runs, rows it may use.

    With `refit` the model consists of learners of all rows, not of fold models.
    """

    workers: int
    threads: int
    folds: int
    rows: int | None
    refit: bool


@dataclass
class Clock:
    """Time left, on `time.monotonic`. With `deadline` None nothing is ever late.

    Kept back are `closing`, for ensemble, calibration and clean-up, and `refits`: what the worker that is given work
    next has to spare for learning the chosen trials from all rows.
    """

    deadline: float | None
    begin: float = field(default_factory=time.monotonic)
    closing: float = 0.0
    refits: float = 0.0

    def __post_init__(self) -> None:
        if self.deadline is not None:
            self.closing = reserve_for(self.deadline - self.begin)

    @property
    def room(self) -> float | None:
        """Seconds until the last trial and the last refit must have ended."""
        return None if self.deadline is None else max(self.deadline - self.closing - time.monotonic(), 0.0)

    @property
    def left(self) -> float | None:
        """Seconds until the next worker's last trial must have ended; what is kept back for the end is not in it."""
        room = self.room
        return None if room is None else max(room - self.refits, 0.0)

    @property
    def is_over(self) -> bool:
        return self.room is not None and self.room <= 0.0

    @property
    def fraction(self) -> float | None:
        if self.deadline is None:
            return None
        return min((time.monotonic() - self.begin) / max(self.deadline - self.begin, 1e-9), 1.0)

    @property
    def third(self) -> float:
        """Of the whole: neither refits nor the end are ever given more."""
        return np.inf if self.deadline is None else (self.deadline - self.begin) / 3.0

    def set_aside(self, closing: float) -> None:
        """Keep so much back for the end, as measurement tells."""
        self.closing = max(self.closing, min(closing, self.third))


def reserve_for(seconds: float) -> float:
    """What to keep back for ensemble, calibration and clean-up before anything was measured."""
    return min(max(LEAST_RESERVE, RESERVE_SHARE * seconds), MOST_RESERVE, max(seconds / 3.0, 0.0))


class Prices:
    """Seconds of a fit: the family's own guess, corrected by what its fits took so far."""

    def __init__(self) -> None:
        self._correction: dict[str, float] = {}

    def guess(self, family: Family, shape: Shape, params: Params) -> float:
        """A family that has not run yet is taken to be as wrong as the others: a busy machine slows them all."""
        others = float(np.median(list(self._correction.values()))) if self._correction else 1.0
        return self._correction.get(family.name, others) * _cost(family, shape, params)

    def learn(self, family: Family, shape: Shape, params: Params, seconds: float, *, at_least: bool = False) -> None:
        """A fit took so long; `at_least` where it was cut short."""
        expected = _cost(family, shape, params)
        now = seconds / expected
        before = self._correction.get(family.name, now)
        if at_least:
            now = max(before, now)
        self._correction[family.name] = (1 - LEARNING) * before + LEARNING * now


def _cost(family: Family, shape: Shape, params: Params) -> float:
    """The family's guess, by the rows and the columns that it gets to see."""
    rows = min(params.get("rows", shape.rows), shape.rows)
    joined = int(params.get("arithmetic", 0))
    choice = SECONDS_OF_CHOICE * min(rows / ROWS_LOOKED_AT, 1.0) if joined else 0.0
    return choice + family.cost(replace(shape, rows=rows, columns=shape.columns + joined), params)


def fold_shape(data: TrainingData) -> Shape:
    """Of the training part of a fold."""
    return replace(data.shape, rows=max(len(train) for train, _ in data.folds))


def lay_out(data: TrainingData, options: TrainSection, seconds: float | None, family: Family, params: Params) -> Plan:
    """Workers, threads, folds and rows for this table, judged by the price of one ordinary fit (`family`, `params`).

    Without a clock nothing depends on the machine: one thread for a learner, every fold, every row that fits
    into memory.
    """
    shape = fold_shape(data)
    cores = options.cores or available_cores()
    workers, threads = cores, 1
    rows = None
    if options.memory_mb is not None:
        workers, rows = _fit_memory(data, options.memory_mb, cores, family, params)
    refit = len(data.matrix) >= BAG_ROWS or not covers_all_rows(data)
    most = folds_needed(data)
    if seconds is None:
        return Plan(workers, 1, most, rows, refit)
    if rows is not None:
        shape = replace(shape, rows=rows)
    price = max(family.cost(shape, params), 1e-9)
    if price > MOST_OF_TIME * seconds and cores > 1 and workers > 1:
        # One fit barely fits: better all cores on one than several that do not end.
        workers, threads = 1, cores
        price /= 0.7 * cores
    folds = int(min(max(0.5 * seconds * workers / price, 1), most))
    if price > seconds / 2.0:
        rows = max(int(shape.rows * seconds / (2.0 * price)), min(shape.rows, 1000))
    return Plan(workers, threads, folds, rows, refit)


def folds_needed(data: TrainingData) -> int:
    """So many folds that enough rows are validated; all of them on a small table."""
    if len(data.matrix) < BAG_ROWS:
        return len(data.folds)
    passed = np.cumsum([len(valid) for _, valid in data.folds])
    enough = int(np.searchsorted(passed, VALIDATED_ROWS)) + 1
    return min(max(enough, LEAST_FOLDS), len(data.folds))


def covers_all_rows(data: TrainingData) -> bool:
    """Whether folds learn from all rows but those they validate; ordered by time they learn from the past alone."""
    return all(len(train) + len(valid) == len(data.matrix) for train, valid in data.folds)


def _fit_memory(
    data: TrainingData, memory_mb: int, cores: int, family: Family, params: Params
) -> tuple[int, int | None]:
    """As many workers as the memory allows; with one that is still too large, fewer rows for it."""
    shape = fold_shape(data)
    table_mb = data.matrix.nbytes / 1e6
    unit_mb = table_mb + family.memory(shape, params)
    free = memory_mb - MAIN_MB - table_mb
    workers = int(min(max(free // (WORKER_MB + unit_mb), 1), cores))
    if WORKER_MB + unit_mb <= free:
        return workers, None
    share = max(free - WORKER_MB, 0.05 * memory_mb) / max(unit_mb, 1e-9)
    return 1, max(int(shape.rows * min(share, 1.0)), min(shape.rows, 1000))


def first_rows(data: TrainingData, family: Family, params: Params) -> int | None:
    """How many rows the very first fit may see to end within about a second; None for all of them."""
    shape = fold_shape(data)
    price = family.cost(shape, params)
    if price <= FIRST_FIT_SECONDS:
        return None
    return max(int(shape.rows * FIRST_FIT_SECONDS / price), 1000)


def available_cores() -> int:
    """Cores that this process may use (its affinity, not the machine's)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
