"""The columns of a table, conforming, one at a time."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from rowsmith.conform.rule import Rule
from rowsmith.types import Rows


class ConformingColumns:
    """What a conforming frame of the rows says, without ever being one in memory.

    Numbers are a cast of what the table holds, and are made anew whenever they are asked for: as a frame they would be
    a second table. All other columns took work, and are `kept`. `rows` are positions in `frame`, None for every row.
    """

    def __init__(
        self, frame: pl.DataFrame, rows: Rows | None, rules: Mapping[str, Rule], kept: Mapping[str, pl.Series]
    ) -> None:
        self.height = frame.height if rows is None else len(rows)
        self._frame = frame
        self._rows = rows
        self._rules = rules
        self._kept = kept

    def __getitem__(self, name: str) -> pl.Series:
        return self.piece(name, 0, self.height)

    def piece(self, name: str, start: int, length: int) -> pl.Series:
        """So many values of a column from a row on."""
        if name in self._kept:
            return self._kept[name].slice(start, length)
        values, _ = self._rules[name].series(taken(self._frame[name], self._rows, start, length))
        return values


def taken(series: pl.Series, rows: Rows | None, start: int, length: int) -> pl.Series:
    """A piece of the values at `rows`, without a copy where that is every row."""
    return series.slice(start, length) if rows is None else series.gather(rows[start : start + length])
