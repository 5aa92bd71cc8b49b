"""The Open Inference Protocol: what clients of KServe and Triton send, and the very bits of `rowsmith predict`."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from rowsmith.model import TrainedModel
from rowsmith.serving.app import create_app
from rowsmith.serving.protocols.tensors import DATATYPES, DTYPES, read_tensor, write_tensor
from rowsmith.settings import Settings
from rowsmith.types import JsonObject
from rowsmith.workflows.project import Project
from tests.serving.models import json_rows, loans

INFER = "/v2/models/loans/infer"
LENGTH = "Inference-Header-Content-Length"


def tensors(rows: int = 3, *, binary: bool = False) -> tuple[list[JsonObject], bytes]:
    """A tensor for each column of made-up loans, as clients make them."""
    table = pl.DataFrame(json_rows(loans(rows, seed=9)))
    inputs: list[JsonObject] = []
    raw = b""
    for column in table:
        datatype = {pl.Float64: "FP64", pl.Int64: "INT64", pl.Boolean: "BOOL"}.get(type(column.dtype), "BYTES")
        item: JsonObject = {"name": column.name, "datatype": datatype, "shape": [rows]}
        if binary:
            part = bytes_of(column.to_list(), datatype)
            item["parameters"] = {"binary_data_size": len(part)}
            raw += part
        else:
            item["data"] = column.to_list()
        inputs.append(item)
    return inputs, raw


def bytes_of(values: list[Any], datatype: str) -> bytes:
    if datatype == "BYTES":
        texts = ["" if value is None else value for value in values]
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    return np.array([np.nan if value is None else value for value in values], dtype=DTYPES[datatype]).tobytes()


def send(client: FlaskClient, document: Any, raw: bytes = b"", path: str = INFER) -> TestResponse:
    text = json.dumps(document).encode()
    headers = {LENGTH: str(len(text))} if raw else {}
    return client.post(path, data=text + raw, headers=headers, content_type="application/octet-stream")


def expected(model: TrainedModel, rows: int = 3) -> pl.DataFrame:
    return model.predict_frame(loans(rows, seed=9))


def answered(response: TestResponse) -> tuple[JsonObject, dict[str, list[Any]]]:
    """The document, and the values of each output wherever they stand."""
    assert response.status_code == 200, response.text
    length = response.headers.get(LENGTH)
    text, raw = (response.data, b"") if length is None else (response.data[: int(length)], response.data[int(length) :])
    document = json.loads(text)
    values = {}
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        part, raw = (None, raw) if size is None else (raw[:size], raw[size:])
        tensor = read_tensor(output, part, "")
        values[output["name"]] = list(tensor.values)
    assert raw == b""
    return document, values


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("target", ["default", "rate", "amount"])
def test_answers_are_those_of_predict_bit_for_bit(
    project_of: dict[str, Project], target: str, rows: int, binary: bool
) -> None:
    project = project_of[target]
    app = create_app(project, Settings())
    inputs, raw = tensors(rows, binary=binary)
    document: JsonObject = {"id": "mine", "inputs": inputs, "parameters": {"binary_data_output": binary}}
    said, values = answered(send(app.test_client(), document, raw))
    app.extensions["rowsmith"].close()
    assert (said["model_name"], said["model_version"], said["id"]) == ("loans", "1", "mine")
    assert len(set(values.pop("id"))) == rows
    frame = expected(project.model(), rows)
    assert {name: column.to_list() for name, column in zip(frame.columns, frame, strict=True)} == values
    assert all(output["shape"] == [rows] for output in said["outputs"])


def test_outputs_are_chosen_one_by_one(client: FlaskClient, binary_project: Project) -> None:
    outputs = [{"name": "probability_yes", "parameters": {"binary_data": True}}, {"name": "prediction"}]
    response = send(client, {"inputs": tensors()[0], "outputs": outputs})
    document, values = answered(response)
    assert [output["name"] for output in document["outputs"]] == ["probability_yes", "prediction"]
    assert "data" not in document["outputs"][0] and "data" in document["outputs"][1]
    assert values["probability_yes"] == expected(binary_project.model())["probability_yes"].to_list()


def test_one_tensor_may_hold_all_columns(tmp_path: Path) -> None:
    project, table = numbers_project(tmp_path)
    app = create_app(project, Settings())
    wide = {"name": "x", "datatype": "FP64", "shape": [5, 3], "data": table.select("a", "b", "c").rows()}
    _, values = answered(send(app.test_client(), {"inputs": [wide]}, path="/v2/models/model/infer"))
    app.extensions["rowsmith"].close()
    project.log.close()
    project.database.close()
    assert values["prediction"] == project_predictions(project, table)


def numbers_project(root: Path) -> tuple[Project, pl.DataFrame]:
    from rowsmith.recipe import Recipe
    from rowsmith.workflows.project import open_project
    from rowsmith.workflows.run import run

    rng = np.random.default_rng(0)
    table = pl.DataFrame({name: rng.normal(size=80) for name in "abc"}).with_columns(y=pl.col("a") * 2 + pl.col("b"))
    recipe = Recipe.from_dict({"target": {"column": "y"}, "train": {"max_trials": 1, "families": ["linear"]}})
    project = open_project(root).with_recipe(recipe)
    run(project, table)
    if project.registry.champion("model") is None:
        project.registry.promote("model", 1, reason="the only one", actor="a test")
    return project, table.head(5)


def project_predictions(project: Project, table: pl.DataFrame) -> list[float]:
    predictions: list[float] = project.model().predict(table).to_list()
    return predictions


def test_what_there_is_is_told(client: FlaskClient) -> None:
    assert client.get("/v2").get_json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").get_json() == {"live": True}
    assert client.get("/v2/health/ready").get_json() == {"ready": True}
    for path in ("/v2/models/loans", "/v2/models/loans/versions/1"):
        document = client.get(path).get_json()
        assert (document["name"], document["versions"], document["platform"]) == ("loans", ["1"], "rowsmith")
        types = {item["name"]: item["datatype"] for item in document["inputs"]}
        assert types["age"] == "FP64" and types["owner"] == "BOOL" and types["opened"] == "BYTES"
        assert [item["name"] for item in document["outputs"]][:2] == ["id", "prediction"]
        assert client.get(f"{path}/ready").status_code == 200
    for path in ("/v2/models/other", "/v2/models/loans/versions/7", "/v2/models/loans/versions/7/ready"):
        response = client.get(path)
        assert response.status_code == 404 and response.get_json()["error"]


def test_without_a_model_it_lives_but_is_not_ready(empty_client: FlaskClient) -> None:
    assert empty_client.get("/v2/health/live").status_code == 200
    assert empty_client.get("/v2/health/ready").status_code == 503
    assert send(empty_client, {"inputs": tensors()[0]}, path="/v2/models/model/infer").status_code == 503


def changed(column: str, **changes: Any) -> JsonObject:
    return {"inputs": [item | (changes if item["name"] == column else {}) for item in tensors()[0]]}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], "inputs"),
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [1]}, "objects"),
        ({"inputs": tensors()[0], "outputz": 1}, "outputz"),
        ({"inputs": tensors()[0], "outputs": [{"name": "nothing"}]}, "there is no output"),
        ({"inputs": tensors()[0], "outputs": [1]}, "outputs"),
        ({"inputs": tensors()[0], "parameters": {"binary_data_output": 1}}, "true or false"),
        ({"inputs": tensors()[0] * 2}, "same name"),
        (changed("age", name=1), "name"),
        (changed("age", datatype="FP128"), "FP128"),
        (changed("age", datatype=["FP64"]), "FP64"),
        (changed("age", shape=[2]), "2 values, but there are 3"),
        (changed("age", shape=[-3]), "whole numbers"),
        (changed("age", shape=[1e9]), "whole numbers"),
        (changed("age", shape=[3, 1, 1]), "must be [3]"),
        (changed("age", shape="3"), "whole numbers"),
        (changed("age", data="abc"), "data"),
        (changed("age", data=[1, 2, {}]), "data"),
        (changed("age", data=[1, 2, "3"]), "not a value of type INT64"),
        (changed("age", data=[1, 2, True]), "not a value of type INT64"),
        (changed("city", data=["a", "b", 3]), "not a value of type BYTES"),
        (changed("age", data=[1, 2, 10**30]), "range"),
        (changed("age", parameters={"binary_data_size": -1}), "number of bytes"),
        (changed("age", parameters={"binary_data_size": 24}), "end before"),
        (changed("opened", data=["a", "b", "c"]), "3 faults"),
    ],
)
def test_bad_requests_say_what_is_wrong(client: FlaskClient, document: Any, told: str) -> None:
    response = send(client, document)
    assert response.status_code in {400, 422}
    assert told in response.get_json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "999999999", "0", "1e3", ""])
def test_a_wrong_length_of_the_json_is_refused(client: FlaskClient, length: str) -> None:
    response = client.post(INFER, data=json.dumps({"inputs": tensors()[0]}), headers={LENGTH: length})
    assert response.status_code in {400, 422}


def test_bytes_that_belong_to_nobody_are_refused(client: FlaskClient) -> None:
    inputs, raw = tensors(binary=True)
    assert "belong to no input" in send(client, {"inputs": inputs}, raw + b"1").get_json()["error"]
    for cut in range(1, len(raw), 7):
        assert send(client, {"inputs": inputs}, raw[:-cut]).status_code == 400


@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_is_read(datatype: str) -> None:
    raw: bytes
    values: list[Any]
    if datatype == "BYTES":
        raw, values = bytes_of(["\u00e9", ""], datatype), ["\u00e9", ""]
    elif datatype == "BF16":
        raw, values = np.array([1.5, -2.0], dtype=np.float32).view(np.uint32).astype(np.uint32).tobytes(), [1.5, -2.0]
        raw = (np.frombuffer(raw, dtype=np.uint32) >> 16).astype("<u2").tobytes()
    else:
        values = [True, False] if datatype == "BOOL" else [1, 0]
        raw = bytes_of(values, datatype)
    tensor = read_tensor({"name": "x", "datatype": datatype, "shape": [2]}, raw, "")
    assert list(tensor.values) == values


def test_text_and_numbers_come_back_as_they_were_written() -> None:
    for column in (pl.Series("x", ["a", "", "\u20ac" * 300]), pl.Series("x", [0.1, 1e-320, -5e300])):
        for binary in (False, True):
            document, raw = write_tensor(column, binary=binary)
            assert list(read_tensor(document, raw if binary else None, "").values) == column.to_list()


def test_requests_are_kept_like_any_other(binary_project: Project) -> None:
    app: Flask = create_app(binary_project, Settings())
    before = binary_project.log.summary("loans").predictions
    _, values = answered(send(app.test_client(), {"inputs": tensors()[0]}))
    window = binary_project.log.window("loans")
    app.extensions["rowsmith"].close()
    assert binary_project.log.summary("loans").predictions == before + 3
    assert set(values["id"]) <= set(window.entries["id"].to_list())
