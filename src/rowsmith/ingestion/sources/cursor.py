"""Cursor: a column that grows. Rows are new from its greatest value on, less how far back late ones may come."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from rowsmith.errors import RecipeError, SourceError
from rowsmith.recipe_data import IncrementalSection
from rowsmith.types import JsonObject

LOOKBACK = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(second|minute|hour|day)?s?\s*", re.IGNORECASE)


class Cursor:
    """Knows from which value on to read, sees the batches that come, and tells the mark at their end.

    The value at the mark itself is read again, since other rows with it may have come later; whoever joins the rows to
    those before leaves out what is there already (see `ingestion.joining`).
    """

    def __init__(self, options: IncrementalSection, since: JsonObject | None) -> None:
        self._column = options.cursor
        self._lookback = _lookback(options.lookback)
        # Marks of other kinds (of files, of addresses) name no column.
        known = since if since and self._column is not None and since.get("cursor") == self._column else None
        self._greatest: Any = _parsed(known) if known else None

    @property
    def column(self) -> str | None:
        return self._column

    @property
    def start(self) -> Any:
        """The first value to read: an int, float, str, date or datetime; None for all rows."""
        if self._greatest is None or self._lookback is None:
            return self._greatest
        unit, amount = self._lookback
        temporal = isinstance(self._greatest, date | datetime)
        if isinstance(self._greatest, str) or temporal != bool(unit):
            raise RecipeError(
                "this lookback does not suit the cursor column",
                where="data.incremental.lookback",
                received=f'a column "{self._column}" with values like {self._greatest!r}',
                allowed="a number for numbers; seconds, minutes, hours or days for dates and times",
            )
        return self._greatest - timedelta(**{f"{unit}s": amount}) if unit else self._greatest - amount

    def require(self, columns: Any, *, where: str) -> None:
        if self._column is not None and self._column not in columns:
            raise RecipeError(
                f'the cursor column "{self._column}" is not there',
                where=where,
                allowed=", ".join(columns),
                next_step="name one of these under [data.incremental], or with --cursor",
            )

    def see(self, batch: pl.DataFrame) -> None:
        if self._column is None or not batch.height:
            return
        greatest = batch[self._column].max()
        if isinstance(greatest, datetime) and greatest.tzinfo is not None:
            greatest = greatest.replace(tzinfo=None)
        if greatest is not None and (self._greatest is None or greatest > self._greatest):
            self._greatest = greatest

    def mark(self) -> JsonObject | None:
        if self._column is None or self._greatest is None:
            return None
        value = self._greatest
        if isinstance(value, bool):
            raise SourceError(f'the column "{self._column}" is true or false, and no cursor')
        return {"cursor": self._column, "kind": type(value).__name__, "value": as_text(value)}


def as_text(value: Any) -> Any:
    """Dates and times as databases read them, in UTC; other values as they are."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    return value.isoformat() if isinstance(value, date) else value


def mark_value(mark: JsonObject | None) -> Any:
    """The greatest value that a mark holds; None where it is of another kind."""
    return _parsed(mark) if mark and "cursor" in mark else None


def _parsed(mark: JsonObject) -> Any:
    kinds = {"datetime": datetime.fromisoformat, "date": date.fromisoformat}
    return kinds.get(mark["kind"], lambda value: value)(mark["value"])


def _lookback(text: str | None) -> tuple[str, float] | None:
    if text is None:
        return None
    found = LOOKBACK.fullmatch(text)
    if found is None:
        raise RecipeError(
            "this is no lookback",
            where="data.incremental.lookback",
            received=repr(text),
            allowed='a number, or a text such as "2 days"',
        )
    amount = float(found[1])
    return (found[2] or "").lower(), int(amount) if amount.is_integer() else amount
