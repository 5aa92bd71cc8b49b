"""Rows without a target."""

from __future__ import annotations

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, percent
from rowsmith.ingestion.checks.targets import Targets
from rowsmith.types import Severity


def check_every_row_has_a_target(examined: Examined) -> Outcome:
    target = examined.schema.target
    if target is None:
        return NotApplicable("there is no target")
    rows = examined.rows
    missing = rows - examined.tally(Targets).rows
    if not missing:
        return ()
    return (
        Observation(
            f'{counted(missing, "row")} ({percent(missing / rows)}) without a "{target.name}": left out',
            (target.name,),
            {"rows": missing, "share": missing / rows},
            "Find out why: if the target is missing for a reason, the model will not know the cases without it.",
        ),
    )


CHECK = Check("missing_target", "Rows without a target", Severity.WARNING, check_every_row_has_a_target, (Targets,))
