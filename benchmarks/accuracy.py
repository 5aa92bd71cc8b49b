"""How accurate a model is for the time it takes, and what it costs to use: Rowsmith beside its peers.

    python benchmarks/accuracy.py --data DATASETS.json --out results.jsonl [--seconds 60] [--peers PEERS.jsonl]

`DATASETS.json` lists tables as `{"name", "file", "target", "task", "metric"}`, files beside it in Parquet. Each table
is split in five (shuffled, stratified for classes, random state 0), and the first `--folds` of them are used. Every fit
runs in a fresh process, one after another; its answers are scored here. `--portfolios` is a folder of orders of
configurations, one for each table, `NAME.json`, learned without that table (see benchmarks/portfolio): give it wherever
the tables are those that the built-in order was learned from. A result that `--out` already holds is not made again.

The report compares with the records of peers on the same tables, folds and budget (`--peers`, JSON Lines with dataset,
system, fold, budget, metric and score), prints the bars one by one, and can be had alone with `--report`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold

from accuracy_report import report

HERE = Path(__file__).resolve().parent
SPLITS = 5
SAMPLE_SECONDS = 0.5


def split(frame: pl.DataFrame, table: dict[str, Any], fold: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and test rows."""
    number = table["task"] == "regression"
    kind = KFold if number else StratifiedKFold
    labels = frame[table["target"]] if number else frame[table["target"]].cast(pl.String)
    parts = list(kind(SPLITS, shuffle=True, random_state=0).split(np.zeros(frame.height), labels.to_numpy()))
    train, test = parts[fold]
    return frame[train], frame[test]


def score(truth: pl.Series, answers: pl.DataFrame, labels: list[str], metric: str) -> float:
    if metric == "rmse":
        return float(root_mean_squared_error(truth.to_numpy(), answers["prediction"].to_numpy()))
    truth = truth.cast(pl.String)
    columns = [answers[name].to_numpy() if name in answers.columns else np.zeros(len(truth)) for name in labels]
    shares = np.clip(np.column_stack(columns), 1e-15, 1.0)
    if metric == "roc_auc":
        return float(roc_auc_score((truth == labels[1]).to_numpy(), shares[:, 1]))
    return float(log_loss(truth.to_list(), shares / shares.sum(axis=1, keepdims=True), labels=labels))


def run_one(table: dict[str, Any], frame: pl.DataFrame, fold: int, args: argparse.Namespace) -> dict[str, Any]:
    train, test = split(frame, table, fold)
    target, metric = table["target"], table["metric"]
    record = {"dataset": table["name"], "system": args.name, "fold": fold, "seed": args.seed, "task": table["task"]}
    record |= {"metric": metric, "budget": args.seconds, "rows": train.height, "columns": train.width - 1}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train.write_parquet(folder / "train.parquet")
        test.drop(target).write_parquet(folder / "test.parquet")
        portfolio = str(args.portfolios / f"{table['name']}.json") if args.portfolios else None
        job = {"train": str(folder / "train.parquet"), "test": str(folder / "test.parquet"), "target": target}
        job |= {"task": table["task"], "metric": metric, "seconds": args.seconds, "cores": args.cores}
        (folder / "job.json").write_text(json.dumps(job | {"seed": args.seed, "portfolio": portfolio}))
        record |= watched([sys.executable, str(HERE / "accuracy_fit.py"), str(folder / "job.json")], folder / "log.txt")
        try:
            labels = [] if table["task"] == "regression" else sorted(frame[target].cast(pl.String).unique())
            record["score"] = score(test[target], pl.read_parquet(folder / "predictions.parquet"), labels, metric)
            record |= json.loads((folder / "facts.json").read_text())
            if (single := folder / "single.parquet").exists():
                record["single_score"] = score(test[target], pl.read_parquet(single), labels, metric)
        except Exception as problem:
            log = (folder / "log.txt").read_text(errors="replace")
            record |= {"score": None, "problem": f"{type(problem).__name__}: {problem}", "log_tail": log[-1500:]}
    return record


def watched(command: list[str], log: Path) -> dict[str, Any]:
    """Run to the end; wall time, processor time, and the most memory of all its processes together (proportional)."""
    begin, peak, used = time.perf_counter(), 0.0, {}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        root = psutil.Process(process.pid)
        while process.poll() is None:
            memory = 0.0
            try:
                for one in [root, *root.children(recursive=True)]:
                    memory += one.memory_full_info().pss / 1e6
                    used[one.pid] = sum(one.cpu_times()[:2])
            except psutil.Error:
                continue
            peak = max(peak, memory)
            try:
                process.wait(SAMPLE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    wall = time.perf_counter() - begin
    return {"wall_seconds": wall, "cpu_seconds": sum(used.values()), "peak_mb": peak, "load": os.getloadavg()[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="JSON list of name, file, target, task, metric")
    parser.add_argument("--out", type=Path, required=True, help="results, JSON Lines, appended to")
    parser.add_argument("--only", help="names of tables, comma-separated")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folds", type=int, default=1, choices=range(1, SPLITS + 1))
    parser.add_argument("--small-folds", type=int, help="folds of tables of fewer than 2,000 rows; --folds when absent")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="rowsmith", help="what the system is called in the report")
    parser.add_argument("--portfolios", type=Path, help="folder of NAME.json, each learned without that table")
    parser.add_argument("--peers", type=Path, help="records of other systems, JSON Lines")
    parser.add_argument("--report", action="store_true", help="print what the files hold, and run nothing")
    args = parser.parse_args()
    tables = json.loads(args.data.read_text())
    wanted = args.only.split(",") if args.only else [table["name"] for table in tables]
    if not args.report:
        run_all([table for name in wanted for table in tables if table["name"] == name], args)
    records = read(args.out) + (read(args.peers) if args.peers else [])
    report([r for r in records if r["dataset"] in wanted and r["budget"] == args.seconds], args.name)


def run_all(tables: list[dict[str, Any]], args: argparse.Namespace) -> None:
    done = {(r["dataset"], r["system"], r["fold"], r["budget"], r["seed"]) for r in read(args.out)}
    for table in tables:
        frame = pl.read_parquet(args.data.parent / table["file"])
        folds = args.small_folds if args.small_folds and frame.height < 2000 else args.folds
        for fold in range(folds):
            if (table["name"], args.name, fold, args.seconds, args.seed) in done:
                continue
            record = run_one(table, frame, fold, args)
            with args.out.open("a") as out:
                out.write(json.dumps(record) + "\n")
            shown = "FAILED" if record["score"] is None else f"{record['score']:.5f}"
            print(f"{table['name']:22} fold {fold} {shown:>12} {record['wall_seconds']:7.1f} s", flush=True)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
