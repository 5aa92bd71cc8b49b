"""Small real models in a project's registry, made without a search so that a test has one within a second."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rowsmith.conform import encode_target
from rowsmith.evaluation.metrics import default_metric, metrics_for
from rowsmith.evaluation.score import evaluate
from rowsmith.model import Member, TrainedModel
from rowsmith.monitoring.reference import build_reference
from rowsmith.recipe import Recipe
from rowsmith.registry.versions import Version
from rowsmith.schema import Column, Policies, Schema
from rowsmith.training import TrainingData, fit_baselines
from rowsmith.transformation import fit_encoder
from rowsmith.types import ColumnKind, Interval, JsonObject, Role, Task
from rowsmith.workflows.inputs import keep_inputs
from rowsmith.workflows.plugins import Plugins
from rowsmith.workflows.project import Project, open_project
from rowsmith.workflows.sign import OWN_CODE

NAME = "loans"
PURPOSES = ("car", "home", "school", "travel")
CITIES = tuple(f"city {number:02d}" for number in range(60))
FIRST_DAY = datetime(2024, 1, 1)
REPORT = "<!doctype html><title>Report</title><style>div{height:3000px}</style><p id=r>drawn</p><div></div>"


def loans(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """Made-up loans with a column of every kind, and a name that HTML and CSV must escape."""
    rng = np.random.default_rng(seed)
    income = np.round(rng.lognormal(10, 0.5, rows), 2)
    age = rng.integers(18, 80, rows)
    purpose = rng.choice(PURPOSES, rows)
    risk = 1.5 * (purpose == "travel") - 1.2 * (np.log(income) - 10) - 0.02 * (age - 45)
    amount = np.round(np.exp(rng.normal(8, 0.3, rows)) * (1 + (purpose == "home")), 2)
    return pl.DataFrame(
        {
            "income": [None if rng.random() < 0.05 else float(value) for value in income],
            "age": age,
            "purpose": purpose,
            "city": rng.choice(CITIES, rows),
            "owner": rng.random(rows) < 0.5,
            "opened": [FIRST_DAY + timedelta(days=int(day)) for day in rng.integers(0, 700, rows)],
            'remark <b>"&': rng.choice(["paid in time", "was late once", "asked for more time"], rows),
            "default": np.where(rng.random(rows) < 1 / (1 + np.exp(-risk)), "yes", "no"),
            "rate": rng.choice(["a", "b", "c"], rows),
            "amount": amount,
        }
    )


def schema_of(table: pl.DataFrame, target: str, policies: Policies) -> Schema:
    """The schema as it would be inferred, written out."""
    days = table["opened"]
    labels = {"default": ("no", "yes"), "rate": ("a", "b", "c"), "amount": ()}[target]
    task = {"default": Task.BINARY, "rate": Task.MULTICLASS, "amount": Task.REGRESSION}[target]
    income, age = table["income"].drop_nulls(), table["age"]
    kinds = {"default": ColumnKind.CATEGORY, "rate": ColumnKind.CATEGORY, "amount": ColumnKind.NUMBER}
    columns = [
        Column("income", ColumnKind.NUMBER, missing=0.05, minimum=_low(income), maximum=_high(income), typical=22000.5),
        Column("age", ColumnKind.INTEGER, minimum=_low(age), maximum=_high(age), typical=45.0),
        Column("purpose", ColumnKind.CATEGORY, categories=PURPOSES, level_count=4, typical="car"),
        Column("city", ColumnKind.CATEGORY, categories=CITIES, level_count=60, typical="city 07"),
        Column("owner", ColumnKind.BOOLEAN, typical=True),
        Column(
            "opened",
            ColumnKind.DATETIME,
            minimum=_seconds(days.min()),
            maximum=_seconds(days.max()),
            typical="2024-12-16",
            stored="Date",
        ),
        Column('remark <b>"&', ColumnKind.TEXT, typical="paid in time"),
        *(
            Column(
                name,
                kind,
                (Role.TARGET if name == target else Role.IGNORED,),
                minimum=_low(table[name]) if kind is ColumnKind.NUMBER else None,
                maximum=_high(table[name]) if kind is ColumnKind.NUMBER else None,
            )
            for name, kind in kinds.items()
        ),
    ]
    return Schema(tuple(columns), task, labels, policies)


def train(target: str = "default", *, rows: int = 400, seed: int = 0, policies: Policies | None = None) -> TrainedModel:
    """A linear model of the loans: real, small, and without bits in common with another seed's."""
    table = loans(rows, seed)
    schema = schema_of(table, target, policies or Policies())
    task = schema.task
    assert task is not None
    recipe = Recipe.from_dict({"name": NAME, "target": {"column": target}})
    bare = Conforming(schema, table)
    positions = np.arange(rows)
    data = TrainingData(
        matrix=bare.encoder.encode(bare.frame),
        features=bare.encoder.features,
        target=encode_target(table[target], schema),
        weights=None,
        folds=((positions[::2], positions[1::2]),),
        task=task,
        classes=len(schema.labels),
    )
    learner = fit_baselines(data)["linear"]
    width = Interval(-2000.0, 2500.0) if task is Task.REGRESSION else None
    return TrainedModel(schema, recipe, task, bare.encoder, (Member(1.0, learner),), None, 0.4, width)


