"""What the engine adds to a plain LightGBM fit on a large made table: seconds and peak memory.

    python benchmarks/scale.py [--rows 1000000,10000000] [--columns 30] [--task binary]

`plain` is LightGBM alone, as a library's user calls it: a float32 matrix in memory, 100 rounds of 63 leaves on two
threads, bins included. The engine starts from the same rows as a polars frame and grows as many trees of the same size
on the training part of one fold of five. Its stages are timed one by one:

- before: reading, schema, targets, the split; then conforming, encoding and dealing folds; the digest of all that the
  learners see; placing it where workers map it. Once for a whole search.
- beside: everything in the worker that is not LightGBM's own work on bins and trees: taking the fold's rows, measuring
  the validation rows after each round, the model's text, answers and hashes. `first` is the unit that finds the table
  without bins, `further` one that finds them made.

The overhead is (before + beside of the first unit) / plain. Bins and trees are left out of what is added, since both
sides have the same library make them; where the engine spends more on them than the plain fit, the lines show it. It
does not flatter otherwise: the plain fit neither validates nor answers. What a search does with its results (measuring
trials, choosing the ensemble) is not in here; `budget.py` runs whole searches.

Every measurement has a process of its own. Seconds are of the wall, with user and system seconds of all threads beside
them, since the wall of a busy machine says little. Peaks include the interpreter with its libraries, and the table
where the process holds it. Threads that wait do not spin, in the plain fit as in the engine's workers.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS, LEAVES, THREADS = 100, 63, 2
STAGES = ("read", "schema", "targets", "split", "encode and folds", "digest", "place")
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive", "PYTHONHASHSEED": "0"}
Report = Callable[..., None]


def made_columns(rows: int, columns: int, task: str) -> tuple[list[Any], Any]:
    """Float32 columns, and a target that depends on some of them."""
    rng = np.random.default_rng(0)
    made = [rng.standard_normal(rows, dtype=np.float32) for _ in range(columns)]
    signal = rng.standard_normal(rows, dtype=np.float32) + made[0]
    signal += np.abs(made[1 % columns]) * made[2 % columns]
    return made, (signal > 1).astype(np.int64) if task == "binary" else signal.astype(np.float64)


def used_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


@contextmanager
def timed(report: Report, name: str) -> Iterator[None]:
    wall, used = time.monotonic(), used_seconds()
    yield
    report(name, time.monotonic() - wall, used_seconds() - used)


def plain(report: Report, args: argparse.Namespace) -> None:
    import lightgbm

    made, target = made_columns(args.rows, args.columns, args.task)
    matrix = np.empty((args.rows, args.columns), dtype=np.float32)
    for i in range(args.columns):
        matrix[:, i] = made[i]
    made.clear()
    settings = {"objective": "binary" if args.task == "binary" else "l2", "num_leaves": LEAVES, "verbosity": -1}
    settings |= {"num_threads": THREADS}
    with timed(report, "plain: bins"):
        data = lightgbm.Dataset(matrix, target.astype(np.float32), params=settings).construct()
    with timed(report, "plain: trees"):
        lightgbm.train(settings, data, ROUNDS)


def engine(report: Report, args: argparse.Namespace) -> None:
    """Everything before the first unit; leaves the data in `args.folder`."""
    import polars as pl

    from rowsmith.ingestion.infer import infer_schema
    from rowsmith.ingestion.sources import read_frame
    from rowsmith.ingestion.split import seal
    from rowsmith.recipe import Recipe
    from rowsmith.workflows.train import encode_training_rows, labelled_rows

    made, target = made_columns(args.rows, args.columns, args.task)
    frame = pl.DataFrame({f"x{i}": column for i, column in enumerate(made)}).with_columns(y=target)
    made.clear()
    recipe = Recipe.from_dict({"target": {"column": "y"}, "split": {"holdout": 0, "folds": 5}})
    report("the table itself", 0.0, 0.0)
    with timed(report, "read"):
        frame = read_frame(frame)
    with timed(report, "schema"):
        schema = infer_schema(frame, recipe)
    with timed(report, "targets"):
        frame, codes = labelled_rows(frame, schema)
    with timed(report, "split"):
        split = seal(frame, schema, recipe)
    with timed(report, "encode and folds"):
        data, _ = encode_training_rows(frame, codes, split.train, schema, recipe, folder=args.folder)
    with timed(report, "digest"):
        _ = data.digest
    with timed(report, "place"):
        (args.folder / "data").mkdir()
        data.save(args.folder / "data")


def unit(report: Report, args: argparse.Namespace) -> None:
    """One unit of work on the data that `engine` left, in a process like a worker's."""
    import lightgbm

    from rowsmith.training.families.lightgbm import MIDDLE
    from rowsmith.training.unit import Unit, run_unit

    trees = watched(lightgbm.Booster, "update")
    bins = watched(lightgbm.Dataset, "construct")
    params = {**MIDDLE, "rounds": ROUNDS, "num_leaves": LEAVES, "learning_rate": 0.1, "feature_fraction": 1.0}
    wall, used = time.monotonic(), used_seconds()
    run_unit(args.folder / "data", Unit(0, "lightgbm", params, args.fold, threads=THREADS))
    wall, used = time.monotonic() - wall, used_seconds() - used
    name = "first" if args.fold == 0 else "further"
    report(f"{name}: bins", *bins)
    report(f"{name}: trees", *trees)
    report(f"{name}: beside", wall - bins[0] - trees[0], used - bins[1] - trees[1])


