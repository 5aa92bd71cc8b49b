"""Random digits: as many as are asked for, never the same twice, in whatever thread or process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from rowsmith.monitoring.log import new_ids
from rowsmith.monitoring.random_digits import DIGITS, DRAWN, random_digits

TWO_PROCESSES = """
import os
from rowsmith.monitoring.random_digits import random_digits
random_digits()
here = os.fork() != 0
drawn = [random_digits() for _ in range(300)]
os.write(1, "\\n".join([*drawn, ""]).encode())
if here:
    os.wait()
"""


def test_digits_are_as_many_as_asked_for() -> None:
    for number in (1, 20, DIGITS):
        digits = random_digits(number)
        assert len(digits) == number and set(digits) <= set("0123456789abcdef")


def test_threads_draw_different_digits() -> None:
    drawn: list[str] = []
    each = 5 * DRAWN

    def draw() -> None:
        drawn.extend([random_digits() for _ in range(each)])

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == len(drawn) == 8 * each


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_fork_draws_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", TWO_PROCESSES], capture_output=True, text=True, check=True)
    drawn = done.stdout.split()
    assert len(drawn) == len(set(drawn)) == 600


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_ids_are_different_and_in_order(count: int) -> None:
    ids = new_ids(count)
    assert len(set(ids)) == count and ids == sorted(ids)
    assert all(len(id_) == 32 for id_ in ids)
