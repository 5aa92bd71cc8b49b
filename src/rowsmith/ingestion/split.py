"""The split: which rows are sealed away for the one final test, and the folds of cross-validation.

By the roles of the schema:

- a time column: the test is the last share of the time, and each fold trains on the past of what it validates on
  (an expanding window; the oldest rows are never validated). Rows of one moment stay together; rows without a time
  count as the oldest.
- a group column: the rows of one group stay on one side; a row without a group is a group of its own.
- both: as for time, and rows of the training side whose group is on the other side are left out.
- classes: each side gets its share of every class; classes of a few rows go to the training side first.

Rows without a target are on no side. Everything else that is random comes from `train.seed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from rowsmith.conform.parsing import converter
from rowsmith.conform.plain import without_nan
from rowsmith.conform.series import conform_series
from rowsmith.errors import DataError
from rowsmith.ingestion.allocation import allocate_groups, deal_classes, share_of_classes
from rowsmith.recipe import Recipe
from rowsmith.schema import NUMERIC_KINDS, Column, Schema
from rowsmith.types import Array, ColumnKind, Role, Rows

Fold = tuple[Rows, Rows]
REPEAT_SEEDS = 1_000_003
"""How far apart the seeds of repeats are, so that they do not meet those of other runs."""


@dataclass(frozen=True)
class Split:
    """Positions of rows in ascending order; `test` is empty where the recipe holds nothing out."""

    train: Rows
    test: Rows


def seal(frame: pl.DataFrame, schema: Schema, recipe: Recipe) -> Split:
    """Seal `split.holdout` of the rows away. Raises DataError where a side would be empty."""
    rows = rows_with_target(frame, schema)
    holdout = recipe.split.holdout
    if holdout == 0:
        return Split(rows, np.empty(0, dtype=np.int64))
    if len(rows) < 2:
        raise DataError(
            "there are too few rows to seal any away for the test",
            received=f"{len(rows)} rows with a target",
            next_step="bring more rows, or set holdout = 0 under [split]",
        )
    keys = _Keys.of(frame, rows, schema, recipe.train.seed)
    if keys.times is not None:
        train, test = _by_time(keys.times, 1 - holdout)
        train = _without_groups_of(train, test, keys)
    elif keys.groups is not None:
        bins = allocate_groups(keys.groups, keys.classes, np.array([1 - holdout, holdout]), keys.random)
        train, test = np.flatnonzero(bins == 0), np.flatnonzero(bins == 1)
    else:
        chosen = share_of_classes(keys.classes, holdout, keys.random)
        train, test = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    _require_both(train, test, "the sealed test part", "change holdout under [split]")
    return Split(rows[train], rows[test])


def make_folds(frame: pl.DataFrame, schema: Schema, recipe: Recipe, *, repeat: int = 0) -> tuple[Fold, ...]:
    """`split.folds` pairs of (train, validation): positions in `frame`, ascending, as int32 (int64 of huge tables).

    Each row with a target is validated in just one fold (ordered by time: in at most one). A class of fewer rows than
    there are folds is missing from some validation parts; one of a single row is missing where that row is validated
    from the training part. With `repeat` the rows are dealt out anew (ordered by time there is only one way). Raises
    DataError for fewer rows, groups or moments than folds.
    """
    rows = rows_with_target(frame, schema)
    count = recipe.split.folds
    if len(rows) < count:
        raise _too_few("rows", len(rows), count)
    keys = _Keys.of(frame, rows, schema, recipe.train.seed + REPEAT_SEEDS * repeat)
    if keys.times is not None:
        return tuple((_narrow(rows[train]), _narrow(rows[valid])) for train, valid in _time_folds(keys, count))
    if keys.groups is not None:
        groups = len(np.unique(keys.groups))
        if groups < count:
            raise _too_few("groups", groups, count)
        bins = allocate_groups(keys.groups, keys.classes, np.full(count, 1 / count), keys.random)
    else:
        bins = deal_classes(keys.classes, count, keys.random)
    return tuple((_narrow(rows[bins != i]), _narrow(rows[bins == i])) for i in range(count))


def blocks_of(frame: pl.DataFrame, schema: Schema) -> tuple[Rows, bool] | None:
    """What folds keep apart or in order, for whoever splits the rows of a fold again: moments in time (True) or the
    codes of groups (False), shape (rows,). None where rows have nothing to do with each other."""
    keys = _Keys.of(frame, np.arange(frame.height), schema, seed=0)
    if keys.times is not None:
        return keys.times, True
    return None if keys.groups is None else (keys.groups, False)


def rows_with_target(frame: pl.DataFrame, schema: Schema) -> Rows:
    """Positions of the rows whose target has a value; blanks and the target's own null spellings are none."""
    target = schema.target
    if target is None:
        return np.arange(frame.height, dtype=np.int64)
    kind = ColumnKind.CATEGORY if schema.labels else ColumnKind.NUMBER
    series = frame[target.name]
    if series.dtype.is_numeric() and not target.parsing.nulls:
        known, wrong = without_nan(series).is_not_null(), None
    else:
        values, wrong = conform_series(series, kind, converter(kind, target.parsing))
        known = values.is_not_null()
    if wrong is not None:
        # What cannot be read has a value, and is refused where it is encoded.
        known = known | wrong
    if known.all():
        return np.arange(frame.height, dtype=np.int64)
    return known.arg_true().to_numpy().astype(np.int64)


