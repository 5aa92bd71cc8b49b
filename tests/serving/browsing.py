"""A server of our own on a free loopback port, and a headless Chromium that reports what it complains about."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

START = """
import json
import sys
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    from rowsmith.recipe import Recipe
    from rowsmith.serving.server import serve
    from rowsmith.settings import Settings
    from rowsmith.workflows.project import open_project

    root, port, workers, kind, given, recipe, database = sys.argv[1:8]
    if kind == "waitress":
        sys.modules["granian"] = None
    project = open_project(root, database_url=database).with_recipe(Recipe.from_dict(json.loads(recipe)))
    settings = replace(Settings(), port=int(port), workers=int(workers), **json.loads(given))
    serve(project, settings, on_ready=lambda address: print(address, flush=True))
"""
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Server:
    """A running `serve` in a process of its own."""

    def __init__(
        self,
        root: Path,
        *,
        port: int = 0,
        workers: int = 2,
        kind: str = "granian",
        settings: dict[str, Any] | None = None,
        recipe: dict[str, Any] | None = None,
        database_url: str = "",
        process: dict[str, Any] | None = None,
    ) -> None:
        script = root / "start_server.py"
        script.write_text(START, encoding="utf-8")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        # A file takes any number of complaints; a pipe that nobody reads would hold the server up.
        self._complaints = root / f"server-{time.monotonic_ns()}.log"
        with self._complaints.open("wb") as complaints:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, str(script), str(root), str(port), str(workers), kind),
                    *(json.dumps(settings or {}), json.dumps(recipe or {"name": "loans"}), database_url),
                ],
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                env=environment,
                **(process or {}),
            )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        if not re.fullmatch(r"https?://127\.0\.0\.1:\d+", self.address):
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not start: {self.complaints()}")
        self.port = int(self.address.rsplit(":", 1)[1])

    def workers(self) -> list[psutil.Process]:
        """The processes that answer: forked from one that has imported the application."""
        return [worker for server in self.fork_servers() for worker in children_of(server)]

    def fork_servers(self) -> list[psutil.Process]:
        return [child for child in children_of(psutil.Process(self.process.pid)) if _forks(child)]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """The exit status, and what was written to standard error."""
        self.process.send_signal(how)
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, self.complaints()

    def complaints(self) -> str:
        """What was written to standard error so far."""
        return self._complaints.read_text(encoding="utf-8", errors="replace")


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """None of a process that has just ended."""
    try:
        return list(process.children())
    except psutil.NoSuchProcess:
        return []


def _forks(process: psutil.Process) -> bool:
    try:
        return "multiprocessing.forkserver" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@contextmanager
def running(root: Path, **options: Any) -> Iterator[Server]:
    server = Server(root, **options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
