"""Columns that name rows instead of describing them."""

from __future__ import annotations

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, listed
from rowsmith.ingestion.kinds import is_named_like_identifier
from rowsmith.types import ColumnKind, Severity

MIN_SHARE_OF_LEVELS = 0.5
MIN_ROWS = 100
SUSPECTS = frozenset({ColumnKind.INTEGER, ColumnKind.CATEGORY})


def check_no_column_is_an_identifier(examined: Examined) -> Outcome:
    if examined.frame.height < MIN_ROWS:
        return NotApplicable("there are too few rows to tell")
    left_out = [column.name for column in examined.columns if column.kind is ColumnKind.IDENTIFIER and not column.roles]
    seen: list[Observation] = []
    if left_out:
        message = f"{counted(len(left_out), 'column')} left out as identifiers: {listed(left_out)}"
        advice = "If one describes its row after all, give it another kind under [columns.kinds]."
        seen.append(Observation(message, tuple(left_out), advice=advice, severity=Severity.INFO))
    shares = {
        column.name: examined.frame[column.name].n_unique() / examined.frame.height
        for column in examined.features
        if column.kind in SUSPECTS and is_named_like_identifier(column.name)
    }
    suspects = {name: share for name, share in shares.items() if share >= MIN_SHARE_OF_LEVELS}
    if suspects:
        message = (
            f"{counted(len(suspects), 'feature')} named like an identifier, with many values: {listed(list(suspects))}"
        )
        advice = "Ignore them under [columns] if they only name the row, or name them as group or subject_id."
        seen.append(Observation(message, tuple(suspects), {"share_of_values": suspects}, advice))
    return seen


CHECK = Check("identifier", "Identifiers", Severity.WARNING, check_no_column_is_an_identifier)
