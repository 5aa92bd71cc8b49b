"""The server starts quickly and stays small: it loads nothing that only training or a rare page needs."""

from __future__ import annotations

import subprocess
import sys

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
    code = f"import sys, rowsmith.serving.app; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
