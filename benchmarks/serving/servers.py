"""Servers of our own and of others: started in a process group, waited for, measured, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

START_SECONDS = 120.0
STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Running:
    """`seconds` is from the start of the process to the first answer."""

    address: str
    seconds: float
    process: subprocess.Popen[bytes]

    def worker_megabytes(self) -> float:
        """Of the largest worker process (resident set)."""
        return max(self.megabytes().values())

    def megabytes(self) -> dict[int, float]:
        """Resident set of each worker, by its process id: of what listens below the process, or else of itself."""
        port = int(self.address.rsplit(":", 1)[1])
        root = psutil.Process(self.process.pid)
        sizes = {}
        for child in root.children(recursive=True):
            try:
                if any(place.status == psutil.CONN_LISTEN and place.laddr.port == port for place in _sockets(child)):
                    sizes[child.pid] = child.memory_info().rss / 1e6
            except psutil.Error:
                continue
        return sizes or {root.pid: root.memory_info().rss / 1e6}


def _sockets(process: psutil.Process) -> Any:
    return process.net_connections(kind="inet")


@contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    ready: str,
    body: bytes | None = None,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """A server on `port`, once POST (or, without a body, GET) of the path `ready` is answered with 200."""
    address = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    with (folder / f"server-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=log,
            env=os.environ | dict(environment or {}),
            start_new_session=True,
        )
    try:
        _wait(process, address + ready, body, Path(log.name))
        yield Running(address, time.perf_counter() - began, process)
    finally:
        _stop(process)


def _wait(process: subprocess.Popen[bytes], url: str, body: bytes | None, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline and process.poll() is None:
        try:
            request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
            opener.open(request, timeout=30).close()
            return
        except urllib.error.HTTPError as problem:
            raise SystemExit(f"{url} answered {problem.code}: {problem.read()[:500]!r}") from problem
        except OSError:
            time.sleep(0.01)
    raise SystemExit(f"{url} did not answer:\n{log.read_text(errors='replace')[-3000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """The whole process group, which is ours alone."""
    group = os.getpgid(process.pid) if process.poll() is None else None
    if group is None:
        return
    os.killpg(group, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(group, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rowsmith(root: Path, body: bytes, *, log: bool = True) -> AbstractContextManager[Running]:
    """`rowsmith serve` over a project, with two workers."""
    port = free_port()
    environment = {"ROWSMITH_WORKERS": "2", "ROWSMITH_LOG_PREDICTIONS": str(int(log)), "PORT": str(port)}
    command = [sys.executable, "-m", "rowsmith", "serve", "--port", str(port)]
    return running(command, port=port, ready="/api/v1/predict", body=body, folder=root, environment=environment)
