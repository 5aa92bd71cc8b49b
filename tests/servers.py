"""Servers of the tests' own, PostgreSQL and MariaDB: in temporary folders, stopped by their own process ids."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pymysql

START_SECONDS = 60
USERS = ("postgres", "mysql", "nobody")


def find_postgresql() -> Path | None:
    """The folder with initdb and postgres: a Debian one, or that in PATH; None where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    if found := shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    return next((f for f in folders if (f / "postgres").exists() and (f / "initdb").exists()), None)


def _other_user() -> dict[str, Any]:
    """How to start a process as an ordinary user: PostgreSQL refuses to run as root, and MariaDB should."""
    if os.getuid() != 0:
        return {}
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError(f"PostgreSQL refuses to run as root, and none of the users {', '.join(USERS)} exists")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PostgresServer:
    """`start`, `kill` and `start` again keep the data; `close` removes it.

    It does not wait for the disk: what is tested here is the crash of a program, not of the machine.
    """

    reader, password = "reader", "hush/p@ss word"

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._who = _other_user()
        # Not pytest's own temporary folder: that is private, and a socket's path has to be short.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        if self._who:
            os.chown(self.folder, self._who["user"], self._who["group"])
        self.port = free_port()
        options = ["-D", "data", "-U", "rowsmith", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([binaries / "initdb", *options], check=True, capture_output=True, cwd=self.folder, **self._who)
        # Whoever comes over the network needs a password, and may ask for encryption.
        (self.folder / "data" / "pg_hba.conf").write_text(
            "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        self.has_certificate = self._make_certificate()

    def _make_certificate(self) -> bool:
        """Signed by nobody but itself."""
        if shutil.which("openssl") is None:
            return False
        request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        files = ["-keyout", "data/server.key", "-out", "data/server.crt"]
        subprocess.run(["openssl", *request, *files], check=True, capture_output=True, cwd=self.folder, **self._who)
        return True

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
                    "listen_addresses=127.0.0.1",
                    "-c",
                    f"port={self.port}",
                    "-c",
                    f"ssl={'on' if self.has_certificate else 'off'}",
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
                with psycopg.connect(self._conninfo(), autocommit=True) as connection:
                    self._make_reader(connection)
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
        return f"postgresql://rowsmith@/{name}?host={self.folder}&port={self.port}"

    def over_the_network(self, url: str) -> str:
        """The same database by a port of the loopback, with ${SECRET} for the password of a user that reads."""
        name = url.partition("/@/")[2] or url.rpartition("@/")[2]
        return f"postgresql://{self.reader}:${{SECRET}}@127.0.0.1:{self.port}/{name.partition('?')[0]}"

    def _make_reader(self, connection: psycopg.Connection[Any]) -> None:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [self.reader]).fetchone() is None:
            password = psycopg.sql.Literal(self.password).as_string(connection)
            connection.execute(f"CREATE ROLE {self.reader} LOGIN PASSWORD {password}".encode())
            connection.execute(f"GRANT pg_read_all_data TO {self.reader}".encode())

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
        return f"host={self.folder} port={self.port} user=rowsmith dbname=postgres"


def find_mariadb() -> Path | None:
    """The server's program, with mariadb-install-db beside or in PATH; None where there is none."""
    folders = [Path("/usr/sbin"), *(Path(folder) for folder in os.environ.get("PATH", "").split(":"))]
    program = next((folder / "mariadbd" for folder in folders if (folder / "mariadbd").exists()), None)
    return program if shutil.which("mariadb-install-db") else None


class MariaServer:
    """On a unix socket and, for those who want one, a port on the loopback. `user` may read and write everything."""

    user, password = "rowsmith", "hush/p@ss word"

    def __init__(self, program: Path) -> None:
        self._program = program
        self._who = _other_user()
        self.folder = Path(tempfile.mkdtemp(prefix="maria-"))
        self.socket = self.folder / "s"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if self._who:
            os.chown(self.folder, self._who["user"], self._who["group"])
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={self.folder / 'data'}", "--skip-test-db"]
        options = ["--auth-root-authentication-method=normal", "--skip-log-bin"]
        subprocess.run([*install, *options], check=True, capture_output=True, cwd=self.folder, **self._who)
        self.certificate = self._make_certificate()

    def _make_certificate(self) -> Path | None:
        """Signed by itself, for 127.0.0.1 and no other name; None without openssl."""
        if shutil.which("openssl") is None:
            return None
        request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=database"]
        files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key", "-out", "server.crt"]
        subprocess.run(["openssl", *request, *files], check=True, capture_output=True, cwd=self.folder, **self._who)
        return self.folder / "server.crt"

    def start(self) -> None:
        options = [
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            f"--pid-file={self.folder / 'pid'}",
            "--bind-address=127.0.0.1",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=64M",
        ]
        if self.certificate is not None:
            options += [f"--ssl-cert={self.certificate}", f"--ssl-key={self.folder / 'server.key'}"]
        with (self.folder / "log").open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(
                [self._program, *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._who,
            )
        deadline = time.monotonic() + START_SECONDS
        while b"ready for connections" not in (self.folder / "log").read_bytes()[begin:]:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)
        self.run(f"CREATE USER IF NOT EXISTS '{self.user}'@'%' IDENTIFIED BY '{self.password}'")
        self.run(f"GRANT ALL ON *.* TO '{self.user}'@'%'")

    def run(self, *statements: str, database: str | None = None) -> None:
        """As root, over the socket."""
        with pymysql.connect(unix_socket=str(self.socket), user="root", database=database) as connection:
            for statement in statements:
                connection.cursor().execute(statement)
            connection.commit()

    def new_database(self) -> str:
        """The address of a fresh, empty database, with ${SECRET} for the password."""
        name = f"test_{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"mysql://{self.user}:${{SECRET}}@127.0.0.1:{self.port}/{name}"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_SECONDS)
            self._process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
