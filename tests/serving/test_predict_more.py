"""The rest of /api/v1: Arrow bodies, compression, explanations, named versions, pages of other sites."""

from __future__ import annotations

import gzip
import io
import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pyarrow
import pytest
import zstandard
from flask import Flask
from flask.testing import FlaskClient

from rowsmith.serving.api.arrow import ARROW_TYPE
from rowsmith.serving.app import create_app
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.conftest import closed
from tests.serving.models import a_row, json_rows, loans, make_project, register, train

PREDICT = "/api/v1/predict"
FEATURES = ["income", "age", "purpose", "city", "owner", "opened", 'remark <b>"&']


def stream(frame: pl.DataFrame, **options: object) -> bytes:
    table = frame.to_arrow()
    sink = io.BytesIO()
    with pyarrow.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table)
    return sink.getvalue()


# -- Arrow ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 3, 200])
@pytest.mark.parametrize("target", ["default", "rate", "amount"])
def test_an_arrow_body_gets_what_json_gets(project_of: dict[str, Project], target: str, rows: int) -> None:
    app = create_app(project_of[target], Settings())
    client = app.test_client()
    table = loans(rows, seed=3).select(FEATURES)
    asked_in_json = client.post(PREDICT, json={"rows": json_rows(loans(rows, seed=3))}).get_json()["predictions"]
    for body in (stream(table), stream(table.with_columns(pl.col("purpose").cast(pl.Categorical)))):
        response = client.post(PREDICT, data=body, content_type=ARROW_TYPE)
        assert response.status_code == 200
        got = response.get_json()["predictions"]
        for one, other in zip(got, asked_in_json, strict=True):
            del one["id"]
            assert one == {name: value for name, value in other.items() if name in one}
    app.extensions["rowsmith"].close()


def test_the_answer_is_arrow_where_that_is_accepted(client: FlaskClient, binary_project: Project) -> None:
    table = loans(50, seed=3).select(FEATURES)
    response = client.post(PREDICT, data=stream(table), content_type=ARROW_TYPE, headers={"Accept": ARROW_TYPE})
    assert response.content_type == ARROW_TYPE
    answered = pl.read_ipc_stream(response.data)
    assert pyarrow.ipc.open_stream(response.data).read_all().num_rows == 50
    expected = binary_project.model().predict_frame(table)
    assert answered.drop("id").equals(expected)
    assert answered["id"].n_unique() == 50


def test_faults_of_a_table_name_their_rows(client: FlaskClient) -> None:
    ages = pl.Series(["41"] * 49 + ["old"])
    table = loans(50, seed=3).select(FEATURES).with_columns(age=ages)
    response = client.post(PREDICT, data=stream(table), content_type=ARROW_TYPE)
    assert response.status_code == 422
    assert [(item["row"], item["column"]) for item in response.get_json()["errors"]] == [(49, "age")]


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_stream_that_compresses_its_buffers_is_refused(client: FlaskClient, compression: str) -> None:
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    body = stream(loans(200).select(FEATURES), options=options)
    response = client.post(PREDICT, data=body, content_type=ARROW_TYPE)
    assert response.status_code == 422
    assert "Content-Encoding" in response.get_json()["detail"]


def test_too_many_rows_are_refused_before_they_are_read(binary_project: Project) -> None:
    app = create_app(binary_project, Settings(max_rows=20))
    body = stream(loans(21).select(FEATURES))
    response = app.test_client().post(PREDICT, data=body, content_type=ARROW_TYPE)
    app.extensions["rowsmith"].close()
    assert (response.status_code, "at most 20" in response.get_json()["detail"]) == (422, True)


def test_hostile_streams_are_refused(client: FlaskClient) -> None:
    """Cut anywhere, and changed anywhere, a stream gets an answer or the reason why not, and nothing breaks."""
    dice = random.Random(0)
    body = stream(loans(5).select(FEATURES))
    seen = set()
    for _ in range(400):
        broken = bytearray(body)
        for _ in range(dice.randint(1, 4)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        if dice.random() < 0.3:
            del broken[dice.randrange(len(broken)) :]
        response = client.post(PREDICT, data=bytes(broken), content_type=ARROW_TYPE)
        seen.add(response.status_code)
        assert response.status_code in {200, 400, 422}, response.text
        assert "Traceback" not in response.text and "polars" not in response.text
    assert {200, 400} <= seen


# -- compression ---------------------------------------------------------------------------------------------


def packed(body: bytes, encoding: str) -> bytes:
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }
    return packers[encoding](body)


BODY = b'{"rows": [%s]}' % b",".join([b"{}"] * 10)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_compressed_body_is_expanded(client: FlaskClient, encoding: str) -> None:
    response = client.post(
        PREDICT,
        data=packed(BODY, encoding),
        content_type="application/json",
        headers={"Content-Encoding": encoding.upper()},
    )
    assert response.get_json()["detail"].startswith("60 faults")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_body_that_expands_without_end_is_refused(client: FlaskClient, encoding: str) -> None:
    bomb = packed(bytes(200 << 20), encoding)
    assert len(bomb) < 1 << 20
    response = client.post(PREDICT, data=bomb, content_type="application/json", headers={"Content-Encoding": encoding})
    assert response.status_code == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("body", [b"", b"no such thing", None])
def test_a_damaged_body_is_refused(client: FlaskClient, encoding: str, body: bytes | None) -> None:
    damaged = packed(BODY * 100, encoding)[:-20] if body is None else body
    response = client.post(
        PREDICT, data=damaged, content_type="application/json", headers={"Content-Encoding": encoding}
    )
    assert response.status_code == 400


