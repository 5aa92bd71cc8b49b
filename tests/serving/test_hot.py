"""The door in front of Flask: the same gate, answers, words, headers and counts as Flask's way."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import Client, TestResponse

from rowsmith.serving.app import HOT, create_app
from rowsmith.serving.services import KEY
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.models import a_row

BODIES: tuple[Any, ...] = (
    {"row": a_row()},
    {"rows": [a_row(), a_row(age=3)]},
    {"row": a_row(age="x")},
    {"rows": 1},
    [],
)


def both(app: Flask, **request: Any) -> tuple[TestResponse, TestResponse]:
    """The answers through the door and through Flask alone."""
    through_flask = Client(FlaskAlone(app), app.response_class)
    return app.test_client().open(**request), through_flask.open(**request)


class FlaskAlone:
    """The application as the door sees it from in front."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return Flask.wsgi_app(self._app, environ, start_response)


@pytest.mark.parametrize("hot", HOT, ids=lambda hot: hot.path)
def test_flask_knows_the_address_by_the_same_name(app: Flask, hot: Any) -> None:
    with app.test_request_context(hot.path, method="POST") as context:
        assert context.request.endpoint == hot.endpoint


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("headers", [{}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_the_door_answers_as_flask_does(app: Flask, body: Any, headers: dict[str, str]) -> None:
    door, flask = both(app, path="/api/v1/predict", method="POST", json=body, headers=headers)
    assert (door.status_code, door.content_type) == (flask.status_code, flask.content_type)
    assert without_ids(door.get_json()) == without_ids(flask.get_json())


def without_ids(document: Any) -> Any:
    for item in document.get("predictions", ()):
        assert len(item.pop("id")) == 32
    return document


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_other_methods_are_flasks(client: FlaskClient, method: str) -> None:
    response = client.open("/api/v1/predict", method=method)
    assert response.status_code == (200 if method == "OPTIONS" else 405)
    assert "POST" in response.headers["Allow"]


def test_what_goes_wrong_inside_tells_nothing_of_it(binary_project: Project, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(binary_project, Settings())
    site = app.extensions[KEY]
    site.models.route = lambda rows, **_: rows.nothing_of_the_kind
    response = app.test_client().post("/api/v1/predict", json={"row": a_row()})
    site.close()
    assert response.status_code == 500
    assert response.get_json()["type"] == "/problems/internal"
    assert "nothing_of" not in response.text and "nothing_of" in caplog.text


def test_hot_requests_are_counted_under_their_address(client: FlaskClient) -> None:
    client.post("/api/v1/predict", json={"row": a_row()})
    client.post("/api/v1/predict", json={"row": {}})
    text = client.get("/metrics").text
    assert 'rowsmith_requests_total{method="POST",route="/api/v1/predict",status="200"} 1' in text
    assert 'rowsmith_requests_total{method="POST",route="/api/v1/predict",status="422"} 1' in text


def test_every_hot_answer_has_the_headers(client: FlaskClient) -> None:
    headers = client.post("/api/v1/predict", json={"row": a_row()}).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
