"""From a table larger than the memory that may be used to a snapshot with its schema and checks, to a profile, and
to a model of as many rows as fit.

    python benchmarks/ingestion/larger_than_memory.py [--gigabytes 10] [--memory-mb 1000]

Gigabytes are those of the table in memory. It is made in a temporary folder (TMPDIR says where), as Parquet files of a
million rows. Each step is a process of its own, whose peak is the most memory it ever had; the exit code is 1 where one
of them went beyond the limit. With `--train` the last step trains two trials within the limit.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROWS_OF_FILE = 1_000_000
ROW_BYTES = 101
"""About what a row of the table takes in memory."""


def make(folder: str, gigabytes: str) -> str:
    import numpy as np
    import polars as pl

    rows = int(float(gigabytes) * 1e9 / ROW_BYTES)
    words = np.array([f"word{i}" for i in range(5000)])
    for start in range(0, rows, ROWS_OF_FILE):
        n = np.arange(start, min(start + ROWS_OF_FILE, rows))
        random = np.random.default_rng(start)
        age, hours = random.integers(18, 90, len(n)), random.normal(40, 8, len(n))
        chance = 1 / (1 + np.exp((60 - age) / 20 - (hours - 40) / 10))
        pl.DataFrame(
            {
                "no": n,
                "customer": n // 12,
                "age": np.where(random.random(len(n)) < 0.01, -999, age),
                "hours": hours,
                "amount": random.lognormal(3, 1, len(n)),
                "town": random.choice(["Oslo", "Rome", "Lyon", "oslo"], len(n), p=[0.4, 0.3, 0.299, 0.001]),
                "product": words[random.integers(0, len(words), len(n))],
                "day": np.datetime64("2020-01-01", "us") + n * 1_000_000,
                "price": np.char.add("$", random.integers(1, 9000, len(n)).astype(str)),
                "gaps": np.where(n < rows // 20, np.nan, random.normal(size=len(n))),
                "code": np.char.add("K", n.astype(str)),
                "left": np.where(random.random(len(n)) < chance, "yes", "no"),
            }
        ).write_parquet(Path(folder) / f"{start:012d}.parquet")
    return f"{rows:,} rows in files"


def ingest(project: str, source: str) -> str:
    from rowsmith.workflows.project import open_project
    from rowsmith.workflows.reading import take

    snapshot = take(open_project(project), f"{source}/*.parquet").snapshot
    return f"{snapshot.rows:,} rows in {len(snapshot.parts)} parts"


def examine(project: str) -> str:
    from rowsmith.workflows.ingest import examine, find_snapshot
    from rowsmith.workflows.project import open_project

    opened = open_project(project)
    found = examine(opened, find_snapshot(opened, None))
    kinds = ", ".join(f"{column.name} {column.kind}" for column in found.schema)
    codes = ", ".join(sorted({finding.code for finding in found.findings}))
    return f"{kinds}; found {codes}; held {found.held.frame.height:,} rows"


def show(project: str) -> str:
    from rowsmith.workflows.data import show_data
    from rowsmith.workflows.project import open_project

    profile = show_data(open_project(project), None)["profile"]
    return ", ".join(f"{column['name']} {column['distinct']:,} distinct" for column in profile)


def train(project: str, memory_mb: str) -> str:
    from rowsmith.workflows.ingest import find_snapshot
    from rowsmith.workflows.project import open_project
    from rowsmith.workflows.run import train_version

    opened = open_project(project)
    recipe = opened.recipe.changed(train={"memory_mb": int(memory_mb), "max_trials": 2, "cores": 1})
    outcome = train_version(opened.with_recipe(recipe), find_snapshot(opened, None))
    return next(f.message for f in outcome.findings if f.code == "trained_on_sample")


STEPS: dict[str, Callable[..., str]] = {
    "make": make,
    "ingest": ingest,
    "examine": examine,
    "show": show,
    "train": train,
}


def child(arguments: list[str]) -> None:
    begin = time.perf_counter()
    told = STEPS[arguments[0]](*arguments[1:])
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(f"{peak:.0f}\t{time.perf_counter() - begin:.1f}\t{told}")


def run(*arguments: object) -> float:
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    peak, seconds, told = done.stdout.strip().split("\t")
    print(f"{arguments[0]:>8} {float(seconds):9.1f} s {float(peak):8.0f} MB   {told}", flush=True)
    return float(peak)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--memory-mb", type=int, default=1000)
    parser.add_argument("--train", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, project = Path(folder) / "source", Path(folder) / "project"
        source.mkdir()
        project.mkdir()
        (project / "rowsmith.toml").write_text('[target]\ncolumn = "left"\n', encoding="utf-8")
        print(f"{args.gigabytes} GB of rows, {args.memory_mb} MB of memory")
        run("make", source, args.gigabytes)
        peaks = [run("ingest", project, source), run("examine", project), run("show", project)]
        if args.train:
            peaks.append(run("train", project, args.memory_mb))
    sys.exit(max(peaks) > args.memory_mb)


if __name__ == "__main__":
    main()
