"""Callers who send their bodies byte by byte keep nobody else out, and are cut off."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from rowsmith.serving import slow_bodies
from rowsmith.serving.server import THREADS
from rowsmith.serving.turns import LARGE_BYTES
from tests.serving.browsing import Server, running
from tests.serving.models import a_row, make_project

PATIENCE = 60.0
CALLERS = 50
JSON = {"Content-Type": "application/json"}
HEAD = "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{length}\r\n\r\n"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not slow_bodies.IS_POSSIBLE, reason="connections are looked at through Linux"),
]


@contextmanager
def slow_callers(server: Server, number: int, length: str) -> Iterator[list[socket.socket]]:
    """Connections whose bodies have begun, and go on byte by byte."""
    enough = threading.Event()
    with ExitStack() as opened:
        sockets = [
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
            for _ in range(number)
        ]
        for one in sockets:
            one.sendall(HEAD.format(path="/api/v1/predict", length=length).encode())

        def drip() -> None:
            while not enough.wait(0.5):
                for one in sockets:
                    try:
                        one.sendall(b"1\r\n \r\n" if "chunked" in length else b" ")
                    except OSError:
                        return  # cut off

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            yield sockets
        finally:
            enough.set()
            dripping.join()


def ask(server: Server) -> int:
    url = f"{server.address}/api/v1/predict"
    return httpx.post(url, json={"row": a_row()}, trust_env=False, timeout=PATIENCE).status_code


def status_of(one: socket.socket) -> int:
    with one.makefile("rb") as answer:
        return int(answer.readline().split()[1])


def test_callers_who_send_a_byte_at_a_time_keep_nobody_out(tmp_path: Path) -> None:
    make_project(tmp_path, "default")
    with (
        running(tmp_path, workers=1, settings={"body_seconds": 3}) as server,
        slow_callers(server, CALLERS, "Content-Length: 5000") as slow,
    ):
        assert [ask(server) for _ in range(20)] == [200] * 20
        assert {status_of(one) for one in slow} == {408}
        assert ask(server) == 200
        assert "Traceback" not in server.complaints() and "threads" not in server.complaints()


def test_large_bodies_that_come_slowly_keep_small_ones_out_of_nothing(tmp_path: Path) -> None:
    make_project(tmp_path, "default")
    with (
        running(tmp_path, workers=1, settings={"body_seconds": 600}) as server,
        slow_callers(server, THREADS, "Transfer-Encoding: chunked"),
        httpx.Client(base_url=server.address, trust_env=False, timeout=PATIENCE) as client,
    ):
        body = json.dumps({"row": a_row()}).encode() + b" " * LARGE_BYTES
        deadline = time.monotonic() + PATIENCE
        while (large := client.post("/api/v1/predict", content=body, headers=JSON)).status_code == 200:
            assert time.monotonic() < deadline, "the slow ones have all begun by now"
        assert (large.status_code, large.headers["Retry-After"]) == (503, "5")
        assert ask(server) == 200
    with running(tmp_path, workers=1) as server, httpx.Client(base_url=server.address, trust_env=False) as client:
        for _ in range(THREADS + 1):  # a place that was taken is given back
            assert client.post("/api/v1/predict", content=body, headers=JSON).is_success


def test_connections_tell_what_they_received() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as caller:
            accepted, peer = listening.accept()
            with accepted:
                caller.sendall(b"x" * 1234)
                accepted.recv(5000)
                found = list(slow_bodies.connections(port))
    assert [(one.peer, one.received) for one in found] == [(peer, 1234)]
    assert found[0].idle_seconds < PATIENCE
