"""Columns that hold personal data."""

from __future__ import annotations

from rowsmith.ingestion.checks.record import Check, Examined, Observation, Outcome
from rowsmith.ingestion.privacy import find_personal_data
from rowsmith.types import Role, Severity

ADVICE = "Put it into [columns] ignore, or name it as subject_id, unless the model needs it and may have it."


def check_no_personal_data(examined: Examined) -> Outcome:
    """Columns that are set aside (ignored, subject id) or declared sensitive are not reported."""
    seen = []
    for column in examined.columns:
        if {Role.SUBJECT_ID, Role.SENSITIVE, Role.TARGET}.intersection(column.roles):
            continue
        for trace in find_personal_data(examined.frame[column.name], column):
            message = f'"{column.name}" {trace.sentence}'
            evidence = {"what": trace.what, "by": trace.by, "share": trace.share}
            seen.append(Observation(message, (column.name,), evidence, ADVICE, of_held=trace.by == "values"))
    return seen


CHECK = Check("personal_data", "Personal data", Severity.WARNING, check_no_personal_data)