class Conforming:
    def __init__(self, schema: Schema, table: pl.DataFrame) -> None:
        from rowsmith.conform import Conformer

        self.frame = Conformer(schema).frame(table).frame
        self.encoder = fit_encoder(self.frame, schema)


def register(
    project: Project, model: TrainedModel, *, seed: int = 100, champion: bool = True, plugins: Plugins | None = None
) -> Version:
    """Evaluate on other rows, write the version folder as a run does, and promote."""
    target = model.recipe.target.column
    assert target is not None
    test = loans(300, seed)
    metric = default_metric(model.task)
    truth = encode_target(test[target], model.schema)
    conforming = model.conformer.frame(test).frame
    answers = model.answer_frame(model.scores(model.encoder.encode(conforming)))
    shares = np.tile(np.full(max(len(model.labels), 1), 1 / max(len(model.labels), 1)), (300, 1))
    evaluation = evaluate(model, test, truth, metric, baselines={"dummy": shares})
    reference = build_reference(conforming, answers, model.schema, truth=truth, metrics=metrics_for(model.task))
    gates = {
        "passed": True,
        "results": [{"code": "better", "passed": True, "message": "It is better.", "evidence": {}}],
    }
    document: JsonObject = {"gates": gates, "findings": [], "leaderboard": []}

    def write(folder: Path) -> None:
        model.save(folder / "model")
        for name, content in {
            "evaluation": evaluation.to_dict(),
            "reference": reference.to_dict(),
            "document": document,
        }.items():
            (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        (folder / "report.html").write_text(REPORT, encoding="utf-8")
        (folder / "card.md").write_text("# loans\n", encoding="utf-8")
        if plugins is not None:
            plugins.keep(folder)
            keep_inputs(folder, test, model.schema)

    lineage = {"snapshot": "0" * 64, "recipe": model.recipe.hash, "rows_trained": 400, "seed": 0}
    lineage |= {OWN_CODE: plugins.hash} if plugins is not None else {}
    version = project.registry.add(NAME, write, lineage=lineage, metric=metric.name, score=evaluation.score_of())
    if champion:
        project.registry.promote(NAME, version.number, reason="better than nothing", actor="a test")
    return version


def make_project(root: Path, *targets: str, database_url: str = "", **options: Any) -> Project:
    """A project with a version for each target, the last one champion."""
    project = open_project(root, database_url=database_url).with_recipe(Recipe.from_dict({"name": NAME}))
    for number, target in enumerate(targets):
        register(project, train(target, seed=number, **options))
    return project


def a_row(**changes: Any) -> JsonObject:
    """A row that the model takes as it is."""
    row: JsonObject = {
        "income": 31000.25,
        "age": 41,
        "purpose": "home",
        "city": "city 11",
        "owner": True,
        "opened": "2024-05-17",
        'remark <b>"&': "was late once",
    }
    return row | changes


def json_rows(table: pl.DataFrame) -> list[JsonObject]:
    """Rows of the loans as JSON carries them."""
    features = table.drop("default", "rate", "amount").with_columns(pl.col("opened").dt.strftime("%Y-%m-%d"))
    return features.to_dicts()


def _low(values: pl.Series) -> float:
    return float(values.min())  # type: ignore[arg-type]


def _high(values: pl.Series) -> float:
    return float(values.max())  # type: ignore[arg-type]


def _seconds(moment: Any) -> float:
    return float((moment - datetime(1970, 1, 1)).total_seconds())
