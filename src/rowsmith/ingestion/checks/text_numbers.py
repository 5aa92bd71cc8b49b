"""Numbers and dates that were stored as text."""

from __future__ import annotations

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, listed
from rowsmith.schema import NUMERIC_KINDS
from rowsmith.types import ColumnKind, Severity


def check_values_have_their_own_type(examined: Examined) -> Outcome:
    stored_as_text = [column for column in examined.columns if column.stored == "String"]
    if not stored_as_text:
        return NotApplicable("no column is stored as text")
    found = [c for c in stored_as_text if c.kind in NUMERIC_KINDS or c.kind is ColumnKind.DATETIME]
    if not found:
        return ()
    nulls = {column.name: list(column.parsing.nulls) for column in found if column.parsing.nulls}
    names = [column.name for column in found]
    return (
        Observation(
            f"{counted(len(found), 'column')} stored as text and read as numbers or dates: {listed(names)}",
            tuple(names),
            {"kinds": {column.name: column.kind.value for column in found}, "read_as_missing": nulls},
            "Nothing needs to be done; give a column another kind under [columns.kinds] if this is wrong.",
        ),
    )


CHECK = Check("text_numbers", "Numbers and dates stored as text", Severity.INFO, check_values_have_their_own_type)
