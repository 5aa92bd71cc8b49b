"""The server as a process: it listens, says so, survives what is killed, and ends cleanly."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from rowsmith.access.keys import KeyRole, KeyStore
from rowsmith.errors import SettingsError, UsageError
from rowsmith.serving.server import claim, serve, url_of
from rowsmith.settings import Settings
from rowsmith.storage import audit
from rowsmith.workflows.project import Project, open_project
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


def answers(client: httpx.Client, server: Server) -> bool:
    """Whether anybody listens: the address is told once the first worker does, and that one may be dead by now."""
    try:
        return client.get(f"{server.address}/health").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("kind", ["granian", "waitress"])
def test_it_answers_once_it_says_so_and_ends_cleanly(root: Path, client: httpx.Client, kind: str) -> None:
    server = Server(root, kind=kind)
    response = client.post(f"{server.address}/api/v1/predict", json={"row": a_row()})
    assert response.status_code == 200
    processes = server.workers()
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
        old = server.workers()
        old[0].kill()
        assert eventually(lambda: len(server.workers()) == 2 and old[0] not in server.workers())
        assert eventually(lambda: answers(client, server))


@pytest.mark.slow
def test_workers_are_replaced_with_the_process_that_they_were_forked_from(root: Path, client: httpx.Client) -> None:
    with running(root) as server:
        old, forking = server.workers(), server.fork_servers()
        forking[0].kill()
        assert eventually(lambda: len(server.workers()) == 2 and forking[0] not in server.fork_servers())
        assert eventually(lambda: not any(worker.is_running() for worker in old))
        assert eventually(lambda: answers(client, server))


@pytest.mark.slow
def test_workers_end_with_a_parent_that_was_killed_and_the_port_is_free_again(root: Path, client: httpx.Client) -> None:
    server = Server(root)
    processes = server.workers()
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


def test_other_machines_are_let_in_with_keys_only(binary_project: Project) -> None:
    with pytest.raises(UsageError, match=r"no key yet.*rowsmith keys create"):
        serve(binary_project, Settings(host="0.0.0.0", port=0))


@pytest.mark.parametrize(("cert", "key"), [("c.pem", ""), ("", "k.pem"), ("c.pem", "k.pem")])
def test_a_certificate_that_cannot_be_used(binary_project: Project, cert: str, key: str) -> None:
    with pytest.raises(SettingsError, match=r"certificate|private key"):
        serve(binary_project, Settings(port=0, tls_cert=cert, tls_key=key))


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, made by the openssl command."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command is not installed")
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    where = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([openssl, *made, *where], check=True, capture_output=True)
    return cert, key


def test_keys_and_tls_in_a_running_server(root: Path) -> None:
    cert, key = certificate(root)
    project = open_project(root)
    store = KeyStore(project.database)
    secret = store.create("ci", KeyRole.PREDICT, actor="a test", rate=5)[1]
    settings = {"require_keys": True, "tls_cert": str(cert), "tls_key": str(key)}
    with running(root, settings=settings) as server:
        assert server.address.startswith("https://")
        trust = ssl.create_default_context(cafile=str(cert))
        header = {"Authorization": f"Bearer {secret}"}

        def ask(headers: dict[str, str]) -> httpx.Response:
            # A connection each, so that both workers are asked.
            with httpx.Client(trust_env=False, timeout=PATIENCE, verify=trust) as browser:
                return browser.post(f"{server.address}/api/v1/predict", json={"row": a_row()}, headers=headers)

        assert ask({}).status_code == 401
        answers = [ask(header) for _ in range(8)]
        assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 3, "workers share the limit"
        assert "max-age" in answers[0].headers["Strict-Transport-Security"]
        store.revoke("ci", actor="a test")
        time.sleep(1.0)
        assert {ask(header).status_code for _ in range(6)} == {401}
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{server.port}/health", trust_env=False)
    lines = audit.lines(project.database, action="settings")
    assert lines[-1].details["changed"] == ["port", "require_keys", "tls_cert", "tls_key"]
    assert store.list()[0].last_used is not None
    project.database.close()


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


@pytest.mark.slow
def test_the_log_of_a_running_server_is_json_with_ids_and_no_values(root: Path, client: httpx.Client) -> None:
    """All of it: every process, granian's own lines, requests that succeed and that fail."""
    server = Server(root, settings={"log_format": "json", "log_level": "info"})
    row = {**a_row(), "city": "Zwiebelkuchen-77"}
    for number in range(10):
        headers = {"X-Request-Id": f"test-{number}"}
        client.post(f"{server.address}/api/v1/predict", json={"row": row}, headers=headers).raise_for_status()
    refused = client.post(f"{server.address}/api/v1/predict", json={"row": {"age": "Zwiebelkuchen-77"}})
    assert refused.status_code == 422
    server.workers()[0].kill()
    assert eventually(lambda: len(server.workers()) == 2)
    _, errors = server.stop()
    lines = [json.loads(line) for line in errors.splitlines()]
    asked = [line for line in lines if line["logger"] == "rowsmith.requests" and line["status"] == 200]
    assert {f"test-{number}" for number in range(10)} <= {line["request_id"] for line in asked}
    assert [line["request_id"] for line in lines if line.get("status") == 422] == [refused.headers["X-Request-Id"]]
    assert "Zwiebelkuchen" not in errors
