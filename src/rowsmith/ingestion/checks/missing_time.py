"""Rows without a time, in a table that is split by time."""

from __future__ import annotations

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, percent
from rowsmith.types import Role, Severity


def check_every_row_has_a_time(examined: Examined) -> Outcome:
    time = examined.schema.only(Role.TIME)
    if time is None:
        return NotApplicable("the table is not split by time")
    if not time.missing:
        return ()
    return (
        Observation(
            f'{percent(time.missing)} of the rows have no "{time.name}" and count as the oldest',
            (time.name,),
            {"share": time.missing},
            "If they are not the oldest, leave them out or give them their time.",
        ),
    )


CHECK = Check("missing_time", "Rows without a time", Severity.WARNING, check_every_row_has_a_time)