def test_an_unknown_encoding_is_refused(client: FlaskClient) -> None:
    response = client.post(PREDICT, data=b"{}", content_type="application/json", headers={"Content-Encoding": "br"})
    assert (response.status_code, response.get_json()["type"]) == (415, "/problems/wrong-encoding")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0, gzip;q=0.5", "gzip"),
        ("*", "zstd"),
        ("br", None),
        ("gzip;q=x", None),
        ("identity", None),
    ],
)
def test_large_answers_are_compressed_where_that_is_accepted(
    client: FlaskClient, accepted: str, encoding: str | None
) -> None:
    headers = {"Accept-Encoding": accepted}
    response = client.post(PREDICT, json={"rows": [a_row()] * 50}, headers=headers)
    assert response.headers.get("Content-Encoding") == encoding
    unpackers: dict[str | None, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress,
        "zstd": zstandard.ZstdDecompressor().decompress,
        None: bytes,
    }
    body = unpackers[encoding](response.data)
    assert body.startswith(b'{"model"') and body.count(b'"id"') == 50
    assert int(response.headers["Content-Length"]) == len(response.data)
    small = client.post(PREDICT, json={"row": a_row()}, headers=headers)
    assert "Content-Encoding" not in small.headers
    head = client.head("/openapi.json", headers=headers)
    assert head.data == b""
    with client.get("/static/rowsmith.css", headers=headers) as sheet:
        assert sheet.data


# -- explanations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["default", "rate", "amount"])
def test_contributions_add_up_to_the_answer(project_of: dict[str, Project], target: str) -> None:
    app = create_app(project_of[target], Settings())
    response = app.test_client().post(f"{PREDICT}?explain=true", json={"rows": [a_row(), a_row(age=70)]})
    app.extensions["rowsmith"].close()
    for item in response.get_json()["predictions"]:
        explanation = item["explanation"]
        whole = explanation["base"] + sum(explanation["contributions"].values())
        assert whole == pytest.approx(explanation["answer"], abs=1e-9)
        if target == "amount":
            assert explanation["answer"] == item["prediction"]
        else:
            assert explanation["answer"] == item["probabilities"][explanation["label"]]
        assert set(explanation["contributions"]) <= {*FEATURES, "other columns"}


def test_explanations_are_bounded(client: FlaskClient) -> None:
    assert client.post(f"{PREDICT}?explain=true", json={"rows": [a_row()] * 101}).status_code == 422
    assert client.post(f"{PREDICT}?explain=perhaps", json={"row": a_row()}).status_code == 422
    plain = client.post(f"{PREDICT}?explain=false", json={"row": a_row()}).get_json()
    assert "explanation" not in plain["predictions"][0]


# -- models and versions -------------------------------------------------------------------------------------


@pytest.fixture
def two_versions(tmp_path: Path) -> Iterator[tuple[Flask, Project]]:
    project = make_project(tmp_path, "default")
    register(project, train("default", seed=5), champion=False)
    app = create_app(project, Settings())
    yield app, project
    closed(app)


def test_a_version_can_be_named(two_versions: tuple[Flask, Project]) -> None:
    app, project = two_versions
    client = app.test_client()
    for path, number in (
        ("/api/v1/models/loans/predict", 1),
        ("/api/v1/models/loans/versions/1/predict", 1),
        ("/api/v1/models/loans/versions/2/predict", 2),
        ("/api/v1/models/loans/versions/champion/predict", 1),
    ):
        answer = client.post(path, json={"row": a_row()}).get_json()
        assert answer["model"] == {"name": "loans", "version": number}, path
        expected = project.model(number).predict_row(a_row()).to_dict()
        assert answer["predictions"][0]["probabilities"] == expected["probabilities"]
    for path in ("/api/v1/models/other/predict", "/api/v1/models/loans/versions/3/predict"):
        assert client.post(path, json={"row": a_row()}).status_code == 404
    assert set(project.log.window("loans").entries["role"].to_list()) == {"champion", "named"}


# -- pages of other sites ------------------------------------------------------------------------------------


def test_no_other_site_may_ask_unless_it_is_named(binary_project: Project) -> None:
    origin = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    preflight = origin | {"Access-Control-Request-Method": "POST"}
    for origins, allowed in (((), False), (("https://app.example",), True), (("https://other.example",), False)):
        app = create_app(binary_project, Settings(cors_origins=origins))
        client = app.test_client()
        asked = client.options(PREDICT, headers=preflight)
        answered = client.post(PREDICT, json={"row": a_row()}, headers=origin)
        form = client.post("/predict", data={}, headers=origin)
        app.extensions["rowsmith"].close()
        named = "https://app.example" if allowed else None
        assert asked.headers.get("Access-Control-Allow-Origin") == named
        assert ("POST" in asked.headers.get("Access-Control-Allow-Methods", "")) == allowed
        assert answered.headers.get("Access-Control-Allow-Origin") == named
        assert answered.status_code == (200 if allowed else 403)
        assert form.status_code == 403, "pages are for this site alone"
        assert "Access-Control-Allow-Credentials" not in answered.headers


def test_a_length_beyond_all_numbers_is_no_fault_of_the_server(client: FlaskClient) -> None:
    response = client.post("/api/v1/predict", json={"row": a_row()}, environ_overrides={"CONTENT_LENGTH": "9" * 5000})
    assert 400 <= response.status_code < 500
