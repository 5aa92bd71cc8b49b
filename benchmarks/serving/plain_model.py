"""A project whose champion is one plain LightGBM of 300 trees with 63 leaves (or several, of other numbers of trees).

Evaluated on the sealed rows and registered as any other version, so that it is served with all that a served model has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rowsmith.evaluation.score import evaluate
from rowsmith.ingestion.split import seal
from rowsmith.model import Member, TrainedModel
from rowsmith.recipe import Recipe
from rowsmith.training import fit_baselines
from rowsmith.training.unit import ALL_ROWS, Unit, learn
from rowsmith.workflows.ingest import examine
from rowsmith.workflows.project import Project, open_project
from rowsmith.workflows.reading import take_snapshot
from rowsmith.workflows.train import encode_training_rows, labelled_rows, metric_of
from rowsmith.workflows.training_rows import all_rows

NAME = "plain"
TREES = 300
LEAVES = 63
PARAMS: dict[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": LEAVES,
    "min_data_in_leaf": 20,
    "native_levels": 255,
}


def make_plain(root: Path, source: Path, target: str, *, trees: Sequence[int] = (TREES,)) -> Project:
    """Learn from all rows but the sealed ones, evaluate, register a version for each number of trees, and promote the
    first."""
    (root / "rowsmith.toml").write_text(f'name = "{NAME}"\n\n[target]\ncolumn = {json.dumps(target)}\n', "utf-8")
    recipe = Recipe.read(root / "rowsmith.toml")
    project = open_project(root)
    ingested = examine(project, take_snapshot(project, source))
    schema = ingested.schema
    frame, truth = labelled_rows(all_rows(ingested.table), schema)
    split = seal(frame, schema, recipe)
    data, encoder = encode_training_rows(frame, truth, split.train, schema, recipe, folder=root)
    everything = np.arange(len(data.matrix))
    metric = metric_of(schema, recipe)
    test = frame[split.test]
    lineage = {"snapshot": ingested.snapshot.id, "recipe": recipe.hash, "rows_trained": len(split.train), "seed": 0}
    baselines = fit_baselines(data)
    for rounds in trees:
        unit = Unit(trial=0, family="lightgbm", params=PARAMS, fold=ALL_ROWS, rounds=rounds, threads=2)
        learner, _ = learn(data, (everything, everything[:0]), unit)
        model = TrainedModel(schema, recipe, data.task, encoder, (Member(1.0, learner, NAME),))
        matrix = model.encode(test)
        scores = {name: other.predict(matrix) for name, other in baselines.items()}
        evaluation = evaluate(model, test, truth[split.test], metric, baselines=scores)
        write = _writer(model, evaluation.to_dict())
        project.registry.add(NAME, write, lineage=lineage, metric=metric.name, score=evaluation.score_of())
    project.registry.promote(NAME, 1, reason="a benchmark", actor="benchmarks/serving")
    return project


def _writer(model: TrainedModel, evaluation: dict[str, Any]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        model.save(folder / "model")
        (folder / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")

    return write
