"""Windows: the stretches of time that a report looks at, one after the other. All times are UTC.

A window should be as long as the cycles in the data: of a single day, the weekday has always drifted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from rowsmith.types import Rows

Length: TypeAlias = Literal["hour", "day", "week", "month"]
EVERY: dict[Length, str] = {"hour": "1h", "day": "1d", "week": "1w", "month": "1mo"}
MAX_WINDOWS = 60
ROWS_FOR_JUDGEMENT = 4
"""A window should hold this many times the rows below which nothing is judged."""


@dataclass(frozen=True, slots=True)
class Windows:
    """`index` says for each row which window it lies in, -1 for none. Windows without rows are left out.

    `starts` and `ends` (exclusive) are None for the one window of rows without a time; `length` is then None too.
    """

    index: Rows
    starts: tuple[datetime | None, ...]
    ends: tuple[datetime | None, ...]
    length: Length | None

    def __len__(self) -> int:
        return len(self.starts)


NO_WINDOWS = Windows(np.zeros(0, dtype=np.int64), (), (), None)


def cut(times: pl.Series | None, rows: int, *, length: Length | None = None, min_rows: int = 1) -> Windows:
    """Windows of a length that is given, or chosen from the volume; one window where there are no times at all.

    Weeks start on Monday. A row without a time lies in no window.
    """
    if times is None or times.null_count() == len(times):
        return Windows(np.zeros(rows, dtype=np.int64), (None,), (None,), None)
    times = naive_utc(times)
    length = length or choose_length(times, min_rows)
    started = times.dt.truncate(EVERY[length])
    starts = started.drop_nulls().unique().sort()
    ends = starts.dt.offset_by(EVERY[length])
    positions = starts.search_sorted(started.fill_null(starts[0])).cast(pl.Int64).to_numpy()
    index = np.where(times.is_null().to_numpy(), -1, positions)
    return Windows(index, tuple(starts.to_list()), tuple(ends.to_list()), length)


def choose_length(times: pl.Series, min_rows: int) -> Length:
    """The shortest length whose usual window can be judged well and that does not make too many windows."""
    for length, every in EVERY.items():
        sizes = times.rename("start").drop_nulls().dt.truncate(every).value_counts()["count"]
        usual = sizes.median()
        if len(sizes) <= MAX_WINDOWS and isinstance(usual, float) and usual >= ROWS_FOR_JUDGEMENT * min_rows:
            return length
    return "month"


def naive_utc(times: pl.Series) -> pl.Series:
    """Dates and times, with a zone or without, as Datetime("us") without one. Casting keeps the instants."""
    return times.cast(pl.Datetime("us"))
