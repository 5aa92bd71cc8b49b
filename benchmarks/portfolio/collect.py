"""Out-of-fold answers of every configuration on many tables, for `learn.py` to choose an order from.

    python benchmarks/portfolio/collect.py --data DATASETS.json --out FOLDER [--only TABLES] [--families NAMES]
                                           [--rows 2000] [--seconds 20]

DATASETS.json lists tables as {"name", "file", "target", "task", "metric"}. Of each table a fifth is held out, the
test part of the first outer fold of a comparison, and nothing here looks at it. What FOLDER holds already is not
done again, so a new configuration costs only itself; one whose settings have changed is done anew. One thread, and
seconds are those of the processor, so a busy machine does little harm.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.model_selection import KFold, StratifiedKFold

from rowsmith.ingestion.infer import infer_schema
from rowsmith.recipe import Recipe
from rowsmith.training import FAMILIES, TrainingData
from rowsmith.training.budget import fold_shape
from rowsmith.training.families import find_family
from rowsmith.training.families.base import Family
from rowsmith.training.libraries import load
from rowsmith.training.proposals import Proposal, has_long_tail, interleave
from rowsmith.training.unit import Unit, run_unit
from rowsmith.types import Task
from rowsmith.workflows.train import encode_training_rows, labelled_rows

OUTER_FOLDS = 5
QUICK = "quick"
LOG = "+log"
"""Ends the name of a configuration that learns the logarithm of the target."""


def encoded(dataset: dict[str, Any], folder: Path) -> TrainingData:
    """The rows that a comparison trains on, as `rowsmith.train` sees them."""
    frame = pl.read_parquet(folder / dataset["file"])
    target, task = dataset["target"], dataset["task"]
    numbers = task == Task.REGRESSION
    kind = KFold if numbers else StratifiedKFold
    labels = frame[target] if numbers else frame[target].cast(pl.String)
    splits = kind(OUTER_FOLDS, shuffle=True, random_state=0).split(np.zeros(frame.height), labels.to_numpy())
    rows, _ = next(iter(splits))
    about = {"column": target, "task": task, "metric": dataset["metric"]}
    recipe = Recipe.from_dict({"target": about, "split": {"holdout": 0}})
    schema = infer_schema(frame[rows], recipe)
    labelled, answers = labelled_rows(frame[rows], schema)
    return encode_training_rows(labelled, answers, np.arange(labelled.height), schema, recipe)[0]


def proposals(data: TrainingData, families: list[Family]) -> Iterator[Proposal]:
    """Every configuration; for numbers with a long tail the first of each family with the logarithm too."""
    for family in families:
        if family.quick is not None:  # what every search begins with
            yield Proposal(family, family.quick, name=f"{family.name}/{QUICK}")
    plain = interleave(families, fold_shape(data))
    yield from plain
    if data.task is Task.REGRESSION and has_long_tail(data.target):
        for family in families:
            for proposal in [proposal for proposal in plain if proposal.family is family][:1]:
                yield replace(proposal, name=proposal.name + LOG, params={**proposal.params, "log_target": True})


def collect(data: TrainingData, proposal: Proposal, place: Path, folds: int, seconds: float) -> None:
    """Run a configuration on the first folds, as far as it has not, and keep its answers for their validation rows."""
    settings = json.dumps(proposal.params, sort_keys=True)
    found = _kept(place, settings)
    prices, rounds = list(found.pop("seconds", [])), list(found.pop("rounds", []))
    if len(prices) >= folds:
        return
    for fold in range(len(prices), folds):
        unit = Unit(0, proposal.family.name, proposal.params, fold, seed=fold + 1, seconds=seconds)
        begin = time.process_time()
        result = run_unit(data, unit)
        prices.append(time.process_time() - begin)
        rounds.append(result.rounds)
        found[f"answers_{fold}"] = result.scores.astype(np.float32)
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez_compressed(file, seconds=np.array(prices), rounds=np.array(rounds), settings=settings, **found)
    temporary.replace(place)
    used = ", ".join(str(number) for number in rounds)
    print(f"{place.parent.parent.name:24} {proposal.name:32} {np.mean(prices):6.2f} s; {used} rounds", flush=True)


def _kept(place: Path, settings: str) -> dict[str, Any]:
    """What an earlier call wrote, if it was of the same settings."""
    if not place.exists():
        return {}
    with np.load(place) as kept:
        same = str(kept["settings"]) == settings
        return {name: kept[name] for name in kept.files if name != "settings"} if same else {}


def enough(data: TrainingData, rows: int) -> int:
    """Folds that validate so many rows together, or all there are: one tells enough of a large table."""
    return min(-(-rows // len(data.fold(0, 0)[1])), len(data.folds))


def describe(data: TrainingData, dataset: dict[str, Any], folder: Path, folds: int) -> None:
    """The truth that answers are compared with, and what the table is about."""
    folder.mkdir(parents=True, exist_ok=True)
    truth: dict[str, Any] = {f"truth_{fold}": data.target[data.fold(0, fold)[1]] for fold in range(folds)}
    np.savez_compressed(folder / "truth.npz", **truth)
    facts = {"name": dataset["name"], "task": data.task.value, "metric": dataset["metric"], "folds": len(data.folds)}
    (folder / "table.json").write_text(json.dumps(facts), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", help="names of tables, comma-separated; all when absent")
    parser.add_argument("--families", help="names of families, comma-separated; all when absent")
    parser.add_argument("--rows", type=int, default=2000, help="answers wanted of a table; decides how many folds run")
    parser.add_argument("--seconds", type=float, default=20.0, help="after which a fit is stopped")
    args = parser.parse_args()
    datasets = {dataset["name"]: dataset for dataset in json.loads(args.data.read_text(encoding="utf-8"))}
    families = [find_family(name) for name in args.families.split(",")] if args.families else list(FAMILIES)
    load(name for family in families for name in family.libraries)
    for name in args.only.split(",") if args.only else datasets:
        data = encoded(datasets[name], args.data.parent)
        folds = enough(data, args.rows)
        describe(data, datasets[name], args.out / name, folds)
        for proposal in proposals(data, families):
            try:
                collect(data, proposal, args.out / name / f"{proposal.name}.npz", folds, args.seconds)
            except Exception as problem:  # one that fails is only missing
                print(f"{name:24} {proposal.name:32} failed: {problem}", flush=True)


if __name__ == "__main__":
    main()
