"""Held answers: sent when the log has them, with all that the layers around the application made of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from typing import Any

import orjson
import pytest
from flask import Flask
from granian.server import mp as workers_of_granian
from sqlalchemy import func, select

from rowsmith.errors import StorageError
from rowsmith.monitoring import group_append
from rowsmith.serving.app import create_app
from rowsmith.serving.held import HELD, hold_answers
from rowsmith.serving.logs import REQUEST_ID
from rowsmith.serving.services import KEY, Services
from rowsmith.settings import Settings
from rowsmith.storage.tables import predictions
from rowsmith.workflows.project import Project
from tests.serving.models import a_row

PATIENCE_SECONDS = 60.0
mp: Any = workers_of_granian


class Protocol:
    """Of one request, in granian's place: keeps what is sent, and by which thread."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.thread: threading.Thread | None = None

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.thread = threading.current_thread()
        self.answers.append((status, dict(headers), body))

    def response_iter(self, status: int, headers: list[tuple[str, str]], body: Any) -> None:
        self.response_bytes(status, headers, b"".join(iter(body.__next__, None)))


class Asked:
    """An application behind granian's own wrapper, as a worker has it."""

    def __init__(self, app: Flask) -> None:
        self._answer = mp._wsgi_call_wrap(app, {}, None)
        self.site: Services = app.extensions[KEY]

    def __call__(self, document: Any, path: str = "/api/v1/predict", **headers: str) -> Protocol:
        body = orjson.dumps(document)
        scope = {
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body),
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_HOST": "127.0.0.1",
            **headers,
        }
        protocol = Protocol()
        self._answer(protocol, scope)
        return protocol


