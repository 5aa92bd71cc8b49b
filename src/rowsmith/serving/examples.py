"""Example rows: what a form starts with, and what the documents show."""

from __future__ import annotations

from datetime import UTC, datetime

from rowsmith.schema import NUMERIC_KINDS, Column, Schema
from rowsmith.types import ColumnKind, Json, JsonObject

# A median has up to 17 digits. A typical value is read by people.
DIGITS = 6


def example_row(schema: Schema) -> JsonObject:
    """A row of typical values that the model takes as it is."""
    return {column.name: example_value(column) for column in schema.features}


def example_value(column: Column) -> Json:
    """The typical value in the form in which JSON carries it; None where nothing is known."""
    typical = column.typical
    if column.kind in NUMERIC_KINDS:
        number = typical if isinstance(typical, int | float) else column.minimum
        return None if number is None else _rounded(plain_number(number, column.kind))
    if column.kind is ColumnKind.BOOLEAN:
        return bool(typical) if isinstance(typical, bool | int | float) else str(typical).lower() != "false"
    if column.kind is ColumnKind.DATETIME:
        return typical if isinstance(typical, str) else date_text(typical if typical is not None else column.minimum)
    if typical is not None:
        return str(typical)
    return column.categories[0] if column.categories else None


def _rounded(number: int | float) -> int | float:
    return number if isinstance(number, int) else float(f"{number:.{DIGITS}g}")


def plain_number(number: float, kind: ColumnKind) -> int | float:
    """Whole numbers without ".0", whatever the column's kind."""
    whole = float(number).is_integer() and abs(number) < 2**53
    return int(number) if whole or kind is ColumnKind.INTEGER else float(number)


def date_text(seconds: float | None) -> str | None:
    """Seconds since 1970 in ISO 8601, without a time of day at midnight."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=0)
    return moment.isoformat().removesuffix("T00:00:00")
