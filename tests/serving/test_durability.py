"""Acknowledged means durable: through kill -9 of worker, server and database, and on a full disk."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from rowsmith.workflows.project import Project, open_project
from tests.servers import PostgresServer
from tests.serving.browsing import Server, running
from tests.serving.killing import BIRTH_SECONDS, Load, check, kill_workers, rounds, wait_for_answers
from tests.serving.models import NAME, a_row, make_project

ROUNDS = 3
PATIENCE = 60.0
SPARE_BYTES = 3_000_000

pytestmark = pytest.mark.slow


def stored(project: Project) -> list[tuple[str, float]]:
    window = project.log.window(NAME, columns=["income"])
    project.log.close()
    project.database.close()
    return list(zip(window.entries["id"], window.inputs["income"], strict=True))


def test_workers_that_are_killed(tmp_path: Path) -> None:
    make_project(tmp_path, "default")
    with running(tmp_path) as server, Load(server.address) as load:
        rounds(load, ROUNDS, lambda: kill_workers(server), pause=BIRTH_SECONDS)
    check(load.acknowledged, stored(open_project(tmp_path)))


def test_a_server_that_is_killed(tmp_path: Path) -> None:
    make_project(tmp_path, "default")
    servers = [Server(tmp_path)]

    def kill() -> None:
        servers[-1].process.kill()
        servers[-1].process.communicate()
        servers.append(Server(tmp_path, port=servers[-1].port))

    try:
        with Load(servers[0].address) as load:
            rounds(load, ROUNDS, kill)
    finally:
        servers[-1].stop()
    check(load.acknowledged, stored(open_project(tmp_path)))


def test_busy_workers_end_with_the_server_that_started_them(tmp_path: Path) -> None:
    make_project(tmp_path, "default")
    server = Server(tmp_path)
    workers = psutil.Process(server.process.pid).children(recursive=True)
    with Load(server.address) as load:
        wait_for_answers(load, 50)
        server.process.kill()
        _, alive = psutil.wait_procs(workers, timeout=8)
        for worker in alive:
            worker.kill()
    server.process.communicate()
    assert alive == [], "they keep the port and answer for nobody"


@pytest.mark.postgresql
def test_a_database_that_is_killed(tmp_path: Path, postgresql: PostgresServer) -> None:
    url = postgresql.new_database()
    make_project(tmp_path, "default", database_url=url)

    def kill() -> None:
        postgresql.kill()
        postgresql.start()

    with running(tmp_path, database_url=url) as server, Load(server.address) as load:
        rounds(load, ROUNDS, kill)
    check(load.acknowledged, stored(open_project(tmp_path, database_url=url)))


def full_disk(root: Path) -> dict[str, Any]:
    """No file of the server's may grow much beyond what the database and its log have now."""
    largest = max(path.stat().st_size for path in root.rglob("rowsmith.db*"))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + SPARE_BYTES, largest + SPARE_BYTES))

    return {"preexec_fn": limit}


def ask_until(server: Server, status: int, path: str = "/api/v1/predict") -> dict[str, float]:
    """Predictions of 200 rows until one is answered with `status`."""
    acknowledged: dict[str, float] = {}
    with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
        for turn in range(2000):
            rows = [a_row(income=float(1000 + 200 * turn + number)) for number in range(200)]
            response = client.post(f"{server.address}{path}", json={"rows": rows})
            if response.status_code == status != 200:
                assert response.headers["Retry-After"] == "5"
                return acknowledged
            assert response.status_code == 200, response.text
            for row, answer in zip(rows, response.json()["predictions"], strict=True):
                acknowledged[answer["id"]] = row["income"]
            if status == 200 and client.get(f"{server.address}/health").json()["log"]["not_kept"]:
                return acknowledged
    raise AssertionError("the disk was never full")


def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    make_project(tmp_path, "default")
    with running(tmp_path, process=full_disk(tmp_path)) as server:
        acknowledged = ask_until(server, 503)
        assert httpx.get(f"{server.address}/health", trust_env=False).status_code == 200
    assert len(acknowledged) >= 200
    check(acknowledged, stored(open_project(tmp_path)))


def test_a_full_disk_where_predictions_go_on(tmp_path: Path) -> None:
    make_project(tmp_path, "default")
    with running(tmp_path, process=full_disk(tmp_path), settings={"log_failure": "go-on"}, workers=1) as server:
        acknowledged = ask_until(server, 200)
        health = httpx.get(f"{server.address}/health", trust_env=False).json()
        metrics = httpx.get(f"{server.address}/metrics", trust_env=False).text
        page = httpx.get(f"{server.address}/monitoring", trust_env=False, timeout=PATIENCE).text
    assert not health["log"]["keeping"] and health["ready"]
    assert f"rowsmith_log_gap_total {health['log']['not_kept']}" in metrics
    assert "the log cannot keep them" in page
    kept = stored(open_project(tmp_path))
    assert len(acknowledged) == len(kept) + health["log"]["not_kept"], "every answer is in the log or in the gap"


def test_personal_columns_are_pseudonyms_in_the_log_of_a_server(tmp_path: Path) -> None:
    make_project(tmp_path, "default")
    recipe = {"name": NAME, "columns": {"personal": ["city"]}}
    with running(tmp_path, recipe=recipe) as server:
        answer = httpx.post(f"{server.address}/api/v1/predict", json={"row": a_row(city="Ada's Town")}, trust_env=False)
        assert answer.status_code == 200
        assert httpx.get(f"{server.address}/monitoring", trust_env=False, timeout=PATIENCE).status_code == 200
    for path in (tmp_path / ".rowsmith").glob("rowsmith.db*"):
        assert b"Ada's Town" not in path.read_bytes()
    project = open_project(tmp_path)
    assert project.log.window(NAME).inputs["city"][0].startswith("pseudonym:")
    assert (tmp_path / ".rowsmith" / "secrets" / "pseudonyms.key").stat().st_mode & 0o777 == 0o600
    project.log.close()
    project.database.close()
