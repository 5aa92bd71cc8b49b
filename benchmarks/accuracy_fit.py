"""One fit of the accuracy benchmark, in a process of its own: train, predict, save, time single rows."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import polars as pl

SINGLE_ROWS = 200
BATCH_ROWS = 20_000
WARM_UP = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "job", type=Path, help="JSON: train, test, target, task, metric, seconds, cores, seed, portfolio"
    )
    job = json.loads((path := parser.parse_args().job).read_text())
    train, test = pl.read_parquet(job["train"]), pl.read_parquet(job["test"])
    begin = time.perf_counter()
    import rowsmith

    imported = time.perf_counter()
    model = rowsmith.train(
        train,
        job["target"],
        task=job["task"],
        metric=job["metric"],
        seconds=job["seconds"],
        cores=job["cores"],
        seed=job["seed"],
        portfolio=job["portfolio"],
        holdout=0,
    )
    facts = {"fit_seconds": time.perf_counter() - imported, "import_seconds": imported - begin}
    answer(model, test, job["task"]).write_parquet(path.with_name("predictions.parquet"))
    if model.single is not None:
        answer(model.single, test, job["task"]).write_parquet(path.with_name("single.parquet"))
    artifact = model.save(path.with_name("artifact"))
    facts["artifact_mb"] = sum(file.stat().st_size for file in artifact.rglob("*") if file.is_file()) / 1e6
    begin = time.perf_counter()
    served = rowsmith.load(artifact)
    facts["load_seconds"] = time.perf_counter() - begin
    facts |= timings(served, test)
    facts |= {"learners": len(model.members), "cross_validation": model.facts["cross_validation"]}
    path.with_name("facts.json").write_text(json.dumps(facts))


def answer(model: object, test: pl.DataFrame, task: str) -> pl.DataFrame:
    if task == "regression":
        return pl.DataFrame({"prediction": model.predict(test)})  # type: ignore[attr-defined]
    return model.predict_proba(test)  # type: ignore[attr-defined, no-any-return]


def timings(model: object, test: pl.DataFrame) -> dict[str, float]:
    """Median and 99th percentile of single rows in milliseconds, and rows a second of a batch."""
    rows = test.head(SINGLE_ROWS + WARM_UP).to_dicts()
    seconds = []
    for row in rows:
        begin = time.perf_counter()
        model.predict_row(row)  # type: ignore[attr-defined]
        seconds.append(time.perf_counter() - begin)
    seconds = seconds[WARM_UP:]
    batch = test[np.arange(BATCH_ROWS) % test.height]
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        model.predict(batch)  # type: ignore[attr-defined]
        times.append(time.perf_counter() - begin)
    return {
        "row_ms": 1e3 * statistics.median(seconds),
        "row_p99_ms": 1e3 * float(np.quantile(seconds, 0.99)),
        "rows_per_second": BATCH_ROWS / statistics.median(times),
    }


if __name__ == "__main__":
    main()
