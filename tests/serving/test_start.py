"""The server starts quickly and stays small: it loads nothing that only training or a rare page needs, and once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rowsmith.serving.preloading import IS_POSSIBLE

HEAVY = (
    "pandas",
    "sklearn",
    "scipy.stats",
    "lightgbm",
    "catboost",
    "xgboost",
    "optuna",
    "fairlearn",
    "mlflow",
    "adbc_driver_manager",
)


def test_the_application_loads_no_heavy_library() -> None:
    code = f"import sys, rowsmith.serving.preloaded; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


FORK = """
import os
import signal
import polars as pl
import rowsmith.serving.preloaded

children = []
for number in range(3):
    if (child := os.fork()) == 0:
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        frame = pl.DataFrame({"a": [i % 50 for i in range(20_000)], "b": range(20_000)})
        sums = frame.group_by("a").agg(pl.col("b").sum()).join(frame, on="a")
        means = frame.lazy().group_by("a").agg(pl.col("b").mean()).collect(engine="streaming")
        os._exit(0 if (sums.height, means.height) == (20_000, 50) else 1)
    children.append(child)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
print([os.waitpid(child, 0)[1] for child in children])
"""


@pytest.mark.skipif(not IS_POSSIBLE, reason="workers are not forked here")
def test_what_was_imported_outlives_a_fork() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[0, 0, 0]", "")
