"""A PostgreSQL server of the tests' own: in a temporary folder, on a unix socket, stopped by its own process id."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg

START_SECONDS = 60
USERS = ("postgres", "nobody")


def find_postgresql() -> Path | None:
    """The folder with initdb and postgres: a Debian one, or that in PATH; None where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    if found := shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    return next((f for f in folders if (f / "postgres").exists() and (f / "initdb").exists()), None)


def _other_user() -> dict[str, Any]:
    """How to start a process as an ordinary user: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError(f"PostgreSQL refuses to run as root, and none of the users {', '.join(USERS)} exists")


class PostgresServer:
    """`start`, `kill` and `start` again keep the data; `close` removes it.

    It does not wait for the disk: what is tested here is the crash of a program, not of the machine.
    """

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._who = _other_user()
        # Not pytest's own temporary folder: that is private, and a socket's path has to be short.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        if self._who:
            os.chown(self.folder, self._who["user"], self._who["group"])
        options = ["-D", "data", "-U", "rowsmith", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([binaries / "initdb", *options], check=True, capture_output=True, cwd=self.folder, **self._who)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._binaries / "postgres",
                    "-D",
                    "data",
                    "-k",
                    self.folder,
                    "-c",
                    "listen_addresses=",
                    "-c",
                    "fsync=off",
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._who,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self._conninfo()).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.05)

    def new_database(self) -> str:
        """The URL of a fresh, empty database."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self._conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://rowsmith@/{name}?host={self.folder}"

    def kill(self) -> None:
        """A crash: every connection ends at once, nothing more is written, and `start` recovers from the log."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(START_SECONDS)
            self._process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _conninfo(self) -> str:
        return f"host={self.folder} user=rowsmith dbname=postgres"
