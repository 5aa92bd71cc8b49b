"""Columns with one value, or none."""

from __future__ import annotations

from rowsmith.ingestion.checks.record import Check, Examined, Observation, Outcome, counted, listed
from rowsmith.types import ColumnKind, Severity


def check_no_column_is_constant(examined: Examined) -> Outcome:
    constant = [column.name for column in examined.columns if column.kind is ColumnKind.CONSTANT]
    if not constant:
        return ()
    return (
        Observation(
            f"{counted(len(constant), 'column')} with the same value, or none, in every row: {listed(constant)}",
            tuple(constant),
            advice="They are left out. If one should vary, look at how the table was made.",
        ),
    )


CHECK = Check("constant_columns", "Constant columns", Severity.INFO, check_no_column_is_constant)
