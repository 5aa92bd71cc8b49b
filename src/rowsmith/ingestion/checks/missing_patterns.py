"""Columns that are missing in the same rows, and columns that begin or end somewhere in the table."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import numpy as np
import polars as pl

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, listed
from rowsmith.types import Severity

MIN_ROWS = 100
MIN_SHARE, MAX_SHARE = 0.01, 0.99
SHARE_OF_SIDE = 0.98
"""Of the missing values of a column that begins or ends, this much is on one side of one row."""


def check_values_are_missing_here_and_there(examined: Examined) -> Outcome:
    if examined.rows < MIN_ROWS:
        return NotApplicable("there are too few rows to tell")
    gaps = examined.tally(Gaps)
    some = [name for name, rows in gaps.rows.items() if MIN_SHARE <= rows / examined.rows <= MAX_SHARE]
    if not some:
        return NotApplicable("no column is missing in a part of the rows")
    masks = {c.name: examined.values(c).is_null() for c in examined.features if c.name in some}
    one_sided = (_one_sided(name, mask, gaps.rows[name]) for name, mask in masks.items())
    return [*_together(some, gaps), *(seen for seen in one_sided if seen)]


class Gaps:
    """`rows` in which each feature is missing, and a digest of which these are."""

    def __init__(self, examined: Examined) -> None:
        self._features = examined.features
        self._digests = {column.name: hashlib.blake2b(digest_size=16) for column in self._features}
        self.rows = dict.fromkeys(self._digests, 0)

    def see(self, part: Examined) -> None:
        for column in self._features:
            missing = part.values(column).is_null()
            self._digests[column.name].update(np.packbits(missing.to_numpy()).tobytes())
            self.rows[column.name] += int(missing.sum())

    def digest(self, name: str) -> str:
        """The same for columns that are missing in the very same rows."""
        return self._digests[name].hexdigest()


def _together(names: list[str], gaps: Gaps) -> list[Observation]:
    """Columns with the very same gaps: they come from one place that had nothing for these rows."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[gaps.digest(name)].append(name)
    return [
        Observation(
            f"{len(names)} columns are missing in the same {counted(rows, 'row')}: {listed(names)}",
            tuple(names),
            {"rows": rows},
            "They probably come from one source, such as a join that found nothing. See whether it should have.",
        )
        for names in alike.values()
        if len(names) > 1 and (rows := gaps.rows[names[0]])
    ]


def _one_sided(name: str, mask: pl.Series, rows: int) -> Observation | None:
    """A column that was not recorded up to some row, or from some row on. `rows` is how many of all are missing."""
    missing = int(mask.sum())
    for side, gaps in (("first", mask.head(missing)), ("last", mask.tail(missing))):
        if gaps.sum() >= SHARE_OF_SIDE * missing and missing > 1:
            return Observation(
                f'"{name}" is missing in the {side} {counted(rows, "row")} and hardly anywhere else',
                (name,),
                {"rows": rows, "side": side},
                "It was probably not recorded then. A model that learns from it learns when a row was made; "
                "train on the rows that have it, or ignore the column.",
                of_held=True,
            )
    return None


CHECK = Check(
    "missing_patterns", "Gaps with a pattern", Severity.INFO, check_values_are_missing_here_and_there, (Gaps,)
)
