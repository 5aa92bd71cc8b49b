"""The server as a process: it listens, says so, survives what is killed, and ends cleanly."""

from __future__ import annotations

import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from rowsmith.errors import SettingsError, UsageError
from rowsmith.serving.server import claim, serve, url_of
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.browsing import Server, running
from tests.serving.models import a_row, make_project, register, train

PATIENCE = 60.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_project(tmp_path, "default")
    return tmp_path


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=PATIENCE) as opened:
        yield opened


def eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.05)
    return False


def workers_of(server: Server) -> list[psutil.Process]:
    return [child for child in psutil.Process(server.process.pid).children() if _works(child)]


def answers(client: httpx.Client, server: Server) -> bool:
    """Whether anybody listens: the address is told once the first worker does, and that one may be dead by now."""
    try:
        return client.get(f"{server.address}/health").status_code == 200
    except httpx.TransportError:
        return False


def _works(process: psutil.Process) -> bool:
    """Whether it is a spawned worker, and not one that has just died."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@pytest.mark.parametrize("kind", ["granian", "waitress"])
def test_it_answers_once_it_says_so_and_ends_cleanly(root: Path, client: httpx.Client, kind: str) -> None:
    server = Server(root, kind=kind)
    response = client.post(f"{server.address}/api/v1/predict", json={"row": a_row()})
    assert response.status_code == 200
    processes = workers_of(server)
    assert len(processes) == (2 if kind == "granian" else 0)
    status, errors = server.stop()
    assert status == 0, errors
    assert "Traceback" not in errors
    assert eventually(lambda: not any(process.is_running() for process in processes))


@pytest.mark.slow
def test_ctrl_c_ends_it(root: Path) -> None:
    server = Server(root)
    status, errors = server.stop(signal.SIGINT)
    assert status == 0, errors


@pytest.mark.slow
def test_counters_add_up_over_the_workers(root: Path, client: httpx.Client) -> None:
    with running(root) as server:
        for _ in range(20):
            with httpx.Client(trust_env=False) as other:
                other.post(f"{server.address}/api/v1/predict", json={"row": a_row()}).raise_for_status()
        text = client.get(f"{server.address}/metrics").text
    assert 'rowsmith_requests_total{method="POST",route="/api/v1/predict",status="200"} 20' in text


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(root: Path, client: httpx.Client) -> None:
    with running(root) as server:
        old = workers_of(server)
        old[0].kill()
        assert eventually(lambda: len(workers_of(server)) == 2 and old[0] not in workers_of(server))
        assert eventually(lambda: answers(client, server))


@pytest.mark.slow
def test_workers_end_with_a_parent_that_was_killed_and_the_port_is_free_again(root: Path, client: httpx.Client) -> None:
    server = Server(root)
    processes = workers_of(server)
    server.stop(signal.SIGKILL)
    with running(root, port=server.port) as again:
        assert again.port == server.port
        assert client.get(f"{again.address}/health").status_code == 200
        assert eventually(lambda: not any(process.is_running() for process in processes))


@pytest.mark.slow
def test_a_promotion_is_followed_by_every_worker(root: Path, client: httpx.Client) -> None:
    with running(root) as server:
        project = make_project(root)
        register(project, train("default", seed=5))

        def all_new() -> bool:
            versions = set()
            for _ in range(8):
                with httpx.Client(trust_env=False) as other:
                    versions.add(other.get(f"{server.address}/health").json()["version"])
            return versions == {2}

        assert eventually(all_new)


@pytest.mark.slow
def test_no_acknowledged_prediction_is_lost_when_the_server_is_killed(root: Path) -> None:
    """200 requests while the process is killed with SIGKILL and started again."""
    server = Server(root)
    acknowledged: list[str] = []
    lock, stop = threading.Lock(), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                with httpx.Client(trust_env=False, timeout=10) as other:
                    response = other.post(f"{server.address}/api/v1/predict", json={"row": a_row()})
            except httpx.HTTPError:
                continue
            if response.status_code == 200:
                with lock:
                    acknowledged.append(response.json()["predictions"][0]["id"])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for wanted in (60, 120):
        assert eventually(lambda wanted=wanted: len(acknowledged) >= wanted)  # type: ignore[misc]
        server.stop(signal.SIGKILL)
        server = Server(root, port=server.port)
    assert eventually(lambda: len(acknowledged) >= 200)
    stop.set()
    for thread in threads:
        thread.join()
    server.stop()
    project = make_project(root)
    kept = set(project.log.window("loans").entries["id"].to_list())
    assert len(acknowledged) == len(set(acknowledged))
    assert set(acknowledged) <= kept
    project.log.close()
    project.database.close()


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}.*--port {port + 1}"):
            claim("127.0.0.1", port)


def test_a_host_that_is_not_of_this_machine() -> None:
    with pytest.raises(SettingsError, match="cannot listen"):
        claim("192.0.2.1", 0)


def test_a_free_port_is_found() -> None:
    assert 0 < claim("127.0.0.1", 0) < 65536


def test_other_machines_are_let_in_on_request_only(binary_project: Project) -> None:
    with pytest.raises(UsageError, match="without a key"):
        serve(binary_project, Settings(host="0.0.0.0", port=0))


def test_addresses() -> None:
    assert url_of("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert url_of("::1", 80) == "http://[::1]:80"


def test_settings_reach_a_spawned_worker(binary_project: Project) -> None:
    """They travel by pickle inside one machine, started by us: a project must not bring its open database along."""
    import pickle
    from dataclasses import replace

    assert binary_project.registry.names()
    sent = pickle.loads(pickle.dumps((replace(binary_project), Settings())))
    assert sent[0].root == binary_project.root and "database" not in vars(sent[0])


def test_no_answer_is_given_that_a_deleted_store_would_lose(tmp_path: Path) -> None:
    make_project(tmp_path, "default")
    with running(tmp_path, workers=1) as server:
        url = f"{server.address}/api/v1/predict"
        assert httpx.post(url, json={"row": a_row()}, trust_env=False).status_code == 200
        (tmp_path / ".rowsmith").rename(tmp_path / "moved")
        assert httpx.post(url, json={"row": a_row()}, trust_env=False).status_code == 503
        shutil.rmtree(tmp_path / ".rowsmith", ignore_errors=True)
        (tmp_path / "moved").rename(tmp_path / ".rowsmith")
        assert httpx.post(url, json={"row": a_row()}, trust_env=False).status_code == 200
