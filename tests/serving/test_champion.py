"""The champion in memory follows the registry, and a request never sees a mixture."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rowsmith.serving.app import create_app
from rowsmith.serving.champion import ChampionHolder
from rowsmith.serving.errors import Problem
from rowsmith.serving.services import KEY
from rowsmith.settings import Settings
from rowsmith.workflows.project import open_project
from tests.serving.conftest import closed
from tests.serving.models import NAME, a_row, make_project, register, train


def test_a_promotion_and_a_rollback_are_followed(tmp_path: Path) -> None:
    project = make_project(tmp_path, "default")
    holder = ChampionHolder(project, NAME)
    assert holder.current().version.number == 1
    register(project, train("default", seed=7))
    holder.refresh()
    assert holder.current().version.number == 2
    project.registry.rollback(NAME, reason="as it was", actor="a test")
    holder.refresh()
    assert holder.current().version.number == 1
    holder.close()


def test_the_watcher_follows_by_itself(tmp_path: Path) -> None:
    project = make_project(tmp_path, "default")
    holder = ChampionHolder(project, NAME)
    holder.current()
    register(project, train("default", seed=7))
    seen = threading.Event()
    for _ in range(200):
        if holder.current().version.number == 2:
            seen.set()
            break
        seen.wait(0.05)
    assert seen.is_set()
    holder.close()


def test_the_first_champion_is_found_without_a_restart(tmp_path: Path) -> None:
    project = open_project(tmp_path).with_recipe(train().recipe)
    holder = ChampionHolder(project, NAME)
    with pytest.raises(Problem, match="champion yet"):
        holder.current()
    assert not project.store.exists()
    register(project, train())
    assert holder.current().version.number == 1
    holder.close()


def test_a_champion_that_cannot_be_loaded_leaves_the_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    project = make_project(tmp_path, "default")
    app = create_app(project, Settings())
    client = app.test_client()
    client.get("/health")
    version = register(project, train("default", seed=7), champion=False)
    state = project.registry.folder(version) / "model" / "state.json"
    state.write_text(state.read_text().replace("a", "b", 1))
    project.registry.promote(NAME, version.number, reason="not looked at", actor="a test")
    app.extensions[KEY].champion.refresh()
    health = client.get("/health")
    assert health.status_code == 200
    assert health.get_json()["version"] == 1
    assert "cannot be loaded" in health.get_json()["fault"]
    assert str(tmp_path) not in health.text
    assert "does not answer" in client.get("/").text
    assert client.post("/api/v1/predict", json={"row": a_row()}).get_json()["model"]["version"] == 1
    project.registry.rollback(NAME, reason="as it was", actor="a test")
    app.extensions[KEY].champion.refresh()
    assert "fault" not in client.get("/health").get_json()
    closed(app)


def test_no_request_fails_or_is_mixed_while_champions_change(tmp_path: Path) -> None:
    project = make_project(tmp_path, "default")
    register(project, train("default", seed=7), champion=False)
    app = create_app(project, Settings())
    expected = {
        number: project.model(number).predict_row(a_row()).to_dict()["probabilities"]["yes"] for number in (1, 2)
    }
    assert expected[1] != expected[2]
    stop = threading.Event()

    def ask() -> set[tuple[int, float]]:
        client, seen = app.test_client(), set()
        while not stop.is_set():
            answer = client.post("/api/v1/predict", json={"rows": [a_row()] * 2}).get_json()
            seen |= {(answer["model"]["version"], item["probabilities"]["yes"]) for item in answer["predictions"]}
        return seen

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        for _ in range(5):
            project.registry.promote(NAME, 2, reason="newer", actor="a test")
            app.extensions[KEY].champion.refresh()
            project.registry.rollback(NAME, reason="older", actor="a test")
            app.extensions[KEY].champion.refresh()
        stop.set()
        seen = set().union(*(future.result() for future in asking))
    assert seen <= set(expected.items())
    closed(app)
