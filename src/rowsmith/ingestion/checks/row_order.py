"""Rows whose order says something: sorted by the target, or by a time that nobody declared."""

from __future__ import annotations

import math

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


def check_rows_are_in_no_order(examined: Examined) -> Outcome:
    """A target that is alike in neighbouring rows, and dates that go one way, where no time or group is named."""
    if examined.frame.height < MIN_ROWS:
        return NotApplicable("there are too few rows to tell")
    if examined.schema.with_role(Role.TIME) or examined.schema.with_role(Role.GROUP):
        return NotApplicable("the recipe says how rows hang together")
    return [*_target(examined), *_times(examined)]


def _target(examined: Examined) -> list[Observation]:
    target = examined.schema.target
    if target is None:
        return []
    values = examined.labelled.frame[target.name]
    likeness = _likeness(_as_codes(values, examined, target))
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


def _as_codes(values: pl.Series, examined: Examined, target: Column) -> Vector:
    """Numbers by rank, and classes as the event of one against the rest: the commonest."""
    if examined.schema.task is Task.REGRESSION:
        ranks = values.cast(pl.Float64, strict=False).drop_nulls().rank()
        return np.asarray(ranks.to_numpy(), dtype=np.float64)
    texts = values.cast(pl.String)
    commonest = texts.drop_nulls().mode().sort()
    return np.asarray((texts == commonest[0]).fill_null(False).cast(pl.Float64).to_numpy(), dtype=np.float64)


def _likeness(values: Vector) -> float:
    """Serial correlation of neighbours (von Neumann 1941, doi:10.1214/aoms/1177731677); 0 where it may be chance."""
    spread = float(values.var()) if len(values) > 2 else 0.0
    if spread == 0:
        return 0.0
    likeness = 1 - float(np.mean(np.diff(values) ** 2)) / (2 * spread)
    return likeness if likeness * math.sqrt(len(values)) > SURE else 0.0


def _times(examined: Examined) -> list[Observation]:
    """Columns of dates that only ever go forward, or only ever back."""
    found = [
        column.name
        for column in examined.features
        if column.kind is ColumnKind.DATETIME and _goes_one_way(examined.values(column).drop_nulls())
    ]
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


def _goes_one_way(values: pl.Series) -> bool:
    steps = values.diff().drop_nulls().dt.total_microseconds()
    if len(steps) < MIN_ROWS - 1 or values.n_unique() < 3:
        return False
    return max(int((steps >= 0).sum()), int((steps <= 0).sum())) >= IN_ORDER * len(steps)


CHECK = Check("row_order", "Rows in an order that matters", Severity.INFO, check_rows_are_in_no_order)
