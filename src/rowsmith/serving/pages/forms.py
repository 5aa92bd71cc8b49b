"""A form from a schema, and a row from a form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from rowsmith.schema import NUMERIC_KINDS, Column, Schema
from rowsmith.serving.examples import date_text, example_value, plain_number
from rowsmith.serving.pages.layout import figure
from rowsmith.types import ColumnKind

PREFIX = "value:"
MAX_CHOICES = 40
FIRST_FIELDS = 12
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Field:
    """One control. `widget` is number, choice, suggest, boolean, text, date or moment; `label` is the column."""

    name: str
    id: str
    label: str
    widget: str
    value: str
    hint: str
    optional: bool
    options: tuple[str, ...] = ()
    step: str = "any"
    faults: tuple[str, ...] = ()

    @property
    def described_by(self) -> str:
        return " ".join([f"{self.id}-hint"] * bool(self.hint) + [f"{self.id}-fault"] * bool(self.faults))


def fields_of(
    schema: Schema, values: Mapping[str, str], faults: Mapping[str, Sequence[str]], ranked: Iterable[str]
) -> list[Field]:
    """The controls, most important column first where `ranked` says so. `values` are what the controls hold."""
    order = {name: position for position, name in enumerate(ranked)}
    columns = sorted(enumerate(schema.features), key=lambda item: (order.get(item[1].name, len(order)), item[0]))
    return [
        _field(column, position, values.get(control_name(column.name), ""), tuple(faults.get(column.name, ())))
        for position, column in columns
    ]


def control_name(column: str) -> str:
    """Percent-encoded: browsers change line ends in names, and a column may have one."""
    return PREFIX + quote(column)


def typical_values(schema: Schema) -> dict[str, str]:
    """What an untouched form holds."""
    return {control_name(column.name): _typical(column) for column in schema.features}


def row_of(schema: Schema, form: Mapping[str, str]) -> dict[str, Any]:
    """The row that a filled form stands for, as the API would get it; an empty control is a missing value.

    A value that cannot be read stays text: the schema says what is wrong with it, as it does for the API.
    """
    return {
        column.name: _value(column, form[name])
        for column in schema.features
        if (name := control_name(column.name)) in form
    }


def _value(column: Column, text: str) -> Any:
    text = text.strip()
    if not text:
        return None
    if column.kind in NUMERIC_KINDS:
        return _number(text)
    if column.kind is ColumnKind.BOOLEAN:
        return {"true": True, "false": False}.get(text, text)
    if column.kind is ColumnKind.DATETIME and "%" in column.parsing.date_format:
        return _in_format(text, column.parsing.date_format)
    return text


def _number(text: str) -> int | float | str:
    """A number that JSON can carry; anything else stays text and is read, or refused, as the API would."""
    if "_" in text:  # Python reads underscores
        return text
    for read in (int, float):
        try:
            number = read(text)
        except ValueError:
            continue
        return number if math.isfinite(float(text)) else text
    return text


def _in_format(text: str, pattern: str) -> str:
    """A browser sends ISO 8601; the column is written in another way."""
    try:
        return datetime.fromisoformat(text).strftime(pattern)
    except ValueError:
        return text


def _field(column: Column, position: int, value: str, faults: tuple[str, ...]) -> Field:
    widget, options = _widget(column)
    if widget == "choice" and value and value not in options:
        options = (*options, value)
    return Field(
        name=control_name(column.name),
        id=f"field-{position}",
        label=column.name,
        widget=widget,
        value=value,
        hint=_hint(column, widget),
        optional=column.is_optional,
        options=options,
        step="1" if column.kind is ColumnKind.INTEGER else "any",
        faults=faults,
    )


def _widget(column: Column) -> tuple[str, tuple[str, ...]]:
    if column.kind in NUMERIC_KINDS:
        return "number", ()
    if column.kind is ColumnKind.BOOLEAN:
        return "boolean", ()
    if column.kind is ColumnKind.DATETIME:
        return ("date" if _has_only_days(column) else "moment"), ()
    if column.kind is ColumnKind.TEXT or not column.categories:
        return "text", ()
    choices = column.lists_every_category and len(column.categories) <= MAX_CHOICES
    return ("choice" if choices else "suggest"), column.categories


def _has_only_days(column: Column) -> bool:
    if column.stored.lower() == "date":
        return True
    bounds = (column.minimum, column.maximum)
    return (
        all(bound is not None and bound % SECONDS_PER_DAY == 0 for bound in bounds)
        and "%H" not in column.parsing.date_format
    )


def _hint(column: Column, widget: str) -> str:
    if widget == "suggest":
        return f"{column.level_count:,} levels in training; begin to type"
    if column.minimum is None or column.maximum is None:
        return ""
    if column.kind in NUMERIC_KINDS:
        return f"{figure(column.minimum)} to {figure(column.maximum)} in training"
    if column.kind is ColumnKind.DATETIME:
        low, high = ((date_text(bound) or "").replace("T", " ") for bound in (column.minimum, column.maximum))
        return f"{low} to {high} in training"
    return ""


def _typical(column: Column) -> str:
    value = example_value(column)
    if value is None:
        return ""
    if column.kind is ColumnKind.BOOLEAN:
        return "true" if value else "false"
    if column.kind in NUMERIC_KINDS and isinstance(value, int | float):
        return repr(plain_number(value, column.kind))
    if column.kind is ColumnKind.DATETIME:
        return _iso(str(value), column)
    return str(value)


def _iso(text: str, column: Column) -> str:
    """A typical date as the control of the browser wants it."""
    pattern = column.parsing.date_format
    try:
        moment = datetime.strptime(text, pattern) if "%" in pattern else datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return ""
    moment = moment.replace(tzinfo=None, microsecond=0)
    return moment.date().isoformat() if _has_only_days(column) else moment.isoformat()
