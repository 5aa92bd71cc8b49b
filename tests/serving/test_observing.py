"""What operators see of a server: metrics, traces and logs; and that none of them holds what was asked."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

from rowsmith.errors import SettingsError, StorageError
from rowsmith.serving.app import create_app
from rowsmith.serving.logs import JsonLines, TextLines
from rowsmith.serving.services import KEY
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.conftest import closed

SECRET = "Zwiebelkuchen-77"
"""Stands for a value of a row; it must not be found anywhere but in the prediction log."""
ROW = {"income": 31415.9265, "age": 44, "purpose": "car", "city": SECRET, "owner": True, "opened": "2024-05-06"}
ROW['remark <b>"&'] = f"{SECRET} was late"
JSON = {"Content-Type": "application/json"}


def ask(client: FlaskClient, row: dict[str, Any], **headers: str) -> Any:
    return client.post("/api/v1/predict", data=json.dumps({"rows": [row]}), headers={**JSON, **headers})


# -- metrics -----------------------------------------------------------------------------------------------


def test_both_formats_are_read_by_the_parsers_of_prometheus(client: FlaskClient) -> None:
    for _ in range(3):
        assert ask(client, ROW).status_code == 200
    assert ask(client, {"income": SECRET}).status_code == 422
    client.get(f"/no-such-page/{SECRET}")
    for accept, parse in (("application/openmetrics-text", parse_openmetrics), ("text/plain", parse_prometheus)):
        answer = client.get("/metrics", headers={"Accept": accept})
        families = {family.name: family for family in parse(answer.text)}
        samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families.values()
            for sample in family.samples
        }
        route = ("route", "/api/v1/predict")
        assert samples["rowsmith_requests_total", (("method", "POST"), route, ("status", "200"))] == 3
        assert samples["rowsmith_requests_total", (("method", "POST"), route, ("status", "422"))] == 1
        unknown = (("method", "GET"), ("route", "unknown"), ("status", "404"))
        assert samples["rowsmith_requests_total", unknown] == 1
        given = [value for (name, _), value in samples.items() if name == "rowsmith_predictions_total"]
        assert sum(given) == 3
        assert samples["rowsmith_request_duration_seconds_count", (route,)] == 4
        assert samples["rowsmith_request_duration_seconds_bucket", (("le", "+Inf"), route)] == 4
        assert samples["rowsmith_log_lag_seconds", ()] >= 0
        assert ("rowsmith_ready", ()) in samples
        assert [name for name, _ in samples if name == "rowsmith_model_info"]
        assert SECRET not in answer.text


def test_the_lag_of_the_log_is_the_largest_of_the_live_processes(app: Flask) -> None:
    meter = app.extensions[KEY].meter
    meter.put(("log_lag", "1"), 3.5)
    meter.put(("log_lag_at", "1"), time.time())
    meter.put(("log_lag", "2"), 99.0)  # of a process that is no more
    meter.put(("log_lag_at", "2"), time.time() - 60)
    assert "\nrowsmith_log_lag_seconds 3.5\n" in app.test_client().get("/metrics").text


# -- ids ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/health", "/no-such-page", "/api/v1/models", "/static/rowsmith.css"])
def test_every_answer_has_an_id(client: FlaskClient, path: str) -> None:
    ids = set()
    for _ in range(2):
        answer = client.get(path)
        ids.add(answer.headers["X-Request-Id"])
        answer.close()
    assert len(ids) == 2
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in ids)


@pytest.mark.parametrize("given", ["abc-123", "A" * 64, "0.1_2"])
def test_the_id_of_the_caller_is_kept(client: FlaskClient, given: str) -> None:
    answer = ask(client, ROW, **{"X-Request-Id": given})
    assert answer.headers.getlist("X-Request-Id") == [given]


@pytest.mark.parametrize("given", ["", "A" * 65, "two words", "a/b", "ä", "{}", '"'])
def test_an_id_that_is_none_is_replaced(client: FlaskClient, given: str) -> None:
    answer = client.get("/health", headers={"X-Request-Id": given})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])


# -- traces ------------------------------------------------------------------------------------------------


class Collector:
    """A receiver of OTLP over HTTP: keeps what it is sent, as bytes and decoded."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                collector.bodies.append(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spans(self) -> list[Any]:
        return [
            span
            for body in self.bodies
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_a_collector_gets_a_span_for_the_request_and_each_step(binary_project: Project, collector: Collector) -> None:
    project = replace(binary_project)  # with a database of its own
    made = create_app(project, Settings(otlp_endpoint=collector.address))
    trace = "0af7651916cd43dd8448eb211c80319c"
    try:
        client = made.test_client()
        assert (
            ask(client, ROW, traceparent=f"00-{trace}-b7ad6b7169203331-01", **{"X-Request-Id": "mine"}).status_code
            == 200
        )
        assert ask(client, {"age": SECRET}).status_code == 422
        client.get(f"/problems/{SECRET}")
    finally:
        closed(made)
    spans = collector.spans()
    ours = [span for span in spans if span.trace_id.hex() == trace]
    by_name = {span.name: span for span in ours}
    assert set(by_name) == {"POST /api/v1/predict", "parse", "conform", "predict", "log"}
    whole = by_name["POST /api/v1/predict"]
    assert whole.parent_span_id.hex() == "b7ad6b7169203331"
    for name in ("parse", "conform", "predict", "log"):
        assert by_name[name].parent_span_id == whole.span_id
        assert whole.start_time_unix_nano <= by_name[name].start_time_unix_nano
        assert by_name[name].end_time_unix_nano <= whole.end_time_unix_nano
    facts = {each.key: each.value for each in whole.attributes}
    assert facts["http.response.status_code"].int_value == 200
    assert facts["http.route"].string_value == "/api/v1/predict"
    assert facts["rowsmith.request_id"].string_value == "mine"
    assert {span.name for span in spans} >= {"GET /problems/<slug>"}
    assert [body for body in collector.bodies if b"service.name" in body and b"rowsmith" in body]
    assert not [body for body in collector.bodies if SECRET.encode() in body]


def test_a_collector_that_is_away_delays_no_answer(binary_project: Project) -> None:
    made = create_app(replace(binary_project), Settings(otlp_endpoint="http://127.0.0.1:9"))
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    try:
        client = made.test_client()
        ask(client, ROW)
        began = time.monotonic()
        for _ in range(20):
            assert ask(client, ROW).status_code == 200
        assert time.monotonic() - began < 3
    finally:
        closed(made)


def test_traces_without_the_packages_are_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from rowsmith.serving.tracing import open_traces

    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"ip install rowsmith\[otel\]"):
        open_traces("http://127.0.0.1:4318")


