"""Rows that are another row with a small difference: a new number, a capital, a rounded figure."""

from __future__ import annotations

import math

import polars as pl

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, percent
from rowsmith.schema import NUMERIC_KINDS
from rowsmith.types import ColumnKind, Role, Severity

DIGITS = 3
"""Significant digits of a number that are compared."""
MIN_ROWS = 20
BEYOND_CHANCE = 3
SAME_WITHOUT = 0.5


def check_rows_are_really_different(examined: Examined) -> Outcome:
    """Equal once identifiers are set aside, numbers are rounded to `DIGITS` digits, and text is compared without case
    and blanks; exact repetitions are the business of another check."""
    columns = [column for column in examined.columns if _tells(column.kind) and Role.SUBJECT_ID not in column.roles]
    whole = examined.frame.select(column.name for column in examined.columns)
    rows = whole.height
    if rows < MIN_ROWS or len(columns) < 2:
        return NotApplicable("there are too few rows or columns to compare")
    blurred = pl.DataFrame([_blurred(examined.values(column), column.kind) for column in columns])
    repeats = rows - blurred.n_unique()
    near = repeats - (rows - whole.n_unique())
    if near <= 0 or _may_be_chance(blurred, near, repeats):
        return ()
    return (
        Observation(
            f"{counted(near, 'row')} ({percent(near / rows)}) differ from another only in an identifier, in case and "
            f"blanks, or beyond {DIGITS} digits of a number",
            evidence={"rows": near, "share": near / rows},
            advice="If they are one thing recorded twice, keep one of each, or name what they share as group under "
            "[columns]: a model is otherwise tested on rows that it has nearly seen.",
        ),
    )


def _tells(kind: ColumnKind) -> bool:
    return kind not in (ColumnKind.IDENTIFIER, ColumnKind.CONSTANT)


def _blurred(values: pl.Series, kind: ColumnKind) -> pl.Series:
    if kind in NUMERIC_KINDS:
        return values.round_sig_figs(DIGITS) if kind is ColumnKind.NUMBER else values
    if values.dtype == pl.String:
        return values.str.to_lowercase().str.replace_all(r"[\s\p{P}]+", "")
    return values


def _may_be_chance(blurred: pl.DataFrame, near: int, repeats: int) -> bool:
    """In a narrow table rows agree by chance. Then many more agree where one telling column is left out, whereas rows
    recorded twice are the same ones with it and without it."""
    rows = blurred.height
    agree = {series.name: _agreement(series) for series in blurred.iter_columns()}
    if near < BEYOND_CHANCE * min(rows * rows / 2 * math.prod(agree.values()), rows):
        return True
    without = rows - blurred.drop(min(agree, key=agree.__getitem__)).n_unique()
    return repeats < SAME_WITHOUT * without


def _agreement(series: pl.Series) -> float:
    """How often two rows have the same value."""
    shares = series.value_counts(name="_rows_")["_rows_"].cast(pl.Float64) / len(series)
    return float(shares.pow(2).sum())


CHECK = Check("near_duplicates", "Nearly duplicate rows", Severity.WARNING, check_rows_are_really_different)
