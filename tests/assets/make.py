"""Makes the small saved models of the present format: python -m tests.assets.make

Makes what is not there yet, and never makes an old one again: `test_saved_models.py` proves that every release still
loads what older ones wrote, and still answers with the same numbers.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl

import rowsmith
from rowsmith.model import Calibrator
from rowsmith.storage.archive import FORMAT
from rowsmith.training import unit
from rowsmith.training.calibration import Platt, Temperature
from rowsmith.training.families import lightgbm, neural
from rowsmith.transformation.arithmetic import OPERATIONS, Arithmetic
from rowsmith.types import Task

ROWS = 240
SMALL_NETWORK = {**neural.CLASSES, "hidden": 6, "members": 2, "frequencies": 3}
KEPT = 12
# Folder, task, family, and a calibrator that stands in for the one that so few rows would not get.
MODELS: tuple[tuple[str, Task, str, Calibrator | None], ...] = (
    ("binary_lightgbm", Task.BINARY, "lightgbm", None),
    ("binary_linear", Task.BINARY, "linear", Platt(1.25, -0.125)),
    ("multiclass_catboost", Task.MULTICLASS, "catboost", None),
    ("multiclass_extra_trees", Task.MULTICLASS, "extra_trees", Temperature(1.5)),
    ("regression_xgboost", Task.REGRESSION, "xgboost", None),
    ("regression_extra_trees", Task.REGRESSION, "extra_trees", None),
    ("multiclass_neural", Task.MULTICLASS, "neural", None),
    ("multiclass_lightgbm", Task.MULTICLASS, "lightgbm", None),
    ("regression_arithmetic", Task.REGRESSION, "lightgbm", None),
)
RATIO = Arithmetic(np.array([0]), np.array([1]), np.array([OPERATIONS.index("/")]))
"""Of the first two columns; so few rows would not get any."""


def table() -> pl.DataFrame:
    """Every kind of column, gaps and accents included."""
    rng = np.random.default_rng(20)
    size = np.round(rng.gamma(3, 30, ROWS), 1)
    town = rng.choice(["Ålesund", "Bern", "Cádiz", "Łódź", 'a, "b"'], ROWS)
    words = np.array(["sunny", "dark", "loft", "garden", "noisy", "quiet", "view", "repair"])
    notes = [" ".join(rng.choice(words, rng.integers(3, 7))) for _ in range(ROWS)]
    built = np.datetime64("1950-01-01") + rng.integers(0, 25_000, ROWS).astype("timedelta64[D]")
    view = np.array(["view" in note for note in notes])
    rent = np.round(400 + 9 * size + 150 * (town == "Bern") + 80 * view + rng.normal(0, 60, ROWS), 2)
    return pl.DataFrame(
        {
            "size": size,
            "rooms": rng.integers(1, 7, ROWS),
            "town": town,
            "street": rng.choice([f"street {i}" for i in range(40)], ROWS),
            "furnished": rng.random(ROWS) < 0.4,
            "built": [str(day) for day in built],
            "notes": notes,
            "rent": rent,
        }
    ).with_columns(
        pl.when(pl.Series(rng.random(ROWS) < 0.1)).then(None).otherwise(pl.col("size")).alias("size"),
        pl.when(pl.Series(rng.random(ROWS) < 0.1)).then(None).otherwise(pl.col("town")).alias("town"),
    )


def with_target(frame: pl.DataFrame, task: Task) -> pl.DataFrame:
    """The table with the target `rent` as the task wants it."""
    dear, fair = pl.col("rent") > 1400, pl.col("rent") > 900
    classes = {
        Task.BINARY: pl.when(dear).then(pl.lit("dear")).otherwise(pl.lit("cheap")),
        Task.MULTICLASS: pl.when(dear)
        .then(pl.lit("dear"))
        .otherwise(pl.when(fair).then(pl.lit("fair")).otherwise(pl.lit("cheap"))),
        Task.REGRESSION: pl.col("rent"),
    }
    return frame.with_columns(classes[task].alias("rent"))


def main() -> None:
    root = Path(__file__).parent / f"format_{FORMAT}"
    with ThreadPoolExecutor(1) as executor:
        for name, task, family, calibrator in MODELS:
            if (root / name).exists():
                continue
            frame = with_target(table(), task)
            joined = {"arithmetic": 1} if name.endswith("arithmetic") else {}
            with (
                patch.object(neural, "_default", lambda shape: SMALL_NETWORK),
                patch.object(unit, "choose_arithmetic", lambda fit, most: RATIO),
                patch.dict(lightgbm.QUICK, joined),
            ):
                model = rowsmith.train(
                    frame, "rent", task=task, families=[family], folds=2, max_trials=1, executor=executor
                )
            model = replace(model, calibrator=calibrator)
            model.save(root / name / "model")
            rows = frame.drop("rent").tail(KEPT)
            write_json(root / name / "rows.json", rows.to_dicts())
            write_json(root / name / "answers.json", model.predict_frame(rows).to_dicts())


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
