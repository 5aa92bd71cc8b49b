"""Rows that are another row with a small difference: a new number, a capital, a rounded figure."""

from __future__ import annotations

import math
from functools import cached_property

import polars as pl

from rowsmith.ingestion.checks.duplicate_rows import Repeats
from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, percent
from rowsmith.ingestion.hashes import Hashes, hashes_of
from rowsmith.schema import KINDS_WITHOUT_INFORMATION, NUMERIC_KINDS, Column
from rowsmith.types import ColumnKind, Role, Severity

DIGITS = 3
"""Significant digits of a number that are compared."""
MIN_ROWS = 20
BEYOND_CHANCE = 3
SAME_WITHOUT = 0.5


def check_rows_are_really_different(examined: Examined) -> Outcome:
    """Equal once identifiers are set aside, numbers are rounded to `DIGITS` digits, and text is compared without case
    and blanks; exact repetitions are the business of another check."""
    rows = examined.rows
    if rows < MIN_ROWS or len(_telling(examined)) < 2:
        return NotApplicable("there are too few rows or columns to compare")
    blurred = examined.tally(Blurred)
    near = blurred.repeats - examined.tally(Repeats).rows
    if near <= 0 or blurred.may_be_chance(near):
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


class Blurred:
    """`repeats` are the rows that are another once they are blurred, exact repetitions included."""

    def __init__(self, examined: Examined) -> None:
        self._columns = _telling(examined)
        held = self._blurred(examined)
        self._agree = {series.name: _agreement(series) for series in held.iter_columns()}
        self._rows = examined.rows
        self._most_telling = min(self._agree, key=self._agree.__getitem__, default="")
        self._hashes, self._hashes_without = Hashes(), Hashes()

    def see(self, part: Examined) -> None:
        blurred = self._blurred(part)
        if blurred.width > 1:
            self._hashes.add(hashes_of(blurred))
            self._hashes_without.add(hashes_of(blurred.drop(self._most_telling)))

    @cached_property
    def repeats(self) -> int:
        return self._hashes.repeats

    def may_be_chance(self, near: int) -> bool:
        """In a narrow table rows agree by chance. Then many more agree where one telling column is left out, whereas
        rows recorded twice are the same ones with it and without it."""
        rows = self._rows
        if near < BEYOND_CHANCE * min(rows * rows / 2 * math.prod(self._agree.values()), rows):
            return True
        return self.repeats < SAME_WITHOUT * self._hashes_without.repeats

    def _blurred(self, examined: Examined) -> pl.DataFrame:
        return pl.DataFrame([_blurred(examined.values(column), column.kind) for column in self._columns])


def _telling(examined: Examined) -> list[Column]:
    return [
        column
        for column in examined.columns
        if column.kind not in KINDS_WITHOUT_INFORMATION and Role.SUBJECT_ID not in column.roles
    ]


def _blurred(values: pl.Series, kind: ColumnKind) -> pl.Series:
    if kind in NUMERIC_KINDS:
        return values.round_sig_figs(DIGITS) if kind is ColumnKind.NUMBER else values
    if values.dtype == pl.String:
        return values.str.to_lowercase().str.replace_all(r"[\s\p{P}]+", "")
    return values


def _agreement(series: pl.Series) -> float:
    """How often two rows have the same value."""
    shares = series.rename("value").value_counts()["count"].cast(pl.Float64) / len(series)
    return float(shares.pow(2).sum())


CHECK = Check(
    "near_duplicates", "Nearly duplicate rows", Severity.WARNING, check_rows_are_really_different, (Repeats, Blurred)
)
