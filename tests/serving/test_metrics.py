"""Counters of several processes, and the text they become."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rowsmith.serving.metrics import Meter, render

KEYS = st.tuples(
    st.text(max_size=20), st.text(alphabet=st.characters(exclude_characters="\x1f", codec="utf-8"), max_size=50)
)


def _count(folder: Path, times: int) -> None:
    meter = Meter(folder)
    for _ in range(times):
        meter.add(("requests", "GET", "/", "200"))
    os._exit(0)  # as if it was killed: nothing is written at the end


def test_counts_add_up_over_processes_and_outlive_them(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count, args=(tmp_path, times)) for times in (3, 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    meter = Meter(tmp_path)
    meter.add(("requests", "GET", "/", "200"), 10)
    assert meter.totals() == {("requests", "GET", "/", "200"): 17}


@given(st.lists(st.tuples(KEYS, st.integers(0, 1000)), max_size=30))
def test_any_name_is_counted(additions: list[tuple[tuple[str, str], int]]) -> None:
    meter = Meter()
    expected: dict[tuple[str, ...], float] = {}
    for (first, second), amount in additions:
        key = (first.replace("\x1f", " "), second)
        meter.add(key, amount)
        expected[key] = expected.get(key, 0) + amount
    assert meter.totals() == expected


def test_more_counters_than_fit_the_first_file(tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    for number in range(2000):
        meter.add(("predictions", "m", "1", f"{number:>60}"))
    meter.add(("predictions", "m", "1", f"{0:>60}"))
    totals = Meter(tmp_path).totals()
    assert len(totals) == 2000
    assert totals[("predictions", "m", "1", f"{0:>60}")] == 2


def test_labels_are_escaped_and_buckets_are_cumulative() -> None:
    meter = Meter()
    meter.add(("predictions", "m", "1", 'a "quoted"\n\\ label'))
    for seconds in (0.0001, 0.0005, 0.004, 99.0):
        meter.observe("/x", "GET", 200, seconds)
    text = render(meter.totals(), info=None, ready=False, openmetrics=True)
    assert 'class="a \\"quoted\\"\\n\\\\ label"' in text
    buckets = [int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if "_bucket{" in line]
    assert buckets == sorted(buckets)
    assert buckets[0] == 2 and buckets[3] == 3 and buckets[-2] == 3 and buckets[-1] == 4
    assert "rowsmith_model_info" not in text and "rowsmith_ready 0" in text
