"""Ten thousand malformed requests over every address: a reason each time, never a fault of the server's own."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import time
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import zstandard
from werkzeug.test import TestResponse

from rowsmith.serving.api.arrow import ARROW_TYPE
from rowsmith.serving.app import create_app
from rowsmith.serving.services import KEY
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.models import a_row, json_rows, loans
from tests.serving.test_inference import tensors

REQUESTS = 10_000
SECONDS = 5.0
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
PLACES = ("", "1", "-1", "loans", "champion", "..", "%2e%2e", "../../etc/passwd", "0" * 40)
WORDS = (*PLACES, "a" * 3000, "\x00", "\u20ac", "NaN")
QUERY = ("explain", "limit", "format", "next", "x")
ODD: tuple[Any, ...] = (None, True, -1, 1e308, 10**400, "", "\x00", "x" * 5000, "NaN", [], {}, [[]], [None], {"a": [1]})
TYPES = (
    "application/json",
    "application/json; charset=utf-16",
    ARROW_TYPE,
    "text/csv",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "\u00e9",
    "",
)
HEADERS = {
    "Content-Encoding": ("gzip", "zstd", "deflate", "br", "gzip, gzip", "\u00e9"),
    "Accept-Encoding": ("gzip", "zstd", "*;q=0", ";;;", "gzip;q=nan"),
    "Accept": (ARROW_TYPE, "text/html", "*/*", ";", "application/openmetrics-text"),
    "Inference-Header-Content-Length": ("0", "7", "-1", "99999999999999999999", "\u0663", "x"),
    "Idempotency-Key": ("a", "", "\u00e9", "x" * 5000),
    "Rowsmith-Key": ("", "x" * 5000, "\u00e9"),
    "X-Request-Id": ("a b", "x" * 5000),
    "Authorization": ("Bearer", "Bearer x", "Basic \u00e9", "x" * 5000),
    "Cookie": ("rowsmith=x", "\x01=;;=", "x" * 5000),
    "Origin": ("null", "http://", "x"),
    "Sec-Fetch-Site": ("cross-site", "x"),
    "Range": ("bytes=9-1", "bytes=x"),
    "If-None-Match": ('"x"', "*"),
    "If-Modified-Since": ("x", "Mon, 99 Foo 2026"),
    "Content-Length": ("7", "-1", "x", "99999999999"),
}


class Fuzzer:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        sink = io.BytesIO()
        table = loans(3).drop("default", "rate", "amount")
        table.write_ipc_stream(sink)
        row = json_rows(loans(1))[0]
        inputs, raw = tensors(2, binary=True)
        head = json.dumps({"inputs": inputs}).encode()
        self.documents: tuple[Any, ...] = (
            {"row": a_row()},
            {"rows": [a_row(), a_row(age=3)]},
            {"labels": [{"id": "x", "label": "yes"}]},
            {"inputs": tensors(2)[0], "outputs": [{"name": "prediction"}]},
            {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}},
            {"dataframe_records": [row]},
            {"instances": [row]},
            {"inputs": {name: [value] for name, value in row.items()}},
            {"path": "/etc/passwd", "keep_inputs": True},
        )
        self.raw = (sink.getvalue(), head + raw, pl.DataFrame([row]).write_csv().encode(), b"--x\r\n\r\n\r\n--x--")

    def url(self, rule: str) -> str:
        path = re.sub(r"<[^>]+>", lambda _: self.dice.choice(WORDS), rule)
        if self.dice.random() < 0.2:
            words = [f"{self.dice.choice(QUERY)}={self.dice.choice(WORDS)}" for _ in range(2)]
            path += "?" + "&".join(words)
        return path

    def body(self) -> bytes:
        choice = self.dice.random()
        if choice < 0.1:
            return self.dice.randbytes(self.dice.randrange(200))
        if choice < 0.3:
            body = bytearray(self.dice.choice(self.raw))
        else:
            document = self.dice.choice(self.documents)
            for _ in range(self.dice.randrange(4)):
                document = self.changed(document)
            body = bytearray(json.dumps(document).encode())
        for _ in range(self.dice.choice((0, 0, 1, 5))):
            if body:
                body[self.dice.randrange(len(body))] = self.dice.randrange(256)
        if self.dice.random() < 0.1:
            del body[self.dice.randrange(len(body) + 1) :]
        return bytes(body)

    def changed(self, node: Any) -> Any:
        """With one value somewhere inside replaced, removed or doubled."""
        if self.dice.random() < 0.15 or not isinstance(node, list | dict) or not node:
            return self.dice.choice(ODD)
        if isinstance(node, list):
            place = self.dice.randrange(len(node))
            change: Callable[[Any], list[Any]] = self.dice.choice(
                (lambda item: [self.changed(item)], lambda item: [], lambda item: [item, item])
            )
            return [*node[:place], *change(node[place]), *node[place + 1 :]]
        name = self.dice.choice(list(node))
        rest = {key: value for key, value in node.items() if key != name}
        return rest if self.dice.random() < 0.3 else {**rest, name: self.changed(node[name])}

    def headers(self) -> dict[str, str]:
        names = self.dice.sample(sorted(HEADERS), self.dice.choice((0, 1, 1, 3)))
        return {name: self.dice.choice(HEADERS[name]) for name in names}


def text_of(response: TestResponse) -> str:
    unpack: dict[str | None, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress,
        "zstd": zstandard.ZstdDecompressor().decompress,
    }
    return unpack.get(response.headers.get("Content-Encoding"), bytes)(response.data).decode(errors="replace")


@pytest.mark.slow
def test_malformed_requests_get_a_reason(binary_project: Project, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(binary_project, Settings(max_body_mb=1))
    client = app.test_client()
    rules = sorted({rule.rule for rule in app.url_map.iter_rules()})
    fuzzer = Fuzzer(0)
    root = str(binary_project.root)
    statuses: dict[int, int] = {}
    for number in range(REQUESTS):
        rule = rules[number % len(rules)]
        method = fuzzer.dice.choice(METHODS) if fuzzer.dice.random() < 0.5 else "POST"
        url, body, headers = fuzzer.url(rule), fuzzer.body(), fuzzer.headers()
        content_type = fuzzer.dice.choice(TYPES)
        began = time.monotonic()
        response = client.open(
            url, method=method, data=body, headers={"Content-Type": content_type, **headers}, buffered=True
        )
        text = text_of(response)
        told = f"{method} {url!r} {content_type!r} {headers} {body[:300]!r}: {response.status} {text[:500]!r}"
        assert response.status_code < 500, told + "\n" + caplog.text[-3000:]
        assert time.monotonic() - began < SECONDS, told
        assert "Traceback" not in text and root not in text, told
        statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
        response.close()
    app.extensions[KEY].close()
    assert {200, 400, 404, 405, 415, 422} <= set(statuses), statuses
