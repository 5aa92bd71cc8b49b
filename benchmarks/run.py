"""Seconds and memory of one `rowsmith run`: the training, all the rest, and the peak of the whole process tree.

    python benchmarks/run.py DATA --target COLUMN [--seconds 60] [--repeat 1]

Memory is the proportional set size (pages that processes share count once), sampled ten times a second; Linux only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

SAMPLE_SECONDS = 0.1
MB = 1e6


def tree_mb(root: psutil.Process) -> float:
    """Proportional set size of a process and everything below it, in MB."""
    total = 0
    try:
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / MB


def run_once(data: Path, target: str, seconds: float) -> dict[str, Any]:
    """One run in an empty project folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rowsmith", "run", str(data.resolve()), "--target", target]
        command += ["--seconds", str(seconds), "--json", "--project", folder]
        begin = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            root, peak = psutil.Process(process.pid), 0.0
            while process.poll() is None:
                peak = max(peak, tree_mb(root))
                time.sleep(SAMPLE_SECONDS)
            assert process.stdout is not None
            answer = json.loads(process.stdout.read())
        wall = time.perf_counter() - begin
    score = answer["version"]["score"]
    trained = answer["train_seconds"]
    return {"score": score, "train": trained, "rest": wall - trained, "wall": wall, "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeat", type=int, default=1)
    args = parser.parse_args()
    runs = [run_once(args.data, args.target, args.seconds) for _ in range(args.repeat)]
    print(f"{'':12} {'score':>8} {'training s':>11} {'the rest s':>11} {'wall s':>8} {'peak MB':>8}")
    for number, one in enumerate([*runs, {key: statistics.median(run[key] for run in runs) for key in runs[0]}]):
        name = "median" if number == len(runs) else f"run {number + 1}"
        figures = f"{one['train']:11.1f} {one['rest']:11.1f} {one['wall']:8.1f} {one['peak']:8.0f}"
        print(f"{name:12} {one['score']:8.4f} {figures}")


if __name__ == "__main__":
    main()
