"""A person asks to be forgotten: results of jobs, predictions, pseudonyms; and what was cut off goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rowsmith.errors import SourceError, StorageError, UsageError
from rowsmith.recipe import Recipe
from rowsmith.storage import audit
from rowsmith.workflows import erase as erasing
from rowsmith.workflows import erase_jobs
from rowsmith.workflows.erase import erase, find, person_of
from rowsmith.workflows.jobs import jobs_of, run_job
from rowsmith.workflows.project import Project, open_project
from tests.serving.models import NAME, loans, register, train

PERSON = "customer"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    opened = open_project(tmp_path_factory.mktemp("trained"))
    register(opened, train(rows=100))
    opened.database.close()
    return opened.root


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(trained, tmp_path / "loans")
    recipe = Recipe.from_dict({"name": NAME, "columns": {"personal": ["city"]}})
    opened = open_project(tmp_path / "loans").with_recipe(recipe)
    yield opened
    opened.log.close()
    opened.database.close()


def table(rows: int = 40) -> pl.DataFrame:
    customers = pl.Series(PERSON, [f"c-{number % 10}" for number in range(rows)])
    return loans(rows, seed=5).drop("default", "rate", "amount").with_columns(customers)


def job(project: Project, *, run: bool = True, **changes: Any) -> str:
    store = jobs_of(project)
    options: dict[str, Any] = {
        "name": "a",
        "created_by": "me",
        "model": NAME,
        "version": 1,
        "keep_inputs": True,
        "log": True,
    }
    with store.incoming() as place:
        upload = place / "upload.parquet"
        table().write_parquet(upload)
        id_ = store.add(place, upload, **(options | changes)).job.id
    if run:
        run_job(project, id_)
    return id_


def result(project: Project, id_: str) -> pl.DataFrame:
    return pl.read_parquet(jobs_of(project).result(id_))


def test_a_result_leads_to_the_log(project: Project) -> None:
    """The log does not know the column, since no model looks at it; the result of the job does."""
    id_ = job(project)
    before = result(project, id_)
    mine = before.filter(pl.col(PERSON).is_in(["c-3", "c-4"]))
    person = person_of(PERSON, ["c-3\n", " c-4 \n", "\n"])
    there = find(project, person)
    assert there.to_dict() == {
        "by": PERSON,
        "values": 2,
        "predictions": 8,
        "outcomes": 0,
        "log_files": 0,
        "job_rows": 8,
        "jobs": [id_],
        "jobs_ended": [],
        "snapshots": [],
        "joins_removed": [],
        "trained_on_them": [],
        "needed_elsewhere": [],
    }
    assert result(project, id_).equals(before) and len(project.log.window(NAME)) == 40, "looking changes nothing"
    assert erase(project, person, actor="me").to_dict() == there.to_dict()
    assert result(project, id_).equals(before.filter(~pl.col(PERSON).is_in(["c-3", "c-4"])))
    assert jobs_of(project).get(id_).status.rows == 32
    left = project.log.window(NAME).entries["id"]
    assert len(left) == 32 and not set(left) & set(mine["id"])
    assert find(project, person).is_empty and erase(project, person).is_empty
    lines = [line for line in audit.lines(project.database) if line.action.startswith("erase")]
    assert [(line.action, line.actor, line.subject) for line in lines] == [
        ("erase.begin", "me", PERSON),
        ("erase", "me", PERSON),
    ]
    assert "c-3" not in json.dumps([line.details for line in lines])


def test_a_pseudonym_in_the_log_leads_to_a_result_that_holds_only_ids(project: Project) -> None:
    id_ = job(project, keep_inputs=False)
    city = table()["city"][0]
    expected = table().filter(pl.col("city") == city).height
    assert result(project, id_).columns[0] == "id" and "city" not in result(project, id_).columns
    assert str(city) not in str(project.log.window(NAME).inputs["city"].to_list())
    done = erase(project, person_of("city", [str(city)])).to_dict()
    assert (done["predictions"], done["job_rows"]) == (expected, expected)
    assert result(project, id_).height == len(project.log.window(NAME)) == 40 - expected


def test_ids_alone(project: Project) -> None:
    id_ = job(project)
    ids = result(project, id_)["id"].to_list()[:3]
    assert erase(project, person_of(None, ids, are_ids=True)).to_dict()["predictions"] == 3
    assert result(project, id_).height == 37


def test_a_job_that_waits_with_their_rows_is_ended(project: Project) -> None:
    waiting = job(project, run=False)
    done = erase(project, person_of(PERSON, ["c-1"])).to_dict()
    assert done["jobs_ended"] == [waiting] and done["jobs"] == []
    store = jobs_of(project)
    assert store.get(waiting).status.state == "cancelled" and not store.holds_rows(waiting)
    assert find(project, person_of(PERSON, ["c-1"])).is_empty


def test_a_job_without_their_rows_goes_on(project: Project) -> None:
    waiting = job(project, run=False)
    assert erase(project, person_of(PERSON, ["nobody"])).is_empty
    assert jobs_of(project).get(waiting).status.state == "waiting"


def test_what_was_cut_off_goes_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between log and results: rows that only their ids told about are still found."""
    id_ = job(project, keep_inputs=False)
    person = person_of("city", [str(table()["city"][0])])

    def killed(*_: object) -> None:
        raise StorageError("killed")

    with monkeypatch.context() as patched, pytest.raises(StorageError):
        patched.setattr(erase_jobs, "erase", killed)
        erase(project, person)
    assert result(project, id_).height == 40
    assert not find(project, person).is_empty
    erase(project, person)
    assert result(project, id_).height == len(project.log.window(NAME)) < 40
    assert find(project, person).is_empty and not (project.store / "erasing.json").exists()


def test_nobody_and_nothing(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nobody is named"):
        person_of(PERSON, ["", "  \n"])
    with pytest.raises(UsageError, match="subject_id"):
        person_of(None, ["c-1"])
    with pytest.raises(SourceError):
        erasing.lines_of(tmp_path / "nothing.txt")
    (tmp_path / "empty").mkdir()
    assert erase(open_project(tmp_path / "empty"), person_of(PERSON, ["c-1"])).is_empty
    assert list((tmp_path / "empty").iterdir()) == []
