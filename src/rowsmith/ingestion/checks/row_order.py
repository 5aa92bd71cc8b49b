"""Rows whose order says something: sorted by the target, or by a time that nobody declared."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import polars as pl

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, percent
from rowsmith.schema import Column
from rowsmith.types import ColumnKind, Role, Severity, Task, Vector

MIN_ROWS = 50
SURE = 6.0
"""Standard errors beyond which rows are not in random order."""
CLEARLY = 0.3
"""How much more alike neighbouring rows are than any two, from 0 (no more) to 1 (the same)."""
IN_ORDER = 0.98
ROUNDING = 1e-12
"""Of the mean square, what counts as no spread."""


def check_rows_are_in_no_order(examined: Examined) -> Outcome:
    """A target that is alike in neighbouring rows, and dates that go one way, where no time or group is named."""
    if examined.rows < MIN_ROWS:
        return NotApplicable("there are too few rows to tell")
    if examined.schema.with_role(Role.TIME) or examined.schema.with_role(Role.GROUP):
        return NotApplicable("the recipe says how rows hang together")
    return [*_target(examined), *_times(examined)]


def _target(examined: Examined) -> list[Observation]:
    target = examined.schema.target
    if target is None:
        return []
    likeness = examined.tally(Neighbours).likeness
    if likeness < CLEARLY:
        return []
    return [
        Observation(
            f'neighbouring rows are {percent(likeness)} more alike in "{target.name}" than chance has it',
            (target.name,),
            {"likeness": likeness},
            "Rows that follow each other may belong together (one day, one customer, one batch): name what they share "
            "as time or group under [columns], or the test rows will be too much like those of training. If the table "
            "was only sorted for reading, nothing needs to be done.",
        )
    ]


class Neighbours:
    """How alike the targets of rows are that follow each other."""

    def __init__(self, examined: Examined) -> None:
        self._target = examined.schema.target
        self._codes = None if self._target is None else _coding(examined, self._target)
        self._last: Vector = np.empty(0)
        self._rows = 0
        self._sum = self._squares = self._steps = 0.0

    def see(self, part: Examined) -> None:
        if self._target is None or self._codes is None:
            return
        codes = self._codes(part.labelled.frame[self._target.name])
        self._rows += len(codes)
        self._sum += float(codes.sum())
        self._squares += float((codes**2).sum())
        self._steps += float((np.diff(np.concatenate([self._last, codes])) ** 2).sum())
        self._last = codes[-1:] if len(codes) else self._last

    @property
    def likeness(self) -> float:
        """Serial correlation (von Neumann 1941, doi:10.1214/aoms/1177731677); 0 where it may be chance."""
        if self._rows <= 2:
            return 0.0
        spread = self._squares / self._rows - (self._sum / self._rows) ** 2
        if spread <= ROUNDING * self._squares / self._rows:
            return 0.0
        likeness = 1 - self._steps / (self._rows - 1) / (2 * spread)
        return likeness if likeness * math.sqrt(self._rows) > SURE else 0.0


def _coding(examined: Examined, target: Column) -> Callable[[pl.Series], Vector]:
    """Numbers by their rank among those that are held, from -1 to 1; classes as the event of one against the rest: the
    commonest."""
    held = examined.labelled.frame[target.name]
    if examined.schema.task is Task.REGRESSION:
        ordered = np.sort(_numbers(held))

        def ranks(values: pl.Series) -> Vector:
            numbers = _numbers(values)
            places = np.searchsorted(ordered, numbers, "left") + np.searchsorted(ordered, numbers, "right")
            return np.asarray(places / max(len(ordered), 1) - 1.0)

        return ranks
    commonest = held.cast(pl.String).drop_nulls().mode().sort().head(1)

    def events(values: pl.Series) -> Vector:
        if not len(commonest):
            return np.zeros(len(values))
        return np.asarray((values.cast(pl.String) == commonest).fill_null(False).cast(pl.Float64).to_numpy())

    return events


def _numbers(values: pl.Series) -> Vector:
    return np.asarray(values.cast(pl.Float64, strict=False).drop_nulls().to_numpy(), dtype=np.float64)


def _times(examined: Examined) -> list[Observation]:
    """Columns of dates that only ever go forward, or only ever back."""
    found = examined.tally(Steps).one_way
    if not found:
        return []
    return [
        Observation(
            f'the rows are in order of "{found[0]}"',
            tuple(found),
            advice=f'If the model is to predict later rows from earlier ones, set time = "{found[0]}" under [columns]: '
            "it is then trained on the past and tested on the future.",
        )
    ]


class Steps:
    """How often each feature of dates goes forward, and back, from one row that has a date to the next."""

    def __init__(self, examined: Examined) -> None:
        self._columns = [column for column in examined.features if column.kind is ColumnKind.DATETIME]
        self._varied = {c.name for c in self._columns if examined.values(c).drop_nulls().n_unique() > 2}
        self._last = {column.name: pl.Series(dtype=pl.Datetime("us")) for column in self._columns}
        self._counts = {column.name: np.zeros(3, dtype=np.int64) for column in self._columns}

    def see(self, part: Examined) -> None:
        for column in self._columns:
            values = pl.concat([self._last[column.name], part.values(column).drop_nulls().rename("")])
            steps = values.diff().drop_nulls().dt.total_microseconds()
            self._counts[column.name] += [int((steps >= 0).sum()), int((steps <= 0).sum()), len(steps)]
            self._last[column.name] = values.tail(1)

    @property
    def one_way(self) -> list[str]:
        return [
            name
            for name, (up, down, steps) in self._counts.items()
            if name in self._varied and steps >= MIN_ROWS - 1 and max(up, down) >= IN_ORDER * steps
        ]


CHECK = Check(
    "row_order", "Rows in an order that matters", Severity.INFO, check_rows_are_in_no_order, (Neighbours, Steps)
)
