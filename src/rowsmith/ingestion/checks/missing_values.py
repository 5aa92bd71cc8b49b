"""Features that are hardly ever there."""

from __future__ import annotations

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, listed
from rowsmith.types import Severity

SHARE = 0.9


def check_features_are_there(examined: Examined) -> Outcome:
    if not examined.features:
        return NotApplicable("there are no features")
    found = {column.name: column.missing for column in examined.features if column.missing >= SHARE}
    if not found:
        return ()
    return (
        Observation(
            f"{counted(len(found), 'column')} missing in at least {100 * SHARE:.0f} % of rows: {listed(list(found))}",
            tuple(found),
            {"missing": found},
            "They stay in the model, for their absence may mean something; ignore them if it does not.",
        ),
    )


CHECK = Check("missing_values", "Columns that are mostly missing", Severity.WARNING, check_features_are_there)
