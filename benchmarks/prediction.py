"""How fast models answer: train, save, load, and ask for single rows and for many.

    python benchmarks/prediction.py [TABLE.parquet ...] [--target COLUMN] [--seconds 60] [--autogluon-python PYTHON]

Without a table: two of scikit-learn's and a made one with categories. With several tables they share the name of the
target. Rows that are asked are those that the model learned from, shuffled, other work between them. With a Python
that has AutoGluon, its rows a second on the same table (medium quality, the same seconds) stand beside ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

import rowsmith
from rowsmith.model import TrainedModel

ROWS_ONE_BY_ONE = 2000
ROWS_AT_ONCE = 50_000
OTHER_WORK = np.zeros(1 << 17)
"""A megabyte that is touched between two rows, as a server would."""

PEER = """
import json, sys, time
import pandas as pd
from autogluon.tabular import TabularPredictor
path, target, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
frame = pd.read_parquet(path)
predictor = TabularPredictor(label=target, verbosity=0).fit(frame, time_limit=seconds)
predictor.persist()
rows = frame.drop(columns=target)
predictor.predict(rows.head(10))
start = time.perf_counter()
predictor.predict(rows)
print(json.dumps(len(rows) / (time.perf_counter() - start)))
"""


def made_table(rows: int = 5000) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    plan = rng.choice(["basic", "plus", "gold"], rows)
    city = np.char.add("city ", rng.integers(0, 60, rows).astype(str))
    age, spend = rng.integers(18, 90, rows), np.exp(rng.normal(3, 1, rows))
    odds = (plan == "basic") + np.log(spend) / 2 - age / 50 + rng.normal(size=rows)
    churned = np.where(odds > np.median(odds), "yes", "no")
    return pl.DataFrame({"age": age, "spend": spend, "plan": plan, "city": city, "target": churned})


def bundled() -> dict[str, pl.DataFrame]:
    from sklearn.datasets import load_diabetes, load_digits

    tables = {"made": made_table()}
    for name, loader in (("digits", load_digits), ("diabetes", load_diabetes)):
        data = loader(as_frame=True)
        target = data.target.astype(str) if name == "digits" else data.target
        columns = {str(column): data.data[column].to_numpy() for column in data.data}
        tables[name] = pl.DataFrame({**columns, "target": target.to_numpy()})
    return tables


def measure(name: str, frame: pl.DataFrame, target: str, seconds: float) -> dict[str, Any]:
    model = rowsmith.train(frame, target=target, seconds=seconds)
    with tempfile.TemporaryDirectory() as folder:
        saved = model.save(Path(folder) / "model")
        megabytes = sum(path.stat().st_size for path in saved.rglob("*") if path.is_file()) / 1e6
        start = time.perf_counter()
        model = rowsmith.load(saved)
        first = frame.drop(target).row(0, named=True)
        model.predict_row(first)
        load_seconds = time.perf_counter() - start
    rows = frame.drop(target).sample(min(frame.height, ROWS_ONE_BY_ONE), shuffle=True, seed=0)
    times, row_scores = ask_one_by_one(model, rows.to_dicts())
    batch_scores = model.scores(model.encode(rows))
    many = pl.concat([frame.drop(target)] * (ROWS_AT_ONCE // frame.height + 1)).head(ROWS_AT_ONCE)
    start = time.perf_counter()
    model.predict_frame(many)
    rate = many.height / (time.perf_counter() - start)
    return {
        "table": name,
        "members": len(model.members),
        "families": ", ".join(sorted({member.trial.partition(":")[2] for member in model.members})),
        "MB": megabytes,
        "load s": load_seconds,
        "row ms": float(np.median(times)),
        "p99 ms": float(np.quantile(times, 0.99)),
        "learners ms": sum(member.learner.row_us for member in model.members) / 1e3,
        "rows/s": rate,
        "same bits": bool(np.array_equal(row_scores.view(np.int64), np.ascontiguousarray(batch_scores).view(np.int64))),
    }


def ask_one_by_one(model: TrainedModel, rows: list[dict[str, Any]]) -> tuple[list[float], np.ndarray[Any, Any]]:
    """Milliseconds of each `predict_row`, and the scores."""
    times = []
    for row in rows:
        np.add(OTHER_WORK, 1, out=OTHER_WORK)
        start = time.perf_counter()
        model.predict_row(row)
        times.append(1e3 * (time.perf_counter() - start))
    scores = [model.scores_row(model.encoder.encode_row(model.conformer.row(row).row)) for row in rows]
    return times, np.stack(scores)


def peer_rate(python: str, frame: pl.DataFrame, target: str, seconds: float) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        frame.write_parquet(path)
        command = [python, "-c", PEER, str(path), target, str(seconds)]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", type=Path)
    parser.add_argument("--target", default="target")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--autogluon-python")
    options = parser.parse_args()
    frames = {path.stem: pl.read_parquet(path) for path in options.tables} or bundled()
    lines = []
    for name, frame in frames.items():
        line = measure(name, frame, options.target, options.seconds)
        if options.autogluon_python:
            peer = peer_rate(options.autogluon_python, frame, options.target, options.seconds)
            line |= {"AutoGluon rows/s": peer, "ratio": line["rows/s"] / peer}
        lines.append(line)
    table = Table(*lines[0])
    for line in lines:
        table.add_row(*(f"{value:,.3g}" if isinstance(value, float) else str(value) for value in line.values()))
    Console(width=160).print(table)
    if not all(line["same bits"] for line in lines):
        sys.exit("a row alone and the same row among others differ")


if __name__ == "__main__":
    main()
