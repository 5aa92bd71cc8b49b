"""Promotions and rollbacks over HTTP: the functions of the command line, with its gates, its ledger and its audit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from flask import Flask
from flask.testing import FlaskClient

from rowsmith.access.keys import KeyRole, KeyStore
from rowsmith.recipe import Recipe
from rowsmith.serving.app import create_app
from rowsmith.settings import Settings
from rowsmith.storage import audit
from rowsmith.workflows.project import Project, open_project
from rowsmith.workflows.retrain import retrain
from rowsmith.workflows.run import run
from tests.serving.conftest import closed
from tests.serving.models import NAME, a_row, loans, make_project

RECIPE: dict[str, Any] = {
    "name": NAME,
    "target": {"column": "default"},
    "split": {"folds": 3},
    "train": {"max_trials": 2},
}
PATH = f"/api/v1/models/{NAME}"


def table(rows: int, seed: int = 0) -> pl.DataFrame:
    return loans(rows, seed=seed).drop("rate", "amount")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Version 1 is champion; version 2 is as good, version 3 has learned from answers that were shuffled."""
    root = tmp_path_factory.mktemp("champions")
    opened = open_project(root).with_recipe(Recipe.from_dict(RECIPE))
    noise = table(600, seed=3)
    with ThreadPoolExecutor(1) as pool:
        assert run(opened, table(600), executor=pool).promoted
        retrain(opened, table(500, seed=11), promote=False, executor=pool)
        retrain(opened, noise.with_columns(noise["default"].shuffle(seed=1)), promote=False, executor=pool)
    return opened


@pytest.fixture
def app(project: Project) -> Iterator[Flask]:
    made = create_app(project, Settings())
    yield made
    closed(made)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def champion_of(client: FlaskClient) -> int:
    number = client.get("/api/v1/models").get_json()["models"][0]["champion"]
    assert isinstance(number, int)
    return number


@pytest.mark.slow
def test_a_version_is_promoted_and_taken_back(client: FlaskClient, project: Project) -> None:
    told = client.post(f"{PATH}/promote", json={"version": 2, "reason": "agreed"})
    assert told.status_code == 200, told.text
    line = told.get_json()
    assert (line["action"], line["from_number"], line["to_number"], line["reason"]) == ("promote", 1, 2, "agreed")
    assert line["actor"] == "anyone on this machine (API)" and line["gates"]["passed"] is True
    assert champion_of(client) == 2

    back = client.post(f"{PATH}/rollback", json={"reason": "complaints"})
    assert back.status_code == 200, back.text
    assert (back.get_json()["action"], back.get_json()["to_number"]) == ("rollback", 1)
    assert champion_of(client) == 1
    none = client.post(f"{PATH}/rollback", json={})
    assert none.status_code == 404 and "came before version 1" in none.text
    assert [line.action for line in audit.lines(project.database)][-2:] == ["promote", "rollback"]


@pytest.mark.slow
def test_the_gates_refuse_over_http_too(client: FlaskClient, project: Project) -> None:
    refused = client.post(f"{PATH}/promote", json={"version": 3})
    assert refused.status_code == 409, refused.text
    assert refused.get_json()["type"].endswith("gates-refused") and str(project.root) not in refused.text
    assert champion_of(client) == 1
    assert client.post(f"{PATH}/promote", json={"version": 3, "force": True}).status_code == 422


@pytest.mark.slow
def test_a_version_that_needs_more_memory_than_it_may_have(project: Project) -> None:
    made = create_app(project, Settings(job_memory_mb=1))
    try:
        answer = made.test_client().post(f"{PATH}/promote", json={"version": 2})
        assert answer.status_code == 503 and answer.get_json()["type"].endswith("not-judged")
    finally:
        closed(made)


@pytest.mark.parametrize(
    ("path", "body", "status", "place"),
    [
        (f"{PATH}/promote", {}, 422, "/version"),
        (f"{PATH}/promote", {"version": "2"}, 422, "/version"),
        (f"{PATH}/promote", {"version": True}, 422, "/version"),
        (f"{PATH}/promote", {"version": 0}, 422, "/version"),
        (f"{PATH}/promote", {"version": 1, "reason": 7}, 422, "/reason"),
        (f"{PATH}/promote", {"version": 1, "reason": "x" * 1001}, 422, "/reason"),
        (f"{PATH}/promote", {"version": 99}, 404, "99"),
        ("/api/v1/models/nobody/promote", {"version": 1}, 404, "nobody"),
        (f"{PATH}/rollback", {"version": 1}, 422, "/version"),
        (f"{PATH}/rollback", {"reason": None}, 422, "/reason"),
        ("/api/v1/models/nobody/rollback", {}, 404, "nobody"),
        ("/api/v1/models/..%2f..%2fetc/rollback", {}, 404, "no"),
    ],
)
def test_what_makes_no_sense(tmp_path: Path, path: str, body: Any, status: int, place: str) -> None:
    made = create_app(make_project(tmp_path, "default"), Settings())
    try:
        answer = made.test_client().post(path, json=body)
        assert (answer.status_code, place in answer.text) == (status, True), answer.text
        assert made.test_client().post("/api/v1/predict", json={"row": a_row()}).get_json()["model"]["version"] == 1
    finally:
        closed(made)


def test_without_a_model_there_is_nobody_to_promote(empty_client: Any) -> None:
    assert empty_client.post(f"{PATH}/promote", json={"version": 1}).status_code == 404
    assert empty_client.post(f"{PATH}/rollback", json={}).status_code == 404


def test_a_key_for_predictions_crowns_nobody(tmp_path: Path) -> None:
    made_project = make_project(tmp_path, "default")
    secrets = {
        role: KeyStore(made_project.database).create(role.label, role, actor="a test")[1]
        for role in (KeyRole.PREDICT, KeyRole.OPERATE)
    }
    made = create_app(made_project, Settings(require_keys=True))
    try:
        for role, status in ((KeyRole.PREDICT, 403), (KeyRole.OPERATE, 404)):
            headers = {"Authorization": f"Bearer {secrets[role]}"}
            assert made.test_client().post(f"{PATH}/rollback", json={}, headers=headers).status_code == status
    finally:
        closed(made)
