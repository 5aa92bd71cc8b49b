"""What a project refuses, and what it says: the table, the row, and the next step."""

from __future__ import annotations

from concurrent.futures import Executor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import rowsmith
from rowsmith.errors import DataError, RecipeError, SchemaError, UsageError
from rowsmith.recipe import Recipe
from rowsmith.workflows.deploy import deploy
from rowsmith.workflows.ingest import PREVIOUS_SCHEMA_FILE, ingest
from rowsmith.workflows.monitor import label, monitor
from rowsmith.workflows.predict import predict_source
from rowsmith.workflows.project import Project
from rowsmith.workflows.run import run
from rowsmith.workflows.train import train_frame
from rowsmith.workflows.verify import verify
from tests.workflows.conftest import loans


def test_rows_that_break_the_schema_file_say_which_table_and_what_to_do(project: Project) -> None:
    ingest(project)
    with pytest.raises(SchemaError, match=r"against schema\.toml") as caught:
        ingest(project, loans().drop("age"))
    assert caught.value.where.startswith("polars DataFrame")
    assert str(project.schema_path) in caught.value.next_step


def test_a_table_that_shares_only_the_target_has_a_schema_of_its_own(project: Project) -> None:
    ingest(project)
    ingest(project, loans().select("default", score=pl.col("income").fill_null(0.0)))
    assert (project.root / PREVIOUS_SCHEMA_FILE).exists()


def test_a_check_that_does_not_exist_cannot_be_accepted(project: Project) -> None:
    with pytest.raises(RecipeError, match='there is no check "few_row"'):
        ingest(project.with_recipe(project.recipe.changed(checks={"ignore": ["few_row"]})))


@pytest.mark.parametrize("given", ["perhaps", 3.5])
def test_outcomes_that_cannot_be_are_refused_and_none_is_kept(
    project: Project, executor: Executor, tmp_path: Path, given: Any
) -> None:
    outcome = run(project, executor=executor)
    predict_source(
        deploy(project, outcome.version), loans(4).drop("default"), tmp_path / "out.parquet", log=project.log
    )
    ids = pl.read_parquet(tmp_path / "out.parquet")["id"]
    outcomes = pl.DataFrame({"id": ids, "label": [None, "yes", str(given), "no"]})
    with pytest.raises(SchemaError, match="row 2") as caught:
        label(project, outcomes)
    assert "no, yes" in caught.value.faults[0].allowed or "yes, no" in caught.value.faults[0].allowed
    assert project.log.window("loans").entries["label"].null_count() == 4
    result = label(project, outcomes.filter(pl.col("label") != str(given)))
    assert (result.added, result.empty) == (2, 0)


def test_a_stretch_of_the_log_ends_after_it_begins(project: Project) -> None:
    with pytest.raises(UsageError, match="ends before it begins"):
        monitor(project, start=datetime(2030, 1, 1, tzinfo=UTC), end=datetime(2020, 1, 1, tzinfo=UTC))


def test_the_threshold_follows_its_metric_in_training_and_in_verification(project: Project, executor: Executor) -> None:
    chosen = project.with_recipe(project.recipe.changed(train={"threshold_metric": "recall"}))
    eager = run(chosen, executor=executor)
    assert (
        deploy(project, eager.version).model.threshold
        < deploy(project, run(project, executor=executor).version).model.threshold
    )
    assert verify(project, eager.version.number).identical


@pytest.mark.parametrize("name", ["f9", "roc_auc"])
def test_a_metric_that_has_no_threshold_cannot_choose_one(name: str) -> None:
    recipe = Recipe.from_dict({"target": {"column": "default"}, "train": {"threshold_metric": name}})
    with pytest.raises(RecipeError):
        train_frame(loans(100), recipe)


def test_weights_that_are_all_the_same_are_weights(executor: Executor) -> None:
    table = loans(200).with_columns(w=pl.lit(2.0))
    model = rowsmith.train(table, "default", weights="w", max_trials=1, families=["linear"], executor=executor)
    assert "w" not in [column.name for column in model.schema.features]


def test_a_weight_that_cannot_be_used_is_named_by_its_row_in_the_table() -> None:
    table = loans(200).with_columns(
        w=pl.when(pl.int_range(200) == 150).then(None).otherwise(pl.lit(1.0) + pl.col("age"))
    )
    with pytest.raises(DataError, match="row 150: 1 row has no usable weight"):
        rowsmith.train(table, "default", weights="w", max_trials=1)
    unlabelled = table.with_columns(default=pl.when(pl.int_range(200) < 100).then(None).otherwise(pl.col("default")))
    with pytest.raises(DataError, match="row 150: 1 row has no usable weight"):
        rowsmith.train(unlabelled, "default", weights="w", max_trials=1)