def watched(owner: Any, method: str) -> list[float]:
    """The seconds that will have gone into a method: of the wall, and of all threads."""
    spent, original = [0.0, 0.0], getattr(owner, method)
    depth = 0

    def timed_method(*given: Any, **named: Any) -> Any:
        nonlocal depth
        wall, used = time.monotonic(), used_seconds()
        depth += 1
        try:
            return original(*given, **named)
        finally:
            depth -= 1
            if not depth:
                spent[0] += time.monotonic() - wall
                spent[1] += used_seconds() - used

    setattr(owner, method, timed_method)
    return spent


PARTS = {"plain": plain, "engine": engine, "unit": unit}
Figures = dict[str, tuple[float, float, float]]


def measured(part: str, rows: int, args: argparse.Namespace, folder: Path, fold: int = 0) -> Figures:
    """Run a part in a process of its own, and print its figures: seconds, seconds of threads, peak MB."""
    command = [sys.executable, __file__, "--part", part, "--rows", str(rows), "--columns", str(args.columns)]
    command += ["--task", args.task, "--folder", str(folder), "--fold", str(fold)]
    found: Figures = {}
    begin = time.monotonic()
    environment = {**os.environ, **ENVIRONMENT}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            name, wall, used, peak = json.loads(line)
            found[name] = (wall, used, peak)
            print(f"{rows:>12,}  {name:<20} {wall:>8.2f} {used:>9.2f} {peak:>9,.0f}", flush=True)
            if time.monotonic() > begin + 2:
                print(f"{part}: {time.monotonic() - begin:.0f} s", end="\r", file=sys.stderr, flush=True)
    if process.returncode:
        raise SystemExit(f"{part} ended with {process.returncode}")
    return found


def compare(rows: int, args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="rowsmith-scale-") as name:
        folder = Path(name)
        figures = measured("plain", rows, args, folder) | measured("engine", rows, args, folder)
        figures |= measured("unit", rows, args, folder) | measured("unit", rows, args, folder, fold=1)
    for place, what in enumerate(("seconds", "thread s")):
        whole = figures["plain: bins"][place] + figures["plain: trees"][place]
        before = sum(figures[stage][place] for stage in STAGES)
        first, further = (figures[f"{name}: beside"][place] for name in ("first", "further"))
        print(
            f"{rows:>12,}  by {what}: plain {whole:.1f}, before {before:.1f}, beside {first:.1f} then {further:.1f}; "
            f"overhead {100 * (before + first) / whole:.0f} %, of a further fit {100 * further / whole:.0f} %"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1000000,10000000")
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--task", choices=("binary", "regression"), default="binary")
    for hidden in ("--part", "--folder", "--fold"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part is None:
        print(f"{'rows':>12}  {'stage':<20} {'seconds':>8} {'thread s':>9} {'peak MB':>9}")
        for rows in args.rows.split(","):
            compare(int(rows), args)
        return
    args.rows, args.folder, args.fold = int(args.rows), Path(args.folder), int(args.fold)

    def report(name: str, wall: float, used: float) -> None:
        print(json.dumps([name, wall, used, peak_mb()]), flush=True)

    PARTS[args.part](report, args)


if __name__ == "__main__":
    main()
