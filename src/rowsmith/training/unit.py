"""A unit of work: one configuration learned on one fold. This is what runs in a worker process."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rowsmith.state import State
from rowsmith.training.arithmetic import choose_arithmetic
from rowsmith.training.data import Fold, TrainingData, digest_of
from rowsmith.training.families import find_family
from rowsmith.training.families.adapters import Constant, ScaledTarget, SomeClasses, WithArithmetic
from rowsmith.training.families.base import DrawnPart, Fit, Fitted, Params, Part
from rowsmith.training.libraries import load, load_alone
from rowsmith.types import Array, Rows, Scores2D, Task

if TYPE_CHECKING:
    from rowsmith.model import Learner

IS_WORKER = False
"""Whether this process is a worker of ours, and nobody else's."""
ALL_ROWS = -1
"""The number of the fold that trains on every row and validates none."""
LARGE_ROWS = 200_000
ROWS_AT_ONCE = 1 << 17
OURS = frozenset({"rows", "log_target", "arithmetic"})
BLIND_ROUNDS = 100
"""Of boosting where no row is left to tell when to stop."""
DataReference = Path | TrainingData
"""Where a worker finds the data: a folder that it maps into memory, or the data itself."""


@dataclass(frozen=True)
class Unit:
    """What to learn. `rounds` repeats an earlier run exactly; `seconds` is when to stop early (from the start).

    `params` are the family's, plus three of ours: `rows` (learn from at most so many, drawn by the seed),
    `log_target` (learn log(1 + y)), and `arithmetic` (at most so many columns of pairs of numbers).
    """

    trial: int
    family: str
    params: Params
    fold: int
    repeat: int = 0
    seed: int = 0
    threads: int = 1
    rounds: int | None = None
    seconds: float | None = None
    absolute: bool = False


@dataclass(frozen=True)
class UnitResult:
    """What came out: answers for the validation rows of the fold, and the learner as inert State.

    `digest` is over both. Of `grown` rounds, which took `seconds`, the learner has the first `rounds`. `peak_mb` is the
    most memory that the process has used so far, `row_us` what the learner is expected to take for one row.
    """

    scores: Scores2D
    state: State
    rounds: int
    grown: int
    seconds: float
    digest: str
    peak_mb: float
    row_us: float


def seed_of(seed: int, trial: int, fold: int) -> int:
    """The seed of a unit, from that of the search."""
    return int(np.random.SeedSequence([seed, trial, fold + 1]).generate_state(1)[0] % 2**31)


def run_unit(reference: DataReference, unit: Unit) -> UnitResult:
    """Learn and answer. Raises whatever a library raises; the supervisor makes a line of the leaderboard of it."""
    (load_alone if IS_WORKER else load)(find_family(unit.family).libraries)
    start = time.monotonic()
    data = _open(reference) if isinstance(reference, Path) else reference
    fold = data.fold(unit.repeat, unit.fold) if unit.fold != ALL_ROWS else _all_rows(data)
    # More BLAS threads add up in another order, and the same work would give other bits.
    with warnings.catch_warnings(), threadpool_limits(unit.threads):
        # A library's advice (did not converge, ...) is for people who call it by hand.
        warnings.simplefilter("ignore")
        fitted = _fit(data, fold, unit, None if unit.seconds is None else start + unit.seconds)
        learner, rounds = fitted.learner, fitted.rounds
        scores = _answers(learner, data, fold[1])
    if not np.isfinite(scores).all():
        raise ValueError("the model answers with numbers that are not finite")
    state = learner.to_state()
    seconds = time.monotonic() - start
    grown = max(fitted.grown, rounds)
    digest = digest_of_result(scores, state)
    return UnitResult(scores, state, rounds, grown, seconds, digest, _peak_mb(), learner.row_us)


def learn(data: TrainingData, fold: Fold, unit: Unit, *, deadline: float | None = None) -> tuple[Learner, int]:
    """A learner for the whole task from the training rows of a fold, and its rounds; the validation rows decide when to
    stop."""
    fitted = _fit(data, fold, unit, deadline)
    return fitted.learner, fitted.rounds


def _fit(data: TrainingData, fold: Fold, unit: Unit, deadline: float | None) -> Fitted:
    train, valid = fold
    train = _subsample(train, unit, data)
    fit = Fit(
        train=_part(data, train),
        validation=_part(data, valid) if unit.rounds is None and len(valid) else None,
        features=data.features,
        task=data.task,
        classes=data.classes,
        params={key: value for key, value in unit.params.items() if key not in OURS},
        seed=unit.seed,
        threads=unit.threads,
        deadline=deadline,
        rounds=unit.rounds,
        absolute=unit.absolute,
    )
    return _classify(fit, unit) if data.task.is_classification else _regress(fit, unit)


def _part(data: TrainingData, rows: Rows) -> Part:
    """Some rows of the data; of a large table they are not copied before somebody asks for it."""
    target = _take(data.target, rows)
    weights = None if data.weights is None else _take(data.weights, rows)
    structure = None if data.structure is None else data.structure.take(rows)
    if len(data.matrix) >= LARGE_ROWS:
        return DrawnPart(target=target, weights=weights, structure=structure, data=data, rows=rows)
    return Part(_take(data.matrix, rows), target, weights, structure)


