"""POST /api/v1/predict: answers, and every way a request can be wrong."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from rowsmith.monitoring import log_journal
from rowsmith.schema import Policies
from rowsmith.serving.app import create_app
from rowsmith.serving.services import KEY
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.conftest import closed
from tests.serving.models import a_row, loans, make_project

PREDICT = "/api/v1/predict"


def ask(client: FlaskClient, body: bytes | str, content_type: str = "application/json") -> TestResponse:
    return client.post(PREDICT, data=body, content_type=content_type)


def test_one_row_and_many_are_answered_in_order(client: FlaskClient, binary_project: Project) -> None:
    model = binary_project.model()
    rows = [a_row(age=20 + i) for i in range(5)]
    answer = client.post(PREDICT, json={"rows": rows}).get_json()
    assert answer["model"] == {"name": "loans", "version": 1}
    expected = [model.predict_row(row).to_dict() for row in rows]
    assert [{key: item[key] for key in item if key != "id"} for item in answer["predictions"]] == expected
    ids = [item["id"] for item in answer["predictions"]]
    assert len(set(ids)) == 5
    alone = client.post(PREDICT, json={"row": rows[2]}).get_json()["predictions"]
    assert alone[0]["probabilities"] == answer["predictions"][2]["probabilities"]
    assert alone[0]["id"][:12] >= ids[0][:12]


@pytest.mark.parametrize("target", ["default", "rate", "amount"])
def test_every_task_answers_in_its_own_shape(project_of: dict[str, Project], target: str) -> None:
    app = create_app(project_of[target], Settings())
    (item,) = app.test_client().post(PREDICT, json={"row": a_row()}).get_json()["predictions"]
    app.extensions[KEY].close()
    if target == "amount":
        assert item.keys() == {"id", "prediction", "interval"}
        assert item["interval"][0] < item["prediction"] < item["interval"][1]
    else:
        assert item.keys() == {"id", "prediction", "probabilities"}
        assert sum(item["probabilities"].values()) == pytest.approx(1)
        assert item["prediction"] in item["probabilities"]


def test_a_departure_that_policies_let_pass_is_told_of_its_own_row(client: FlaskClient) -> None:
    rows = [a_row(), a_row(purpose="boat"), a_row(age=200)]
    items = client.post(PREDICT, json={"rows": rows}).get_json()["predictions"]
    assert "warnings" not in items[0]
    assert "boat" in items[1]["warnings"][0]
    assert "200" in items[2]["warnings"][0]


def test_every_fault_of_every_row_is_listed(client: FlaskClient) -> None:
    broken = a_row(age="old", owner="perhaps")
    broken.pop("purpose")
    response = client.post(PREDICT, json={"rows": [a_row(), broken, a_row(opened="yesterday")]})
    assert response.status_code == 422
    assert response.content_type == "application/problem+json"
    problem = response.get_json()
    assert problem["type"] == "/problems/invalid-rows"
    assert problem["status"] == 422
    assert {(item["row"], item["column"], item["code"]) for item in problem["errors"]} == {
        (1, "age", "wrong_type"),
        (1, "owner", "wrong_type"),
        (1, "purpose", "missing_column"),
        (2, "opened", "wrong_type"),
    }
    age = next(item for item in problem["errors"] if item["column"] == "age")
    assert age["pointer"] == "/rows/1/age"
    assert age["received"] == '"old"'
    assert "18 to 79" in age["allowed"]


def test_faults_are_listed_up_to_a_limit_and_counted(client: FlaskClient) -> None:
    problem = client.post(PREDICT, json={"rows": [a_row(age="x")] * 300}).get_json()
    assert len(problem["errors"]) == 100
    assert problem["errors_total"] == 300


ROW = '{"income":1.5,"age":41,"purpose":"car","city":"city 01","owner":true,"opened":"2024-05-17","remark <b>\\"&":"a"}'


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ("", 400, "not JSON"),
        ("{", 400, "not JSON"),
        (b'{"row": {"age": "\xff"}}', 400, "not JSON"),
        ('{"row": {"age": NaN}}', 400, "not JSON"),
        ('{"row": {"age": Infinity}}', 400, "not JSON"),
        ('{"row": {"age": 1e400}}', 400, "not JSON"),
        ('{"row": {"age": 01}}', 400, "not JSON"),
        ('{"row": {"age": 1},}', 400, "not JSON"),
        ("[" * 100_000, 400, "not JSON"),
        ('{"row":' * 5_000 + "1" + "}" * 5_000, 400, "not JSON"),
        ('{"row": {"age": ' + "[" * 500 + "]" * 500 + "}}", 400, "deeper than 32"),
        ('{"row": {"age": ' + '{"a":' * 900 + '{"b": 1, "b": 2}' + "}" * 900 + "}}", 400, "deeper than 32"),
        ('{"row": {"age": 1, "age": 2}}', 400, "twice: age"),
        ('{"row": {"age": 1}, "row": {}}', 400, "twice: row"),
        ('{"row": {"a\\u0067e": 1, "age": 2}}', 400, "twice: age"),
        ("[]", 422, "an array"),
        ("null", 422, "null"),
        ('"rows"', 422, "a string"),
        ("{}", 422, "either"),
        ('{"rows": [], "row": {}}', 422, "either"),
        ('{"rows": []}', 422, "empty"),
        ('{"rows": {}}', 422, "an object"),
        ('{"rows": [1, {}, null]}', 422, "every row"),
        ('{"row": [1]}', 422, "every row"),
        ('{"instances": []}', 422, "alone"),
        ('{"row": {}}', 422, "6 faults"),
        (ROW.join(['{"row": ', "}"]).replace("41", "[41]"), 422, "1 fault"),
        (ROW.join(['{"row": ', "}"]).replace("41", '{"a": 1}'), 422, "1 fault"),
        (ROW.join(['{"row": ', "}"]).replace('"car"', '["car"]'), 422, "1 fault"),
    ],
)
def test_bad_requests_are_refused_with_the_reason(
    client: FlaskClient, body: str | bytes, status: int, told: str
) -> None:
    response = ask(client, body)
    assert response.status_code == status
    problem = response.get_json()
    assert response.content_type == "application/problem+json"
    assert told in problem["detail"]
    assert problem["title"] and problem["next_step"]


def test_shape_faults_name_each_item(client: FlaskClient) -> None:
    problem = ask(client, '{"rows": [1, {}, null]}').get_json()
    assert [item["pointer"] for item in problem["errors"]] == ["/rows/0", "/rows/2"]


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp"])
def test_only_json_is_taken(client: FlaskClient, content_type: str) -> None:
    response = ask(client, '{"row": {}}', content_type)
    assert response.status_code == 415
    assert "application/json" in response.get_json()["detail"]


def test_a_charset_may_be_named(client: FlaskClient) -> None:
    assert ask(client, ROW.join(['{"row": ', "}"]), "application/json; charset=utf-8").status_code == 200


def test_a_body_that_ends_too_soon_is_not_answered(client: FlaskClient) -> None:
    """Though what came would be JSON. Granian hands over what came before the client hung up."""
    short = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "9999"}
    response = client.post(
        PREDICT, data=ROW.join(['{"row": ', "}"]), content_type="application/json", environ_overrides=short
    )
    assert response.status_code == 400 and "ended before" in response.get_json()["detail"]


def test_another_method_is_told_the_right_one(client: FlaskClient) -> None:
    response = client.get(PREDICT)
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]
    assert response.content_type == "application/problem+json"


def test_limits_of_body_and_rows(binary_project: Project) -> None:
    app = create_app(binary_project, Settings(max_rows=3, max_body_mb=1))
    client = app.test_client()
    response = client.post(PREDICT, json={"rows": [a_row()] * 4})
    assert (response.status_code, response.get_json()["type"]) == (422, "/problems/invalid-request")
    assert "at most 3" in response.get_json()["detail"]
    response = client.post(PREDICT, json={"row": a_row(city="x" * 1_100_000)})
    assert (response.status_code, response.get_json()["type"]) == (413, "/problems/too-large")
    chunked = client.post(
        PREDICT,
        input_stream=io.BytesIO(b'{"row": {}}' + b" " * (1 << 20)),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert (chunked.status_code, chunked.get_json()["type"]) == (413, "/problems/too-large")
    app.extensions[KEY].close()


def test_extreme_but_valid_values_are_answered(client: FlaskClient) -> None:
    extreme: list[Any] = [1e308, -1e308, 5e-324, 10**30, -0.0, 2**63, "1e3", True]
    response = client.post(PREDICT, json={"rows": [a_row(income=value) for value in extreme]})
    assert response.status_code == 200
    assert len(response.get_json()["predictions"]) == len(extreme)


def test_what_was_answered_is_in_the_log_and_refusals_are_counted(tmp_path: Any) -> None:
    project = make_project(tmp_path, "default")
    app = create_app(project, Settings())
    client = app.test_client()
    items = client.post(PREDICT, json={"rows": [a_row(), a_row(age=33)]}).get_json()["predictions"]
    client.post(PREDICT, json={"rows": [a_row(age="x", owner="y"), a_row(), a_row(age="z")]})
    now = datetime.now(UTC)
    window = project.log.window("loans", now - timedelta(minutes=5), now + timedelta(minutes=5))
    assert window.entries["id"].to_list() == [item["id"] for item in items]
    assert window.entries["source"].to_list() == ["api", "api"]
    assert window.inputs["age"].to_list() == [41.0, 33.0]
    assert window.answers["probability_yes"].to_list() == [item["probabilities"]["yes"] for item in items]
    assert project.log.summary("loans").errors == 2
    closed(app)


def test_nothing_is_kept_where_the_log_is_off(tmp_path: Any) -> None:
    project = make_project(tmp_path, "default")
    app = create_app(project, Settings(log_predictions=False))
    assert app.test_client().post(PREDICT, json={"row": a_row()}).status_code == 200
    assert project.log.summary("loans").predictions == 0
    closed(app)


def test_without_a_durable_log_there_is_no_answer(
    tmp_path: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_journal, "PATIENCE_SECONDS", 0.5)
    project = make_project(tmp_path, "default")
    app = create_app(project, Settings())
    client = app.test_client()
    assert client.post(PREDICT, json={"row": a_row()}).status_code == 200
    with project.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE rowsmith_predictions RENAME TO elsewhere")
    deadline = time.monotonic() + 20
    # The journal takes what the database will surely take a moment later; here it does not.
    while (response := client.post(PREDICT, json={"row": a_row()})).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (response.status_code, response.get_json()["type"]) == (503, "/problems/store-unavailable")
    assert str(tmp_path) not in response.text and "rowsmith_predictions" not in response.text
    with project.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO rowsmith_predictions")
    given = project.log.window("loans").entries.height
    while client.post(PREDICT, json={"row": a_row()}).status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert project.log.window("loans").entries.height == given + 1
    closed(app)


def test_before_the_first_training(empty_client: FlaskClient) -> None:
    response = empty_client.post(PREDICT, json={"row": {}})
    assert (response.status_code, response.get_json()["type"]) == (503, "/problems/no-model")
    assert "rowsmith run" in response.get_json()["next_step"]


def test_strict_policies_are_enforced(tmp_path: Any) -> None:
    project = make_project(
        tmp_path, "default", policies=Policies(unknown_column="error", unseen_category="error", missing_value="error")
    )
    app = create_app(project, Settings())
    problem = app.test_client().post(PREDICT, json={"row": a_row(purpose="boat", age=None, agee=3)}).get_json()
    assert {(item["column"], item["code"]) for item in problem["errors"]} == {
        ("purpose", "unseen_category"),
        ("age", "missing_value"),
        ("agee", "unknown_column"),
    }
    closed(app)


def test_no_answer_tells_of_the_inside(app: Flask, binary_project: Project) -> None:
    client = app.test_client()
    for body in ("{", '{"row": {}}', '{"row": {"age": "../../etc/passwd"}}', '{"row": {"<script>": 1}}'):
        text = ask(client, body).text
        assert "Traceback" not in text and ".py" not in text and str(binary_project.root) not in text


def test_a_thousand_rows_give_the_bits_of_the_batch(client: FlaskClient, binary_project: Project) -> None:
    from tests.serving.models import json_rows

    table = loans(1000, seed=9)
    expected = binary_project.model().predict_frame(table)
    items = client.post(PREDICT, json={"rows": json_rows(table)}).get_json()["predictions"]
    assert [item["probabilities"]["yes"] for item in items] == expected["probability_yes"].to_list()
    assert [item["prediction"] for item in items] == expected["prediction"].to_list()
