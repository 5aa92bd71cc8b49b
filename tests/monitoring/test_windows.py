from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from rowsmith.monitoring.windows import Length, cut

MONDAY = datetime(2024, 1, 1)


def hours(count: int, step: float = 1.0) -> pl.Series:
    return pl.Series([MONDAY + timedelta(hours=step * i) for i in range(count)])


@pytest.mark.parametrize(
    ("length", "starts", "end"),
    [
        ("hour", 48, datetime(2024, 1, 1, 1)),
        ("day", 2, datetime(2024, 1, 2)),
        ("week", 1, datetime(2024, 1, 8)),
        ("month", 1, datetime(2024, 2, 1)),
    ],
)
def test_windows_of_a_given_length(length: Length, starts: int, end: datetime) -> None:
    windows = cut(hours(48), 48, length=length)
    assert (len(windows), windows.starts[0], windows.ends[0], windows.length) == (starts, MONDAY, end, length)
    assert windows.index.tolist() == sorted(windows.index.tolist())
    assert set(windows.index.tolist()) == set(range(starts))


def test_order_does_not_matter_and_gaps_leave_no_empty_window() -> None:
    times = pl.Series([datetime(2024, 5, 1), datetime(2024, 1, 1), datetime(2024, 5, 2), datetime(2024, 1, 3)])
    windows = cut(times, 4, length="month")
    assert windows.index.tolist() == [1, 0, 1, 0]
    assert windows.starts == (datetime(2024, 1, 1), datetime(2024, 5, 1))


def test_a_row_without_a_time_lies_in_no_window() -> None:
    windows = cut(pl.Series([None, MONDAY, None]), 3, length="day")
    assert windows.index.tolist() == [-1, 0, -1]


@pytest.mark.parametrize("times", [None, pl.Series([None, None], dtype=pl.Datetime("us"))])
def test_without_times_there_is_one_window(times: pl.Series | None) -> None:
    windows = cut(times, 2)
    assert (windows.index.tolist(), windows.starts, windows.length) == ([0, 0], (None,), None)


@pytest.mark.parametrize(
    ("times", "length"),
    [
        (hours(40_000, 0.001), "hour"),
        (hours(4000, 0.1), "day"),
        (hours(2000, 1), "week"),
        (hours(2000, 3), "month"),
        (hours(10, 100), "month"),
    ],
)
def test_the_length_is_chosen_from_the_volume(times: pl.Series, length: Length) -> None:
    assert cut(times, len(times), min_rows=40).length == length


def test_dates_and_zones() -> None:
    assert cut(pl.Series([date(2024, 1, 1)]), 1, length="day").starts == (MONDAY,)
    there = pl.Series([datetime(2024, 1, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))]).cast(pl.Datetime("ms", "Asia/Tokyo"))
    assert cut(there, 1, length="day").starts == (datetime(2023, 12, 31),)
    here = pl.Series([datetime(2024, 1, 1, 1, tzinfo=UTC)])
    assert cut(here, 1, length="day").starts == (MONDAY,)
