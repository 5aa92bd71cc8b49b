"""Too few rows to learn from."""

from __future__ import annotations

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted
from rowsmith.ingestion.checks.targets import Targets
from rowsmith.types import Severity

TOO_FEW = 10
FEW = 100


def check_enough_rows(examined: Examined) -> Outcome:
    if examined.schema.target is None:
        return NotApplicable("there is no target")
    rows = examined.tally(Targets).rows
    if rows >= FEW:
        return ()
    return (
        Observation(
            f"{counted(rows, 'row')} with a target; figures from so few say little",
            evidence={"rows": rows},
            advice="Bring more rows.",
            severity=Severity.ERROR if rows < TOO_FEW else Severity.WARNING,
        ),
    )


CHECK = Check("few_rows", "Few rows", Severity.WARNING, check_enough_rows, (Targets,))