# -- logs --------------------------------------------------------------------------------------------------


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """Everything that is logged, from the lowest level on, as both formats would write it."""
    kept: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            record.as_json = JsonLines().format(record)
            record.as_text = TextLines().format(record)
            kept.append(record)

    handler, root = Keep(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield kept
    root.removeHandler(handler)
    root.setLevel(level)


def failing(app: Flask, error: Exception) -> None:
    """An address that fails with what a library or the store might say."""
    app.add_url_rule("/fails/<what>", "fails", lambda what: (_ for _ in ()).throw(error))


def test_no_value_of_a_row_is_in_the_log(binary_project: Project, records: list[logging.LogRecord]) -> None:
    """Nor what is in an address, a query, a header or a foreign exception; and each line is of its request."""
    made = create_app(replace(binary_project), Settings())
    failing(made, ValueError(f"could not convert string to float: '{SECRET}'"))
    try:
        client = made.test_client()
        ids = ["good", "bad-value", "bad-json", "bad-path", "inside", "big"]
        ask(client, ROW, **{"X-Request-Id": ids[0]})
        ask(client, {"age": SECRET, "income": [SECRET]}, **{"X-Request-Id": ids[1]})
        client.post("/api/v1/predict", data=f'{{"rows": {SECRET}', headers={**JSON, "X-Request-Id": ids[2]})
        client.get(f"/api/v1/{SECRET}?name={SECRET}", headers={"X-Request-Id": ids[3], "Cookie": SECRET})
        assert client.get(f"/fails/{SECRET}", headers={"X-Request-Id": ids[4]}).status_code == 500
        client.post("/predict", data={"city": SECRET, "age": SECRET}, headers={"X-Request-Id": ids[5]})
    finally:
        closed(made)
    lines = [json.loads(record.as_json) for record in records]  # type: ignore[attr-defined]
    assert {line["request_id"] for line in lines if line["logger"] == "rowsmith.requests"} == set(ids)
    inside = [line for line in lines if line.get("request_id") == "inside" and line["level"] == "error"]
    assert len(inside) == 1
    assert inside[0]["error"] == ["ValueError"]
    assert any("test_observing.py" in place for place in inside[0]["trace"])
    for record in records:
        assert SECRET not in record.as_json  # type: ignore[attr-defined]
        assert SECRET not in record.as_text  # type: ignore[attr-defined]
        assert "31415" not in record.as_json  # type: ignore[attr-defined]


def test_what_the_store_says_is_in_the_log(binary_project: Project, records: list[logging.LogRecord]) -> None:
    """Whoever looks after the server has to know; our own messages hold no values."""
    made = create_app(replace(binary_project), Settings())
    failing(made, StorageError("cannot write: No space left on device", where="/somewhere"))
    try:
        assert made.test_client().get("/fails/x").status_code == 503
    finally:
        closed(made)
    assert any("No space left on device" in record.as_text for record in records)  # type: ignore[attr-defined]


def test_a_line_of_each_format() -> None:
    record = logging.LogRecord("rowsmith.requests", logging.INFO, "x.py", 1, "GET %s %s", ("/health", 200), None)
    record.facts = {"method": "GET", "route": "/health", "status": 200, "ms": 0.25}
    document = json.loads(JsonLines().format(record))
    assert document.pop("time").endswith("Z")
    assert document == {
        "level": "info",
        "logger": "rowsmith.requests",
        "message": "GET /health 200",
        "method": "GET",
        "route": "/health",
        "status": 200,
        "ms": 0.25,
    }
    assert TextLines().format(record).endswith("INFO rowsmith.requests: GET /health 200 0.25 ms")
