"""Columns that are missing in the same rows, and columns that begin or end somewhere in the table."""

from __future__ import annotations

from collections import defaultdict

import polars as pl

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, listed
from rowsmith.types import Severity

MIN_ROWS = 100
MIN_SHARE, MAX_SHARE = 0.01, 0.99
SHARE_OF_SIDE = 0.98
"""Of the missing values of a column that begins or ends, this much is on one side of one row."""


def check_values_are_missing_here_and_there(examined: Examined) -> Outcome:
    rows = examined.frame.height
    if rows < MIN_ROWS:
        return NotApplicable("there are too few rows to tell")
    masks = {column.name: examined.values(column).is_null() for column in examined.features}
    masks = {name: mask for name, mask in masks.items() if MIN_SHARE <= mask.mean() <= MAX_SHARE}  # type: ignore[operator]
    if not masks:
        return NotApplicable("no column is missing in a part of the rows")
    return [*_together(masks), *(seen for name, mask in masks.items() if (seen := _one_sided(name, mask)))]


def _together(masks: dict[str, pl.Series]) -> list[Observation]:
    """Columns with the very same gaps: they come from one place that had nothing for these rows."""
    alike: dict[int, list[str]] = defaultdict(list)
    for name, mask in masks.items():
        alike[hash(mask.to_numpy().tobytes())].append(name)
    return [
        Observation(
            f"{len(names)} columns are missing in the same {counted(rows, 'row')}: {listed(names)}",
            tuple(names),
            {"rows": rows},
            "They probably come from one source, such as a join that found nothing. See whether it should have.",
        )
        for names in alike.values()
        if len(names) > 1 and (rows := int(masks[names[0]].sum()))
    ]


def _one_sided(name: str, mask: pl.Series) -> Observation | None:
    """A column that was not recorded up to some row, or from some row on."""
    missing = int(mask.sum())
    for side, gaps in (("first", mask.head(missing)), ("last", mask.tail(missing))):
        if gaps.sum() >= SHARE_OF_SIDE * missing and missing > 1:
            return Observation(
                f'"{name}" is missing in the {side} {counted(missing, "row")} and hardly anywhere else',
                (name,),
                {"rows": missing, "side": side},
                "It was probably not recorded then. A model that learns from it learns when a row was made; "
                "train on the rows that have it, or ignore the column.",
            )
    return None


CHECK = Check("missing_patterns", "Gaps with a pattern", Severity.INFO, check_values_are_missing_here_and_there)
