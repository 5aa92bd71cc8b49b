"""Dates: how far along they are, and the parts of the calendar and the clock that repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import numpy as np
import polars as pl

from rowsmith.state import State
from rowsmith.transformation.column import NAN
from rowsmith.types import Feature, Matrix

EPOCH = datetime(1970, 1, 1)
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Part:
    """One number of a date, computed for a column and for one value from the same integers."""

    of_series: Callable[[pl.Series], Any]
    of_value: Callable[[datetime], float]


def _days_of_value(value: datetime) -> float:
    since = value - EPOCH
    return (since.days * SECONDS_PER_DAY + since.seconds) / SECONDS_PER_DAY


def _day_of_year(value: datetime) -> float:
    return value.toordinal() - datetime(value.year, 1, 1).toordinal() + 1


def _days_of_series(series: pl.Series) -> Any:
    return _integers(series.dt.epoch("us")) // 1_000_000 / SECONDS_PER_DAY


def _integers(series: pl.Series) -> Any:
    return series.fill_null(0).to_numpy().astype(np.int64)


PARTS: dict[str, Part] = {
    "days": Part(_days_of_series, _days_of_value),
    "year": Part(lambda series: _integers(series.dt.year()), lambda value: value.year),
    "month": Part(lambda series: _integers(series.dt.month()), lambda value: value.month),
    "day": Part(lambda series: _integers(series.dt.day()), lambda value: value.day),
    "weekday": Part(lambda series: _integers(series.dt.weekday()), lambda value: value.isoweekday()),
    "day_of_year": Part(lambda series: _integers(series.dt.ordinal_day()), _day_of_year),
    "hour": Part(
        lambda series: _integers(series.dt.hour()) + _integers(series.dt.minute()) / 60,
        lambda value: value.hour + value.minute / 60,
    ),
}
"""`days` since 1970 with the time of day as a fraction; `weekday` is 1 (Monday) to 7; `hour` has the minutes in it."""


@dataclass(frozen=True)
class DatetimeColumn:
    kind: ClassVar[str] = "datetime_column"

    name: str
    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_of_value", tuple(PARTS[part].of_value for part in self.parts))

    @classmethod
    def fit(cls, name: str, series: pl.Series) -> DatetimeColumn | None:
        """Keeps the parts that vary ("days" where a date is only there or not); None for a column of one date."""
        dates = series.drop_nulls()
        if dates.is_empty():
            return None
        parts = tuple(name for name, part in PARTS.items() if np.ptp(part.of_series(dates)) > 0)
        if not parts and series.null_count():
            parts = ("days",)
        return cls(name, parts) if parts else None

    @property
    def features(self) -> tuple[Feature, ...]:
        return tuple(Feature(f"{self.name}:{part}", self.name) for part in self.parts)

    def encode(self, series: pl.Series, out: Matrix) -> None:
        for i, part in enumerate(self.parts):
            out[:, i] = PARTS[part].of_series(series)
        out[series.is_null().to_numpy()] = np.nan

    def append(self, value: Any, out: list[float]) -> None:
        if value is None:
            out.extend([NAN] * len(self.parts))
        else:
            out.extend([part(value) for part in self._of_value])

    _of_value: tuple[Callable[[datetime], float], ...] = ()

    def to_state(self) -> State:
        return State(self.kind, {"name": self.name, "parts": list(self.parts)})

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> DatetimeColumn:
        return cls(state.data["name"], tuple(state.data["parts"]))
