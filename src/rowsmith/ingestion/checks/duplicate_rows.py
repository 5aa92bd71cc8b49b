"""Rows that are there more than once."""

from __future__ import annotations

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, percent
from rowsmith.types import Severity


def check_rows_are_different(examined: Examined) -> Outcome:
    """Equal in every column that is not ignored, the target included."""
    frame = examined.frame.select([column.name for column in examined.columns])
    if frame.height < 2 or not frame.width:
        return NotApplicable("there are no two rows to compare")
    repeated = frame.height - frame.n_unique()
    if not repeated:
        return ()
    share = repeated / frame.height
    return (
        Observation(
            f"{counted(repeated, 'row')} ({percent(share)}) repeat another row exactly",
            evidence={"rows": repeated, "share": share},
            advice="If they are an accident of the export, remove them: a model is tested on rows that it has seen.",
        ),
    )


CHECK = Check("duplicate_rows", "Duplicate rows", Severity.WARNING, check_rows_are_different)
