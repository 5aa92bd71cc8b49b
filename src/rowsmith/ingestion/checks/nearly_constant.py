"""Features that have the same value in all but a few rows."""

from __future__ import annotations

import polars as pl

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, listed
from rowsmith.types import Severity

SHARE = 0.995
MIN_ROWS = 100


def check_features_vary(examined: Examined) -> Outcome:
    rows = examined.frame.height
    if not examined.features or rows < MIN_ROWS:
        return NotApplicable("there are too few rows to tell")
    shares = {column.name: _share_of_commonest(examined.frame[column.name]) for column in examined.features}
    found = {name: share for name, share in shares.items() if share >= SHARE}
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


def _share_of_commonest(series: pl.Series) -> float:
    counts = series.value_counts(name="rows" if series.name != "rows" else "count", sort=True)
    return float(counts.item(0, 1)) / len(series)


CHECK = Check("nearly_constant", "Columns that hardly vary", Severity.INFO, check_features_vary)
