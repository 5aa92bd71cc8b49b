"""A repeated report of outcomes is answered as it was the first time, by whichever process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from rowsmith.serving.app import create_app
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.conftest import closed
from tests.serving.models import a_row, make_project

LABELS = "/api/v1/labels"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    made = create_app(make_project(tmp_path, "default"), Settings())
    yield made
    closed(made)


def predicted(client: FlaskClient) -> str:
    (item,) = client.post("/api/v1/predict", json={"row": a_row()}).get_json()["predictions"]
    return str(item["id"])


def report(client: FlaskClient, id_: str, label: Any = "yes", key: str | None = "k") -> TestResponse:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(LABELS, json={"labels": [{"id": id_, "label": label}]}, headers=headers)


def test_a_repeated_request_gets_the_same_answer(app: Flask) -> None:
    client = app.test_client()
    id_ = predicted(client)
    first, again = report(client, id_), report(client, id_)
    assert first.get_json()["added"] == 1 and "Idempotency-Replayed" not in first.headers
    assert again.data == first.data and again.headers["Idempotency-Replayed"] == "true"
    assert report(client, id_, key=None).get_json()["unchanged"] == 1
    assert report(client, id_, key="other").get_json()["unchanged"] == 1


def test_another_process_knows_the_key(app: Flask, binary_project: Project, tmp_path: Path) -> None:
    client = app.test_client()
    id_ = predicted(client)
    first = report(client, id_)
    from rowsmith.recipe import Recipe
    from rowsmith.workflows.project import open_project

    other = create_app(open_project(tmp_path).with_recipe(Recipe.from_dict({"name": "loans"})), Settings())
    assert report(other.test_client(), id_).data == first.data
    closed(other)


def test_a_key_is_for_one_request(app: Flask) -> None:
    client = app.test_client()
    id_ = predicted(client)
    assert report(client, id_, "yes").status_code == 200
    reused = report(client, id_, "no")
    assert (reused.status_code, reused.get_json()["type"]) == (409, "/problems/key-reused")


def test_what_was_refused_may_be_tried_again(app: Flask) -> None:
    client = app.test_client()
    id_ = predicted(client)
    assert report(client, id_, "perhaps").status_code == 422
    assert report(client, id_, "yes").get_json()["added"] == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "a b"])
def test_a_key_that_is_none_is_refused(app: Flask, key: str) -> None:
    assert report(app.test_client(), "x", key=key).status_code == 422


def test_keys_are_forgotten_after_a_day(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = app.test_client()
    id_ = predicted(client)
    report(client, id_)
    tomorrow = time.time() + 25 * 3600
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    assert report(client, id_, "no").status_code == 200
