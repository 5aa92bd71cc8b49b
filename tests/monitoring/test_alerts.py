from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest

from rowsmith.errors import RowsmithError, SettingsError, StorageError
from rowsmith.monitoring.alerts import (
    SINKS,
    Alert,
    FileSink,
    LogSink,
    MailSink,
    NoSink,
    Sink,
    WebhookSink,
    deliver,
    open_sink,
)
from rowsmith.monitoring.decide import Level, Reason, Verdict
from rowsmith.types import JsonObject

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def alert(level: Level = Level.ACT, code: str = "score_worse", message: str = "roc_auc 0.7, was 0.8") -> Alert:
    reasons = (Reason(code, level, message, "retrain on newer rows", ("load",)),)
    return Alert("flights 3", NOW.isoformat(), Verdict(level, reasons))


CALM = Alert("flights 3", NOW.isoformat(), Verdict(Level.OK, (Reason("all_well", Level.OK, "all is well"),)))


class Listener(ThreadingHTTPServer):
    """A web server on loopback that keeps what it was sent. `/busy` answers 503, `/slow` never."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[tuple[str, JsonObject]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.headers["Content-Type"], json.loads(body)))
        if self.path == "/slow":
            self.server.over.wait(30)
            return
        self.send_response(503 if self.path == "/busy" else 204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        return None


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def test_a_webhook_gets_the_alert_as_json(listener: Listener) -> None:
    WebhookSink(listener.url).send(alert())
    [(kind, body)] = listener.received
    assert kind == "application/json"
    assert body["title"] == "Rowsmith, flights 3: action is needed"
    assert "roc_auc 0.7, was 0.8 -> retrain on newer rows" in body["text"]
    assert body["verdict"]["reasons"][0]["columns"] == ["load"]


@pytest.mark.parametrize(("path", "why"), [("/busy", "503"), ("/slow", "timed out")])
def test_a_webhook_that_does_not_take_it(listener: Listener, path: str, why: str) -> None:
    with pytest.raises(RowsmithError, match=why) as caught:
        WebhookSink(listener.url + path, timeout=0.2).send(alert())
    assert path not in str(caught.value)  # a path may hold the key of a webhook


def test_a_webhook_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RowsmithError, match="not delivered"):
        WebhookSink(f"http://127.0.0.1:{port}/key").send(alert())


def test_a_file_gets_one_line_for_each_alert(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "deep" / "alerts.jsonl")
    sink.send(alert(message="Tromsø: ja"))
    sink.send(CALM)
    lines = (tmp_path / "deep" / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["verdict"]["level"] for line in lines] == ["act", "ok"]
    assert "Tromsø" in lines[0]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not be written"):
        FileSink(tmp_path).send(alert())


def test_the_log_gets_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="rowsmith.alerts"):
        LogSink().send(alert())
        LogSink().send(CALM)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "retrain on newer rows" in caplog.text


class MailServer(ThreadingTCPServer):
    """Just enough SMTP to take one message."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MailHandler)
        self.messages: list[str] = []


class MailHandler(StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            if line.upper().startswith("DATA"):
                self._say("354 go on")
                self.server.messages.append("".join(iter(lambda: self.rfile.readline().decode(), ".\r\n")))
            if line.upper().startswith("QUIT"):
                self._say("221 bye")
                return
            self._say("250 fine")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def test_a_mail_is_sent() -> None:
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        sink = open_sink(
            f"smtp://127.0.0.1:{server.server_address[1]}?from=r@example.com&to=a@example.com,b@example.com"
        )
        sink.send(alert())
        server.shutdown()
        thread.join()
    [message] = server.messages
    assert "Subject: Rowsmith, flights 3: action is needed" in message
    assert "To: a@example.com, b@example.com" in message
    assert "retrain on newer rows" in message


def test_a_mail_that_nobody_takes() -> None:
    with pytest.raises(RowsmithError, match="not delivered"):
        MailSink("127.0.0.1", 1, "r@example.com", ("a@example.com",)).send(alert())


@pytest.mark.parametrize(
    ("target", "sink"),
    [
        ("", NoSink()),
        ("log", LogSink()),
        ("file:alerts.jsonl", FileSink(Path("alerts.jsonl"))),
        ("https://example.com/hook", WebhookSink("https://example.com/hook")),
        ("http://127.0.0.1:1/hook", WebhookSink("http://127.0.0.1:1/hook")),
        (
            "smtp://me:p%40ss@mail.example.com?from=r@example.com&to=a@example.com",
            MailSink("mail.example.com", 587, "r@example.com", ("a@example.com",), "me", "p@ss"),
        ),
    ],
)
def test_where_to_is_one_text(target: str, sink: Sink) -> None:
    found = open_sink(target)
    assert type(found) is type(sink)
    assert getattr(found, "__slots__", None) is None or found == sink


def test_every_kind_of_sink_is_tried_above() -> None:
    assert set(SINKS) == {"", "log", "file", "http", "https", "smtp"}


@pytest.mark.parametrize(
    "target", ["ftp://user:secret@example.com/x", "alerts.jsonl", "smtp://me:secret@mail.example.com"]
)
def test_where_nothing_can_be_sent(target: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_sink(target)
    assert "secret" not in str(caught.value)


class Recorder:
    def __init__(self, *, broken: bool = False) -> None:
        self.told: list[Alert] = []
        self.broken = broken

    def send(self, alert: Alert) -> None:
        if self.broken:
            raise RowsmithError("no")
        self.told.append(alert)


def test_the_same_findings_are_told_once() -> None:
    sink = Recorder()
    first = deliver(alert(), [sink], {}, NOW)
    again = deliver(alert(message="roc_auc 0.69, was 0.8"), [sink], first.state, NOW + timedelta(hours=1))
    assert (first.told, again.told, len(sink.told)) == (True, False, 1)
    assert json.loads(json.dumps(first.state)) == first.state == again.state


@pytest.mark.parametrize("other", [alert(Level.WARN), alert(code="missing_values")])
def test_other_findings_are_news(other: Alert) -> None:
    sink = Recorder()
    first = deliver(alert(), [sink], {}, NOW)
    assert deliver(other, [sink], first.state, NOW).told


def test_old_findings_are_told_again_after_a_while() -> None:
    sink = Recorder()
    state = deliver(alert(), [sink], {}, NOW).state
    assert not deliver(alert(), [sink], state, NOW + timedelta(days=6)).told
    later = deliver(alert(), [sink], state, NOW + timedelta(days=7))
    assert later.told
    assert not deliver(alert(), [sink], later.state, NOW + timedelta(days=8)).told


def test_all_is_well_again_is_told_once_and_all_is_well_never() -> None:
    sink = Recorder()
    assert not deliver(CALM, [sink], {}, NOW).told
    state = deliver(alert(), [sink], {}, NOW).state
    well = deliver(CALM, [sink], state, NOW)
    assert well.told
    assert not deliver(CALM, [sink], well.state, NOW).told
    assert [item.verdict.level for item in sink.told] == [Level.ACT, Level.OK]
    assert "all is well again" in sink.told[-1].title


def test_a_broken_sink_does_not_keep_the_others_from_telling() -> None:
    sink, broken = Recorder(), Recorder(broken=True)
    delivery = deliver(alert(), [broken, sink], {}, NOW)
    assert (delivery.told, delivery.failures, len(sink.told)) == (True, ("no.",), 1)


def test_what_nobody_took_is_tried_again() -> None:
    delivery = deliver(alert(), [Recorder(broken=True)], {}, NOW)
    assert (delivery.told, delivery.state) == (False, {})
    assert deliver(alert(), [Recorder()], delivery.state, NOW).told
