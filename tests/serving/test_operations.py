"""/health, /metrics, /openapi.json, the listings and the labels."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from rowsmith.recipe import Recipe
from rowsmith.schema import Policies
from rowsmith.serving.api.openapi_rows import feedback
from rowsmith.serving.app import create_app
from rowsmith.serving.services import KEY
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.conftest import closed
from tests.serving.models import NAME, a_row, make_project, register, train


def test_health_tells_who_answers(client: FlaskClient, empty_client: FlaskClient) -> None:
    response = client.get("/health")
    assert response.get_json() == {"live": True, "ready": True, "model": "loans", "version": 1}
    assert response.headers["Cache-Control"] == "no-store"
    response = empty_client.get("/health")
    assert (response.status_code, response.get_json()) == (503, {"live": True, "ready": False})


def test_models_and_versions_are_listed(client: FlaskClient) -> None:
    assert client.get("/api/v1/models").get_json() == {"models": [{"name": "loans", "champion": 1}]}
    listed = client.get("/api/v1/models/loans/versions").get_json()
    (version,) = listed["versions"]
    assert listed["name"] == "loans"
    assert version["champion"] is True and version["metric"] == "roc_auc" and version["score"] > 0.5
    response = client.get("/api/v1/models/nobody/versions")
    assert (response.status_code, response.get_json()["type"]) == (404, "/problems/not-found")


def test_listings_of_an_empty_store(empty_client: FlaskClient, tmp_path: Path) -> None:
    assert empty_client.get("/api/v1/models").get_json() == {"models": []}
    assert empty_client.get("/api/v1/models/loans/versions").status_code == 404
    assert not list(tmp_path.iterdir()), "looking must not make a store"


def test_outcomes_are_joined_by_id(tmp_path: Path) -> None:
    project = make_project(tmp_path, "default")
    app = create_app(project, Settings())
    client = app.test_client()
    items = client.post("/api/v1/predict", json={"rows": [a_row(), a_row()]}).get_json()["predictions"]
    body = {"labels": [{"id": items[0]["id"], "label": "yes"}, {"id": "unknown", "label": "no"}]}
    outcome = client.post("/api/v1/labels", json=body).get_json()
    assert outcome["added"] == 1
    assert outcome["unknown"] == ["unknown"]
    assert client.post("/api/v1/labels", json=body).get_json()["unchanged"] == 1
    entries = project.log.window("loans").entries
    assert dict(zip(entries["id"], entries["label"], strict=True)) == {items[0]["id"]: "yes", items[1]["id"]: None}
    wrong = {"labels": [{"id": items[0]["id"], "label": "no"}, {"id": items[1]["id"], "label": "perhaps"}]}
    response = client.post("/api/v1/labels", json=wrong)
    assert response.status_code == 422 and "perhaps" in response.get_data(as_text=True)
    entries = project.log.window("loans").entries
    assert "no" not in entries["label"].to_list(), "one wrong label, and none is kept"
    closed(app)


@pytest.mark.parametrize(
    ("labels", "pointer"),
    [
        ([{"id": "a"}], "/labels/0"),
        ([{"id": 3, "label": "yes"}], "/labels/0/id"),
        ([{"id": "", "label": "yes"}], "/labels/0/id"),
        ([{"id": "a", "label": "yes"}, {"id": "b", "label": None}], "/labels/1/label"),
        ([{"id": "a", "label": ["yes"]}], "/labels/0/label"),
        (["a"], "/labels/0"),
    ],
)
def test_bad_labels_are_named(client: FlaskClient, labels: Any, pointer: str) -> None:
    response = client.post("/api/v1/labels", json={"labels": labels})
    assert response.status_code == 422
    assert response.get_json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("body", [{}, {"labels": []}, {"labels": {}}, {"rows": []}])
def test_labels_of_another_shape(client: FlaskClient, body: Any) -> None:
    assert client.post("/api/v1/labels", json=body).status_code == 422


def test_metrics_count_requests_predictions_and_time(binary_project: Project) -> None:
    app = create_app(binary_project, Settings())
    client = app.test_client()
    client.post("/api/v1/predict", json={"rows": [a_row()] * 3})
    client.post("/api/v1/predict", json={"rows": []})
    client.get("/api/v1/predict")
    client.get("/wp-admin/setup.php")
    text = client.get("/metrics").text
    assert 'rowsmith_model_info{name="loans",version="1",task="binary"} 1' in text
    assert 'rowsmith_requests_total{method="POST",route="/api/v1/predict",status="200"} 1' in text
    assert 'rowsmith_requests_total{method="POST",route="/api/v1/predict",status="422"} 1' in text
    assert 'rowsmith_requests_total{method="GET",route="unknown",status="404"} 1' in text
    assert "wp-admin" not in text
    given = re.findall(r'rowsmith_predictions_total\{model="loans",version="1",class="(?:yes|no)"\} (\d+)', text)
    assert sum(map(int, given)) == 3
    assert 'rowsmith_request_duration_seconds_bucket{route="/api/v1/predict",le="+Inf"} 2' in text
    assert 'rowsmith_request_duration_seconds_count{route="/api/v1/predict"} 2' in text
    app.extensions[KEY].close()


def test_metrics_in_both_formats(client: FlaskClient) -> None:
    client.get("/health")
    plain = client.get("/metrics")
    assert plain.content_type.startswith("text/plain; version=0.0.4")
    assert "# TYPE rowsmith_requests_total counter" in plain.text
    assert "# EOF" not in plain.text
    newer = client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert newer.content_type.startswith("application/openmetrics-text")
    assert "# TYPE rowsmith_requests counter" in newer.text
    assert newer.text.endswith("# EOF\n")


def refs(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [node["$ref"]] if "$ref" in node else [ref for item in node.values() for ref in refs(item)]
    return [ref for item in node for ref in refs(item)] if isinstance(node, list) else []


@pytest.mark.parametrize("target", ["default", "rate", "amount"])
def test_the_openapi_document_is_whole_and_its_examples_work(project_of: dict[str, Project], target: str) -> None:
    app = create_app(project_of[target], Settings())
    client = app.test_client()
    document = client.get("/openapi.json").get_json()
    assert document["openapi"].startswith("3.1")
    for ref in refs(document):
        node = document
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]
    examples = document["paths"]["/api/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        response = client.post("/api/v1/predict", json=example["value"])
        assert response.status_code == 200
        assert all("warnings" not in item for item in response.get_json()["predictions"])
    for path, operations in document["paths"].items():
        if path == "/invocations" or path.endswith("/infer"):
            address = path.format(name=NAME, ref="champion")
            content = operations["post"]["requestBody"]["content"]["application/json"]
            for example in content["examples"].values():
                response = client.post(address, json=example["value"])
                assert response.status_code == 200 and "warnings" not in response.text, response.text
    rules = {re.sub("<(\\w+?)_?>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()}
    assert set(document["paths"]) <= rules
    assert {rule for rule in rules if rule.startswith(("/v2", "/invocations", "/ping", "/version"))} <= set(
        document["paths"]
    )
    app.extensions[KEY].close()


def test_the_level_of_intervals_is_told(tmp_path: Path) -> None:
    model = train("amount")
    recipe = Recipe.from_dict({"name": NAME, "target": {"column": "amount"}, "train": {"interval": 0.75}})
    project = make_project(tmp_path)
    register(project, replace(model, recipe=recipe))
    app = create_app(project, Settings())
    client = app.test_client()
    prediction = client.get("/openapi.json").get_json()["components"]["schemas"]["Prediction"]
    outputs = client.get("/v2/models/loans").get_json()["outputs"]
    closed(app)
    assert "0.75 of the true values" in prediction["properties"]["interval"]["description"]
    assert {item["name"]: item["parameters"] for item in outputs if "parameters" in item} == {
        "low": {"coverage": 0.75},
        "high": {"coverage": 0.75},
    }


def test_the_row_is_typed_by_the_models_schema(client: FlaskClient) -> None:
    row = client.get("/openapi.json").get_json()["components"]["schemas"]["Row"]
    age, owner, purpose = (row["properties"][name] for name in ("age", "owner", "purpose"))
    assert age["anyOf"][0] == {"type": "number"} and {"enum": [None, ""], "title": "missing"} in age["anyOf"]
    assert "18 to 79" in age["description"] and age["examples"] == [45]
    assert owner["anyOf"][0] == {"type": "boolean"}
    assert purpose["anyOf"][0]["enum"] == ["car", "home", "school", "travel"]
    assert {"type": "string"} in purpose["anyOf"]
    assert "2024-01-01" in row["properties"]["opened"]["description"]
    assert "income" not in row["required"] and "age" in row["required"]
    assert "default" not in row["properties"]
    assert row["additionalProperties"] is True


def test_strict_policies_make_a_strict_document(tmp_path: Path) -> None:
    policies = Policies(unknown_column="error", unseen_category="error", missing_value="error")
    app = create_app(make_project(tmp_path, "default", policies=policies), Settings())
    row = app.test_client().get("/openapi.json").get_json()["components"]["schemas"]["Row"]
    assert row["properties"]["purpose"]["enum"] == ["car", "home", "school", "travel"]
    assert "missing" not in [item.get("title") for item in row["properties"]["age"]["anyOf"]]
    assert "missing" in [item.get("title") for item in row["properties"]["income"]["anyOf"]]
    assert row["additionalProperties"] is False
    closed(app)


def test_no_document_without_a_model(empty_client: FlaskClient) -> None:
    assert empty_client.get("/openapi.json").status_code == 503


def test_labels_that_are_called_like_numbers_are_described() -> None:
    model = train("rate")
    model = replace(model, schema=replace(model.schema, labels=("1", "NaN", "inf", "1e999")))
    label = feedback(model, 10)["LabelsRequest"]["properties"]["labels"]["items"]["properties"]["label"]
    assert label["enum"] == ["1", 1, "NaN", "inf", "1e999"]
