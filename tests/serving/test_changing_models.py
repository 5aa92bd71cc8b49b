"""A real server with several workers, asked without a pause while models change under it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from rowsmith.types import JsonObject
from rowsmith.workflows import traffic
from rowsmith.workflows.project import Project
from tests.serving.browsing import Server, running
from tests.serving.models import NAME, json_rows, loans, make_project, register, train

ASKING = 4
WORKERS = max(2, min(4, os.cpu_count() or 1))
SECONDS_TO_FOLLOW = 1.0
ROWS = json_rows(loans(12, seed=33))


@dataclass(frozen=True, slots=True)
class Heard:
    """One request: when it was sent, what came back."""

    sent: float
    status: int
    version: int
    faithful: bool
    """Whether every prediction is that of the version that the answer names."""


@dataclass
class Crowd:
    """Threads that ask one server without a pause, each over a connection of its own."""

    server: Server
    expected: dict[int, list[float]]
    heard: list[Heard] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Crowd:
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(ASKING)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        url, count = f"{self.server.address}/api/v1/predict", 0
        client = httpx.Client(trust_env=False, timeout=30)
        while not self._stop.is_set():
            count += 1
            rows = list(range(len(ROWS))) if count % 5 == 0 else [count % len(ROWS)]
            sent = time.monotonic()
            try:
                response = client.post(
                    url, json={"rows": [ROWS[i] for i in rows]}, headers={"Rowsmith-Key": f"{number} {count}"}
                )
            except httpx.HTTPError as problem:
                self.problems.append(repr(problem))
                continue
            answer = response.json()
            if response.status_code != 200:
                self.problems.append(response.text)
                continue
            version = answer["model"]["version"]
            given = [item["probabilities"]["yes"] for item in answer["predictions"]]
            faithful = given == [self.expected[version][i] for i in rows]
            self.heard.append(Heard(sent, response.status_code, version, faithful))
            if count % 25 == 0:  # a new connection may meet another worker
                client.close()
                client = httpx.Client(trust_env=False, timeout=30)
        client.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    register(make_project(tmp_path, "default"), train("default", seed=7), champion=False)
    return tmp_path


def answers_of(project: Project) -> dict[int, list[float]]:
    """Probabilities by version, worked out here by the row path and by the batch path."""
    found: dict[int, list[float]] = {}
    for number in (1, 2):
        model = project.model(number)
        rows = [model.predict_row(row).probabilities for row in ROWS]
        found[number] = [row["yes"] for row in rows if row is not None]
    assert found[1] != found[2]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["granian", "waitress"])
def test_promotions_and_rollbacks_take_effect_within_a_second_and_nobody_notices(root: Path, kind: str) -> None:
    project = make_project(root)
    changes: list[tuple[float, int]] = []
    with running(root, workers=WORKERS, kind=kind) as server, Crowd(server, answers_of(project)) as crowd:
        time.sleep(1)
        for _ in range(4):
            project.registry.promote(NAME, 2, reason="newer", actor="a test")
            changes.append((time.monotonic(), 2))
            time.sleep(1.5)
            project.registry.rollback(NAME, reason="older", actor="a test")
            changes.append((time.monotonic(), 1))
            time.sleep(1.5)
    assert crowd.problems == []
    assert len(crowd.heard) > 200
    assert all(heard.faithful for heard in crowd.heard)
    ends = [moment for moment, _ in changes[1:]] + [float("inf")]
    for (moment, version), end in zip(changes, ends, strict=True):
        later = {heard.version for heard in crowd.heard if moment + SECONDS_TO_FOLLOW < heard.sent < end}
        assert later <= {version}, f"{later} answered a second after {version} was made champion"
    kept = project.log.summary(NAME)
    asked = sum(1 for _ in crowd.heard)
    assert kept.errors == 0 and kept.predictions >= asked
    project.log.close()
    project.database.close()


@pytest.mark.slow
def test_rules_come_and_go_under_load_and_every_worker_sees_the_same(root: Path) -> None:
    project = make_project(root)

    def answering(crowd: Crowd, since: float) -> set[int]:
        return {heard.version for heard in crowd.heard if heard.sent > since}

    steps: list[tuple[Callable[[], object], set[int]]] = [
        (lambda: traffic.begin(project, "split", 2, share=0.5), {1, 2}),
        (lambda: traffic.stop(project), {1}),
        (lambda: traffic.begin(project, "shadow", 2), {1}),
        (lambda: traffic.begin(project, "canary", 2, share=0.2), {1, 2}),
        (lambda: project.registry.promote(NAME, 2, reason="better", actor="a test"), {2}),
        (lambda: project.registry.rollback(NAME, reason="not so", actor="a test"), {1}),
    ]
    with running(root, workers=WORKERS) as server, Crowd(server, answers_of(project)) as crowd:
        time.sleep(1)
        for change, expected in steps:
            change()
            since = time.monotonic() + SECONDS_TO_FOLLOW
            time.sleep(2.5)
            assert answering(crowd, since) == expected
    assert crowd.problems == []
    assert all(heard.faithful for heard in crowd.heard)
    rows = project.log.window(NAME).entries
    by_role: dict[str, JsonObject] = {
        role: {"versions": set(part["version"])} for (role,), part in rows.group_by("role")
    }
    assert by_role["canary"]["versions"] == by_role["challenger"]["versions"] == {2}
    shadows = project.log.summary(NAME, role="shadow")
    assert shadows.predictions > 0 and shadows.errors == 0
    project.log.close()
    project.database.close()


@pytest.mark.slow
def test_a_rule_outlives_a_restart(root: Path) -> None:
    project = make_project(root)
    traffic.begin(project, "split", 2, share=0.5)
    keys = [f"customer {number}" for number in range(24)]

    def ask(server: Server) -> list[int]:
        with httpx.Client(trust_env=False, timeout=30) as client:
            return [
                client.post(
                    f"{server.address}/api/v1/predict", json={"row": ROWS[0]}, headers={"Rowsmith-Key": key}
                ).json()["model"]["version"]
                for key in keys
            ]

    with running(root, workers=2) as server:
        first = ask(server)
    with running(root, workers=2) as server:
        again = ask(server)
    assert set(first) == {1, 2} and again == first
    project.database.close()
