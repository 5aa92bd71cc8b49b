"""MLflow's scoring protocol: every form of rows gets the same answers, those of `rowsmith predict`."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import polars as pl
import pytest
from flask.testing import FlaskClient

from rowsmith.serving.app import create_app
from rowsmith.settings import Settings
from rowsmith.types import JsonObject
from rowsmith.workflows.project import Project
from tests.serving.models import json_rows, loans

PATH = "/invocations"


def csv_of(table: pl.DataFrame) -> str:
    """As Python's own writer quotes it: polars does not double the quotes in a header."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(table.columns)
    writer.writerows(table.with_columns(pl.col("owner").cast(pl.String)).rows())
    return sink.getvalue()


def forms(rows: int = 4) -> dict[str, JsonObject]:
    records = json_rows(loans(rows, seed=9))
    columns = list(records[0])
    lists = [list(row.values()) for row in records]
    by_column = {name: [row[name] for row in records] for name in columns}
    return {
        "split": {"dataframe_split": {"index": list(range(rows)), "columns": columns, "data": lists}},
        "split without index": {"dataframe_split": {"columns": columns, "data": lists}, "params": {"any": 1}},
        "records": {"dataframe_records": records},
        "instances": {"instances": records},
        "instances in order": {"instances": lists},
        "inputs by column": {"inputs": by_column},
        "inputs in one column": {"inputs": {name: [[value] for value in column] for name, column in by_column.items()}},
        "inputs as rows": {"inputs": records},
    }


@pytest.mark.parametrize("form", forms())
@pytest.mark.parametrize("target", ["default", "rate", "amount"])
def test_answers_are_those_of_predict(project_of: dict[str, Project], target: str, form: str) -> None:
    project = project_of[target]
    app = create_app(project, Settings())
    response = app.test_client().post(PATH, json=forms()[form])
    app.extensions["rowsmith"].close()
    assert response.status_code == 200, response.text
    document = response.get_json()
    assert document["predictions"] == project.model().predict_frame(loans(4, seed=9)).to_dicts()
    assert len(document["ids"]) == 4


@pytest.mark.parametrize("content_type", ["text/csv", "text/csv; charset=utf-8; header=present"])
def test_csv_in_and_out(client: FlaskClient, binary_project: Project, content_type: str) -> None:
    table = pl.DataFrame(json_rows(loans(40, seed=9)))
    expected = binary_project.model().predict_frame(loans(40, seed=9))
    body = csv_of(table)
    response = client.post(PATH, data=body, content_type=content_type)
    assert response.get_json()["predictions"] == expected.to_dicts()
    response = client.post(PATH, data=body, content_type=content_type, headers={"Accept": "text/csv"})
    assert pl.read_csv(io.BytesIO(response.data)).equals(expected)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], "one of"),
        ({}, "one of"),
        ({"rows": []}, "one of"),
        ({"instances": [], "inputs": []}, "one of"),
        ({"instances": []}, "empty"),
        ({"instances": {}}, "array"),
        ({"instances": [1]}, "object"),
        ({"instances": [[1, 2]]}, "array of 7 values"),
        ({"instances": [[1] * 7, {}]}, "object"),
        ({"inputs": {}}, "different lengths"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "different lengths"),
        ({"dataframe_split": []}, "columns"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "different names"),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, "different names"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "1 values"),
        ({"dataframe_split": {"columns": ["a"], "data": [1]}}, "a number"),
        ({"dataframe_split": {"columns": ["a"], "data": []}}, "empty"),
        ({"dataframe_records": [{}]}, "6 faults"),
        ({"dataframe_records": [{}] * 20_000}, "at most"),
    ],
)
def test_bad_requests_say_what_is_wrong(client: FlaskClient, document: Any, told: str) -> None:
    response = client.post(PATH, json=document)
    assert response.status_code == 422
    assert told in response.get_json()["detail"]


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"a,b\n", b'a,"b\n1,2', b"a\n1,2,3\n"])
def test_bad_csv_is_refused(client: FlaskClient, body: bytes) -> None:
    assert client.post(PATH, data=body, content_type="text/csv").status_code in {400, 422}


def test_other_types_are_refused(client: FlaskClient) -> None:
    assert client.post(PATH, data=b"x", content_type="application/xml").status_code == 415


def test_ping_and_version(client: FlaskClient, empty_client: FlaskClient) -> None:
    assert client.get("/ping").status_code == 200
    assert empty_client.get("/ping").status_code == 503
    assert client.get("/version").text.count(".") >= 1


def test_nan_is_a_missing_value(client: FlaskClient) -> None:
    """MLflow's own client writes it, though JSON has no such thing."""
    (record,) = json_rows(loans(1, seed=9))
    answers = [
        client.post(
            PATH,
            data=json.dumps({"dataframe_records": [record | {"income": value, "city": "NaN town"}]}),
            content_type="application/json",
        ).get_json()
        for value in (None, float("nan"))
    ]
    assert answers[0]["predictions"] == answers[1]["predictions"]


@pytest.mark.parametrize("body", ["NaN", "[NaN", '{"instances": NaN}', '{"a": NaN, "a": 1}', "[" * 100_000 + "NaN"])
def test_nan_opens_no_other_door(client: FlaskClient, body: str) -> None:
    assert client.post(PATH, data=body, content_type="application/json").status_code in {400, 422}
