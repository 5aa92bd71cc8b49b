"""A project's own features: learned with, kept with the version, and applied wherever it answers."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

import polars as pl
import pytest

from rowsmith.errors import ArtifactError
from rowsmith.workflows.deploy import deploy
from rowsmith.workflows.inputs import inputs_of
from rowsmith.workflows.predict import predict_source
from rowsmith.workflows.project import Project, open_project
from rowsmith.workflows.run import run
from rowsmith.workflows.verify import verify
from tests.workflows.conftest import loans

RECIPE = """
name = "loans"
[target]
column = "default"
[split]
folds = 3
[train]
max_trials = 1
families = ["linear"]
"""
FEATURES = """
import polars as pl

def add_features(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        (pl.col("income") / pl.col("age")).alias("income_per_year"),
        pl.col("purpose").str.to_uppercase().alias("loud_purpose"),
    )
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "rowsmith.toml").write_text(RECIPE, encoding="utf-8")
    package = tmp_path / "my_loans"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "features.py").write_text(FEATURES, encoding="utf-8")
    return open_project(tmp_path)


def test_features_are_learned_and_asked_for_by_nobody(project: Project, executor: Executor) -> None:
    outcome = run(project, loans(400), executor=executor)
    deployed = deploy(project, outcome.version)
    learned = {column.name for column in deployed.model.schema.features}
    asked = {column.name for column in deployed.inputs.features}
    assert learned - asked == {"income_per_year", "loud_purpose"}
    assert inputs_of(project, outcome.version) == deployed.inputs


def test_rows_and_files_agree_to_the_last_bit(project: Project, executor: Executor, tmp_path: Path) -> None:
    table = loans(400)
    deployed = deploy(project, run(project, table, executor=executor).version)
    model = deployed.model
    scores = model.scores(model.encoder.encode(deployed.frame(table).frame))
    for i, row in enumerate(table.head(30).to_dicts()):
        alone = model.scores_row(model.encoder.encode_row(deployed.row(row).row))
        assert alone.tolist() == scores[i].tolist()
    table.write_csv(tmp_path / "rows.csv")
    predict_source(deployed, tmp_path / "rows.csv", tmp_path / "out.parquet")
    yes = scores[:, model.labels.index("yes")]
    assert pl.read_parquet(tmp_path / "out.parquet")["probability_yes"].to_list() == yes.tolist()


def test_a_version_keeps_the_features_it_was_trained_with(project: Project, executor: Executor, tmp_path: Path) -> None:
    outcome = run(project, loans(400), executor=executor)
    before = deploy(project, outcome.version).frame(loans(20, seed=2)).frame
    changed = FEATURES.replace("/ pl.col", "* pl.col")
    (tmp_path / "my_loans" / "features.py").write_text(changed, encoding="utf-8")
    assert deploy(project, outcome.version).frame(loans(20, seed=2)).frame.equals(before)
    assert verify(project).identical


def test_code_that_was_changed_in_the_store_is_not_run(project: Project, executor: Executor) -> None:
    outcome = run(project, loans(400), executor=executor)
    kept = outcome.folder / "own_code" / "my_loans" / "features.py"
    kept.write_text("raise SystemExit\n", encoding="utf-8")
    with pytest.raises(ArtifactError):
        deploy(project, outcome.version)


def test_dates_as_json_has_them_reach_the_features_as_dates(
    project: Project, executor: Executor, tmp_path: Path
) -> None:
    features = FEATURES.replace(
        "frame.with_columns(", 'frame.with_columns(\n        pl.col("opened").dt.year().alias("year"),'
    )
    (tmp_path / "my_loans" / "features.py").write_text(features, encoding="utf-8")
    table = loans(400).with_columns(pl.col("opened").str.to_date())
    deployed = deploy(project, run(project, table, executor=executor).version)
    row = table.row(0, named=True)
    given = row | {"opened": row["opened"].isoformat()}
    assert deployed.row(given).row == deployed.row(row).row
    assert deployed.row(given).row["year"] == row["opened"].year