@pytest.fixture
def asked(binary_project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    monkeypatch.setattr(mp, "_wsgi_call_wrap", mp._wsgi_call_wrap)
    hold_answers()
    app = create_app(binary_project, Settings())
    made = Asked(app)
    made.site.get_ready()
    yield made
    made.site.close()


def eventually(true: Callable[[], Any]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class Slow:
    """A log whose disk takes its time for whoever does not wait: it is told to go on."""

    def __init__(self, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
        self._waiting: list[tuple[Any, Any, Any]] = []
        self.waited = 0
        """How often somebody has waited."""
        for name in ("append", "append_tables"):
            monkeypatch.setattr(asked.site.log, name, partial(self._append, getattr(asked.site.log, name)))

    def _append(self, append: Any, items: Any, tell: Any = None) -> None:
        if tell is None:
            append(items)
            self.waited += 1
        else:
            self._waiting.append((append, items, tell))

    def go_on(self, problem: StorageError | None = None) -> None:
        for append, items, tell in self._waiting:
            if problem is None:
                append(items, tell)
            else:
                tell(problem)
        self._waiting.clear()


def test_an_answer_is_sent_once_and_not_before_the_log_has_it(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(asked, monkeypatch)
    protocols = [asked({"row": a_row()}) for _ in range(3)]
    assert not any(protocol.answers for protocol in protocols)
    assert counted(asked, "requests") == counted(asked, "predictions") == 0
    slow.go_on()
    assert eventually(lambda: all(protocol.answers for protocol in protocols))
    for protocol in protocols:
        ((status, headers, body),) = protocol.answers
        assert status == 200 and headers["Content-Type"] == "application/json"
        assert len(headers["X-Request-Id"]) == 32 and headers["X-Content-Type-Options"] == "nosniff"
        (answer,) = orjson.loads(body)["predictions"]
        assert asked.site.log is not None
        asked.site.log.settle()
        with asked.site.project.database.reading() as connection:
            found = connection.execute(select(func.count()).where(predictions.c.id == answer["id"])).scalar()
        assert found == 1
    assert counted(asked, "requests") == counted(asked, "predictions") == 3


def counted(asked: Asked, name: str) -> float:
    return sum(value for key, value in asked.site.meter.totals().items() if key[0] == name)


def test_who_has_an_answer_finds_it_counted(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[float] = []
    send = Protocol.response_bytes

    def look(protocol: Protocol, *answer: Any) -> None:
        counts.append(counted(asked, "requests"))
        send(protocol, *answer)

    monkeypatch.setattr(Protocol, "response_bytes", look)
    for number in range(1, 4):
        asked({"row": a_row()})
        assert eventually(lambda number=number: len(counts) == number)  # type: ignore[misc]
    assert counts == [1, 2, 3]


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_what_the_log_refuses_is_a_problem_with_the_same_head(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, encoding: str
) -> None:
    slow = Slow(asked, monkeypatch)
    abouts: list[str] = []
    caplog.handler.addFilter(lambda _: abouts.append(REQUEST_ID.get()) or True)  # type: ignore[func-returns-value]
    protocol = asked({"rows": [a_row()] * 10}, HTTP_ACCEPT_ENCODING=encoding, HTTP_X_REQUEST_ID="mine")
    slow.go_on(StorageError("the disk is full"))
    ((status, headers, body),) = protocol.answers
    assert status == 503
    assert (headers["Content-Type"], headers["Content-Length"]) == ("application/problem+json", str(len(body)))
    assert "Content-Encoding" not in headers and headers["X-Request-Id"] == "mine"
    assert orjson.loads(body)["type"] == "/problems/store-unavailable"
    assert (caplog.messages, abouts) == (["POST /api/v1/predict: the disk is full."], ["mine"])
    assert counted(asked, "predictions") == 0
    assert asked.site.meter.totals()["requests", "POST", "/api/v1/predict", "503"] == 1


def test_a_log_that_takes_nothing_at_once_is_a_problem(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(entries: Any, tell: Any = None) -> None:
        raise StorageError("there is no room")

    monkeypatch.setattr(asked.site.log, "append", refuse)
    ((status, _, body),) = asked({"row": a_row()}).answers
    assert (status, orjson.loads(body)["type"]) == (503, "/problems/store-unavailable")


@pytest.mark.parametrize("body", [{"row": a_row(age="x")}, {"rows": 1}])
def test_a_refusal_is_not_held(asked: Asked, body: Any) -> None:
    ((status, _, _),) = asked(body).answers
    assert status == 422


def test_some_rows_and_other_protocols_are_held_too(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(asked, monkeypatch)
    some = asked({"rows": [a_row()] * 20}, HTTP_ACCEPT_ENCODING="gzip")
    scored = asked({"dataframe_records": [a_row()]}, "/invocations")
    assert not some.answers and not scored.answers
    slow.go_on()
    assert eventually(lambda: some.answers and scored.answers)
    assert some.answers[0][0] == scored.answers[0][0] == 200
    assert some.answers[0][1]["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(("rows", "is_chunked"), [(300, False), (1, True)])
def test_what_is_large_or_of_unknown_length_waits_in_its_turn(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, rows: int, is_chunked: bool
) -> None:
    """As many as there are connections must not be kept meanwhile."""
    slow = Slow(asked, monkeypatch)
    headers = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""} if is_chunked else {}
    protocol = asked({"rows": [a_row()] * rows}, **headers)
    assert protocol.answers[0][0] == 200
    assert slow.waited == 1


def test_what_fails_behind_the_log_is_a_problem(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    add = asked.site.meter.add

    def refuse(key: Any, amount: float = 1.0) -> None:
        if key[0] == "predictions":
            raise OSError("no room to count")
        add(key, amount)

    monkeypatch.setattr(asked.site.meter, "add", refuse)
    protocol = asked({"row": a_row()})
    assert eventually(lambda: protocol.answers)
    ((status, headers, body),) = protocol.answers
    assert (status, orjson.loads(body)["type"]) == (500, "/problems/internal")
    assert headers["X-Request-Id"] and counted(asked, "requests") == 1


@pytest.mark.skipif(not group_append.is_compiled, reason="without the compiled writer, threads wait")
def test_under_load_the_writer_sends(asked: Asked) -> None:
    protocols: list[Protocol] = []

    def ask() -> None:
        for _ in range(50):
            protocols.append(asked({"row": a_row()}))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert eventually(lambda: all(protocol.answers for protocol in protocols))
    assert all(len(protocol.answers) == 1 and protocol.answers[0][0] == 200 for protocol in protocols)
    assert any(protocol.thread is not None and protocol.thread.name == "rowsmith-log-writer" for protocol in protocols)


def test_a_granian_that_works_otherwise_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(mp, "_wsgi_call_wrap")
    hold_answers()
    assert not hasattr(mp, "_wsgi_call_wrap") and HELD