def _answers(learner: Learner, data: TrainingData, rows: Rows) -> Scores2D:
    """Of the learner, for some rows; a few of them at a time, since a large table's would be a copy of much of it."""
    pieces = np.array_split(rows, max(-(-len(rows) // ROWS_AT_ONCE), 1))
    return np.concatenate([learner.predict(np.asarray(data.matrix[piece])) for piece in pieces])


def _classify(fit: Fit, unit: Unit) -> Fitted:
    present = np.flatnonzero(np.bincount(fit.train.target, minlength=fit.classes))
    if len(present) == 1 or not fit.features:
        return Fitted(Constant.of(fit.train.target, fit.train.weights, fit.classes))
    if len(present) == fit.classes:
        return _learn(fit, unit)
    floor = 1.0 / (len(fit.train.target) + fit.classes)
    some = replace(
        fit,
        train=_recode(fit.train, present),
        validation=_recode(fit.validation, present) if fit.validation is not None else None,
        classes=len(present),
        task=Task.BINARY if len(present) == 2 else Task.MULTICLASS,
    )
    if some.validation is not None and not len(some.validation.target):
        some = replace(some, validation=None, rounds=some.rounds or BLIND_ROUNDS)
    fitted = _learn(some, unit)
    return replace(fitted, learner=SomeClasses(fitted.learner, present, fit.classes, floor))


def _recode(part: Part, present: Array) -> Part:
    """Rows of the classes present alone, coded by their position."""
    keep = np.isin(part.target, present)
    target = np.searchsorted(present, part.target[keep])
    if isinstance(part, DrawnPart):
        weights = None if part.weights is None else part.weights[keep]
        structure = None if part.structure is None else part.structure.take(keep)
        return DrawnPart(target=target, weights=weights, structure=structure, data=part.data, rows=part.rows[keep])
    return replace(part.take(np.flatnonzero(keep)), target=target)


def _regress(fit: Fit, unit: Unit) -> Fitted:
    log = bool(unit.params.get("log_target", False))
    target = np.log1p(fit.train.target) if log else fit.train.target
    offset = float(np.average(target, weights=fit.train.weights))
    # Divided by the largest first, so that the squares of huge numbers stay finite.
    largest = float(np.abs(target - offset).max())
    if largest <= 1e-12 * abs(offset) or largest == 0.0 or not fit.features:
        return Fitted(Constant.of(fit.train.target, fit.train.weights, 0))
    scale = largest * float(np.sqrt(np.average(((target - offset) / largest) ** 2, weights=fit.train.weights)))
    if scale == 0.0:
        return Fitted(Constant.of(fit.train.target, fit.train.weights, 0))

    def standardised(part: Part) -> Part:
        values = np.log1p(np.maximum(part.target, 0.0)) if log else part.target
        values = (values - offset) / scale
        if isinstance(part, DrawnPart):
            return DrawnPart(
                target=values, weights=part.weights, structure=part.structure, data=part.data, rows=part.rows
            )
        return replace(part, target=values)

    fit = replace(
        fit,
        train=standardised(fit.train),
        validation=standardised(fit.validation) if fit.validation is not None else None,
    )
    fitted = _learn(fit, unit)
    highest = float(target.max() + scale)
    return replace(fitted, learner=ScaledTarget(fitted.learner, offset, scale, log, highest))


def _learn(fit: Fit, unit: Unit) -> Fitted:
    """What the family makes of it, with arithmetic of numbers beside them where the configuration asks for it."""
    family = find_family(unit.family)
    arithmetic = choose_arithmetic(fit, most) if (most := int(unit.params.get("arithmetic", 0))) else None
    if arithmetic is None:
        return family.fit(fit)

    def wider(part: Part) -> Part:
        return Part(arithmetic.apply(part.matrix), part.target, part.weights, part.structure)

    validation = None if fit.validation is None else wider(fit.validation)
    features = arithmetic.features(fit.features)
    fitted = family.fit(replace(fit, train=wider(fit.train), validation=validation, features=features))
    return replace(fitted, learner=WithArithmetic(fitted.learner, arithmetic))


def _all_rows(data: TrainingData) -> Fold:
    rows = np.arange(len(data.matrix))
    return rows, rows[:0]


def _subsample(rows: Rows, unit: Unit, data: TrainingData) -> Rows:
    most = unit.params.get("rows")
    if most is not None and unit.fold == ALL_ROWS:
        # The same share of all rows as of a fold's.
        most = round(most * len(rows) / max(len(train) for train, _ in data.folds))
    if most is None or most >= len(rows):
        return rows
    return np.sort(np.random.default_rng(unit.seed).choice(rows, most, replace=False))


def _take(array: Any, rows: Rows) -> Any:
    return np.ascontiguousarray(array[rows])


def digest_of_result(scores: Scores2D, state: State) -> str:
    """SHA-256 over a unit's answers and its learner."""
    return digest_of(scores, text=digest_of_state(state))


def digest_of_state(state: State) -> str:
    """SHA-256 over a State tree, independent of the order of its names."""
    import hashlib
    import json

    text = hashlib.sha256(f"{state.kind}{json.dumps(state.data, sort_keys=True)}".encode())
    for name in sorted(state.arrays):
        text.update(f"{name}{digest_of(state.arrays[name])}".encode())
    for name in sorted(state.blobs):
        text.update(f"{name}{hashlib.sha256(state.blobs[name]).hexdigest()}".encode())
    for name in sorted(state.children):
        text.update(f"{name}{digest_of_state(state.children[name])}".encode())
    return text.hexdigest()


@lru_cache(maxsize=1)
def _open(folder: Path) -> TrainingData:
    return TrainingData.load(folder)


def prepare_worker(environment: Mapping[str, str]) -> None:
    """First thing in a worker: settings that libraries read when they are loaded, and an end when the parent ends."""
    global IS_WORKER
    IS_WORKER = True
    os.environ.update(environment)
    # The terminal's Ctrl-C reaches the whole process group; the parent alone decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _peak_mb() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
