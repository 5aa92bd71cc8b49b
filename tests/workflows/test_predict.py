"""Prediction of files: what is refused, what the log keeps, and what becomes of names that clash."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

import polars as pl
import pytest

from rowsmith.errors import SchemaError, StorageError, UsageError
from rowsmith.ingestion.sources import dataframes
from rowsmith.workflows.deploy import Deployed, deploy
from rowsmith.workflows.predict import predict_source
from rowsmith.workflows.project import Project
from rowsmith.workflows.run import run
from tests.workflows.conftest import loans


@pytest.fixture
def deployed(project: Project, executor: Executor) -> Deployed:
    return deploy(project, run(project, executor=executor).version)


def test_a_table_is_never_replaced_by_its_own_predictions(deployed: Deployed, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    loans(20).write_csv(path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="would replace the table"):
        predict_source(deployed, path, tmp_path / "." / "rows.csv")
    assert path.read_bytes() == before


def test_columns_of_the_input_that_are_called_like_ours_are_kept(
    project: Project, deployed: Deployed, tmp_path: Path
) -> None:
    rows = loans(20).with_columns(id=pl.int_range(20), prediction=pl.lit("mine"), input_prediction=pl.lit("old"))
    rows.write_parquet(tmp_path / "rows.parquet")
    out = tmp_path / "out.parquet"
    predict_source(deployed, tmp_path / "rows.parquet", out, keep_inputs=True, log=project.log)
    kept = pl.read_parquet(out)
    assert kept["input_id"].to_list() == list(range(20))
    assert kept["input_prediction"].unique().to_list() == ["old"]
    assert kept["input_input_prediction"].unique().to_list() == ["mine"]
    assert set(kept["prediction"]) <= {"yes", "no"}
    predict_source(deployed, tmp_path / "rows.parquet", out, keep_inputs=True)
    assert pl.read_parquet(out)["id"].to_list() == list(range(20))


def test_a_table_that_is_refused_in_its_middle_is_not_logged_and_its_row_is_named(
    project: Project, deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataframes, "ROWS_PER_BATCH", 8)
    rows = loans(30).with_columns(age=pl.col("age").cast(pl.String))
    wrong = rows.with_columns(age=pl.when(pl.int_range(30) == 20).then(pl.lit("old")).otherwise(pl.col("age")))
    with pytest.raises(SchemaError, match='row 20: the column "age" has "old"') as caught:
        predict_source(deployed, wrong, tmp_path / "out.csv", log=project.log)
    assert caught.value.where == "polars DataFrame"
    assert caught.value.faults[0].row == 20
    assert project.log.summary("loans").predictions == 0
    predict_source(deployed, rows, tmp_path / "out.csv", log=project.log)
    ids = pl.read_csv(tmp_path / "out.csv")["id"]
    assert sorted(project.log.window("loans").entries["id"]) == sorted(ids)
    assert len(ids) == 30


def test_names_of_files_that_cannot_be_written(deployed: Deployed, tmp_path: Path) -> None:
    rows = loans(20)
    with pytest.raises(UsageError, match="this is a folder"):
        (tmp_path / "folder.csv").mkdir()
        predict_source(deployed, rows, tmp_path / "folder.csv")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        predict_source(deployed, rows, tmp_path / "file" / "out.csv")
    assert predict_source(deployed, rows, tmp_path / "OUT.CSV").rows == 20
