"""Features that have the same value in all but a few rows."""

from __future__ import annotations

import polars as pl

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, listed
from rowsmith.types import Severity

SHARE = 0.995
MIN_ROWS = 100
MARGIN = 0.002
"""A sample may have so much less of the commonest value than all rows have."""


def check_features_vary(examined: Examined) -> Outcome:
    if not examined.features or examined.rows < MIN_ROWS:
        return NotApplicable("there are too few rows to tell")
    counts = examined.tally(Commonest).rows
    found = {name: rows / examined.rows for name, rows in counts.items() if rows >= SHARE * examined.rows}
    if not found:
        return ()
    return (
        Observation(
            f"{counted(len(found), 'column')} with the same value in nearly every row: {listed(list(found))}",
            tuple(found),
            {"share": found},
            "They stay in the model; ignore them if the rare values are errors.",
        ),
    )


class Commonest:
    """`rows` that have the commonest value of a feature, for those features in which hardly another is seen."""

    def __init__(self, examined: Examined) -> None:
        commonest = {column.name: _commonest(examined.frame[column.name]) for column in examined.features}
        self._values = {name: value for name, (value, share) in commonest.items() if share >= SHARE - MARGIN}
        self.rows = dict.fromkeys(self._values, 0)

    def see(self, part: Examined) -> None:
        for name, value in self._values.items():
            self.rows[name] += int(part.frame[name].eq_missing(value).sum())


def _commonest(series: pl.Series) -> tuple[pl.Series, float]:
    counts = series.rename("value").value_counts(name="rows").top_k(1, by="rows")
    return counts["value"], int(counts["rows"].sum()) / max(len(series), 1)


CHECK = Check("nearly_constant", "Columns that hardly vary", Severity.INFO, check_features_vary, (Commonest,))
