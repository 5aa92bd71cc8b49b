"""Really bad challengers in a real server: taken back by themselves, told to whom it concerns, noticed by no caller."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from rowsmith.registry.traffic import TrafficEvent
from rowsmith.serving.telling import tell_of_roll_back
from rowsmith.settings import Settings
from rowsmith.types import JsonObject
from rowsmith.workflows import traffic
from rowsmith.workflows.plugins import Plugins, load_plugins
from rowsmith.workflows.project import Project
from tests.serving.browsing import Server, running
from tests.serving.models import NAME, a_row, make_project, register, train

PATIENCE = 90.0
FAILS = """
def add_features(frame):
    raise RuntimeError("no answer from here")
"""
SLOW = """
import time

def add_features(frame):
    time.sleep(0.3)
    return frame
"""


class Hook(ThreadingHTTPServer):
    """Keeps what it is sent; answers 503 as often as it is told to."""

    daemon_threads = True

    def __init__(self, refusals: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[JsonObject] = []
        self.refusals = refusals
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.refusals -= 1
        if self.server.refusals < 0:
            self.server.received.append(document)
        self.send_response(200 if self.server.refusals < 0 else 503)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    opened = Hook()
    yield opened
    opened.shutdown()
    opened.server_close()


def code(root: Path, source: str) -> Plugins:
    """A project's own features, as training would find them."""
    package = root / "ours"
    package.mkdir(parents=True)
    (root / "rowsmith.toml").write_text(f'name = "{NAME}"\n', encoding="utf-8")
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "features.py").write_text(source, encoding="utf-8")
    return load_plugins(root)


def ask_until_taken_back(server: Server, project: Project) -> list[int]:
    """The versions that answered, by callers that come in all the time."""
    deadline = time.monotonic() + PATIENCE

    def ask(number: int) -> int:
        key = {"Rowsmith-Key": f"customer {number}"}
        answer = client.post("/api/v1/predict", json={"row": a_row(age=20 + number % 50)}, headers=key)
        assert answer.status_code == 200, answer.text
        version: int = answer.json()["model"]["version"]
        return version

    answered: list[int] = []
    with httpx.Client(base_url=server.address, trust_env=False, timeout=30) as client, ThreadPoolExecutor(8) as pool:
        while project.traffic.rule(NAME) is not None:
            assert time.monotonic() < deadline, traffic.show(project).to_dict()["evidence"]
            answered += pool.map(ask, range(len(answered), len(answered) + 16))
            time.sleep(0.3)
    return answered


@pytest.mark.slow
def test_a_challenger_that_fails_and_one_that_is_slow(tmp_path: Path, hook: Hook) -> None:
    root = tmp_path / "project"
    root.mkdir()
    project = make_project(root, "default")
    for name, source in (("fails", FAILS), ("slow", SLOW)):
        register(project, train("default", seed=7), champion=False, plugins=code(tmp_path / name, source))
    file = tmp_path / "told.jsonl"
    settings = {"alerts": [hook.url, f"file:{file}"]}
    with running(root, workers=2, settings=settings) as server:
        for challenger, why in ((2, "were refused or failed"), (3, "took longer than 150 ms")):
            traffic.begin(project, "canary", challenger, share=0.5, slow_ms=150.0, reason="a test")
            answered = ask_until_taken_back(server, project)
            assert set(answered) == ({1} if challenger == 2 else {1, 3}), "the champion answered where it failed"
            event = project.traffic.events(NAME)[-1]
            assert (event.kind, event.challenger, event.actor) == ("roll back", challenger, "rowsmith serve")
            assert why in event.reason
        deadline = time.monotonic() + PATIENCE
        while len(hook.received) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert [told["model"] for told in hook.received] == [NAME, NAME], "one of the workers told it, once"
    for number, told in enumerate(hook.received, 2):
        (reason,) = told["verdict"]["reasons"]
        assert reason["code"] == "rolled_back" and f"version {number} was taken back" in reason["message"]
    assert len(file.read_text(encoding="utf-8").splitlines()) == 2
    project.log.close()
    project.database.close()


def event() -> TrafficEvent:
    return TrafficEvent(
        NAME, 2, "roll back", 1, 2, None, "rowsmith serve", "it failed", "2026-01-01T00:00:00+00:00", {}
    )


def test_a_target_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from rowsmith.monitoring import alerts

    monkeypatch.setattr(alerts.tell, "__defaults__", ((0.01, 0.01),))
    hook = Hook(refusals=2)
    file = tmp_path / "told.jsonl"
    assert traffic.tell_of_roll_back(event(), [hook.url, f"file:{file}"]) == ()
    assert len(hook.received) == 1 and len(file.read_text(encoding="utf-8").splitlines()) == 1
    hook.refusals = 3
    (failure,) = traffic.tell_of_roll_back(event(), [hook.url])
    assert "503" in failure and "/hook" not in failure
    hook.shutdown()
    hook.server_close()


def test_nobody_to_tell_and_a_target_that_is_none(caplog: pytest.LogCaptureFixture) -> None:
    threads = threading.active_count()
    tell_of_roll_back((), event())
    assert threading.active_count() == threads
    tell_of_roll_back(("carrier pigeon",), event())
    for thread in threading.enumerate():
        if thread.name == "rowsmith-alerts":
            thread.join()
    assert "alerts cannot be sent there" in caplog.text


def test_a_server_does_not_start_with_such_a_target() -> None:
    from rowsmith.errors import SettingsError
    from rowsmith.serving.readiness import check_alerts

    check_alerts(Settings(alerts=("log",)))
    with pytest.raises(SettingsError):
        check_alerts(Settings(alerts=("carrier pigeon",)))