def take_rows(frame: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    """The rows at different ascending positions; the very frame where that is all of them, since a copy is dear."""
    return frame if len(rows) == frame.height else frame[rows]


def _narrow(rows: Rows) -> Rows:
    """Positions in half the memory: the folds of ten million rows are a hundred million of them."""
    narrow: Array = rows.astype(np.int32) if not len(rows) or rows[-1] < 2**31 else rows
    return narrow


@dataclass(frozen=True)
class _Keys:
    """What rows are split by: shape (rows,) each. `classes` are all 0 for a regression."""

    classes: Rows
    groups: Rows | None
    times: Array | None
    random: np.random.Generator

    @classmethod
    def of(cls, frame: pl.DataFrame, rows: Rows, schema: Schema, seed: int) -> _Keys:
        target, group, time = schema.target, schema.only(Role.GROUP), schema.only(Role.TIME)
        frame = take_rows(frame.select(column.name for column in (target, group, time) if column is not None), rows)
        classes = np.zeros(len(rows), dtype=np.int64)
        if target is not None and schema.labels:
            classes = _codes(frame[target.name], ColumnKind.CATEGORY, target)
        groups = _groups(frame[group.name], group) if group else None
        times = _times(frame[time.name], time) if time else None
        return cls(classes, groups, times, np.random.default_rng(seed))


def _codes(series: pl.Series, kind: ColumnKind, column: Column) -> Rows:
    """By the order of the spellings, from 1; 0 where there is none."""
    different = series.unique().drop_nulls()
    values, _ = conform_series(different, kind, converter(kind, column.parsing))
    ranks = values.rank("dense").fill_null(0).cast(pl.Int64)
    return series.replace_strict(different, ranks, default=0, return_dtype=pl.Int64).to_numpy()


def _groups(series: pl.Series, column: Column) -> Rows:
    codes = _codes(series, ColumnKind.TEXT, column).copy()
    lonely = np.flatnonzero(codes == 0)
    codes[lonely] = codes.max(initial=0) + 1 + np.arange(len(lonely))
    return codes


def _times(series: pl.Series, column: Column) -> Array:
    """Numbers that order the rows. Raises DataError where all are the same."""
    kind = ColumnKind.NUMBER if column.kind in NUMERIC_KINDS else ColumnKind.DATETIME
    values, _ = conform_series(series, kind, converter(kind, column.parsing))
    times = _dense_ranks(values)
    if len(times) and times.min() == times.max():
        raise DataError(
            f'all rows have the same time in "{series.name}", so there is no past and no future',
            next_step="name another time column, or none",
        )
    return times


def _dense_ranks(values: pl.Series) -> Array:
    return values.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()


def _by_time(times: Array, share: float) -> Fold:
    """The rows before the moment at which `share` of them have passed, and the rest; neither side is empty."""
    moments, counts = np.unique(times, return_counts=True)
    passed = np.cumsum(counts)[:-1] / len(times)
    first_after = moments[1 + int(np.abs(passed - share).argmin())]
    return np.flatnonzero(times < first_after), np.flatnonzero(times >= first_after)


def _time_folds(keys: _Keys, count: int) -> list[Fold]:
    """Expanding windows over `count` + 1 stretches of about as many rows each, the latest first: where not all folds
    can be run, those are that come nearest to the model's own task."""
    times = keys.times
    assert times is not None
    moments, counts = np.unique(times, return_counts=True)
    if len(moments) < count + 1:
        raise _too_few("moments in time", len(moments), count, needed=count + 1)
    bounds = _stretch_bounds(np.cumsum(counts), count + 1)
    folds = []
    for low, high in pairwise(bounds):
        train = np.flatnonzero(times < moments[low])
        valid = np.flatnonzero((times >= moments[low]) & (times <= moments[high - 1]))
        train = _without_groups_of(train, valid, keys)
        _require_both(train, valid, "a fold", "name only one of time and group under [columns]")
        folds.append((train, valid))
    return folds[::-1]


def _stretch_bounds(passed: Array, stretches: int) -> list[int]:
    """Where each stretch after the first begins, and the end: positions among the moments, strictly rising."""
    moments = len(passed)
    bounds: list[int] = []
    for i in range(1, stretches):
        ideal = int(np.searchsorted(passed, passed[-1] * i / stretches, side="left")) + 1
        low, high = (bounds[-1] if bounds else 0) + 1, moments - (stretches - i)
        bounds.append(min(max(ideal, low), high))
    return [*bounds, moments]


def _without_groups_of(train: Rows, test: Rows, keys: _Keys) -> Rows:
    if keys.groups is None:
        return train
    return train[~np.isin(keys.groups[train], keys.groups[test])]


def _require_both(train: Rows, test: Rows, what: str, next_step: str) -> None:
    if len(train) and len(test):
        return
    raise DataError(
        f"{what} cannot be made: {'no rows are left to train on' if len(test) else 'it would be empty'}",
        received=f"{len(train)} rows to train on, {len(test)} held out",
        next_step=next_step,
    )


def _too_few(what: str, received: int, folds: int, *, needed: int | None = None) -> DataError:
    possible = received - ((needed or folds) - folds)
    step = f"set folds = {possible} under [split], or bring more rows" if possible >= 2 else "bring more rows"
    return DataError(
        f"{folds} folds need at least {needed or folds} {what}", received=f"{received} {what}", next_step=step
    )
