"""Database: one SQLite file, or PostgreSQL by URL; opened, migrated, and its errors translated, in one place.

Durability. A transaction that was acknowledged survives `kill -9` of every process and, because SQLite runs in
WAL mode with `synchronous=FULL` and PostgreSQL with its default `synchronous_commit=on`, a crash of the machine
or a loss of power too, as far as the disk keeps what it has confirmed (https://sqlite.org/pragma.html#pragma_synchronous).

SQLite's WAL needs a local disk; several machines share a PostgreSQL server instead.
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from rowsmith.errors import StorageError
from rowsmith.storage.migrations import is_current, migrate

FILE = "file"
WAIT_SECONDS = 30.0
CONNECT_SECONDS = 10
SHORTEST_PAUSE = 0.0003
LONGEST_PAUSE = 0.005
POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
ALLOWED_URLS = "sqlite:///path/to/file.db or postgresql://user@host/name"

# Part of a database's own words, and what a person can do about it.
ADVICE: tuple[tuple[str, str], ...] = (
    ("database is locked", "another process held the database for too long; end it, then try again"),
    ("lock timeout", "another process held the database for too long; end it, then try again"),
    ("disk is full", "free some space and try again; what was acknowledged before is safe"),
    ("no space left", "free some space and try again; what was acknowledged before is safe"),
    ("unable to open", "check that the folder exists and that this user may write to it"),
    ("readonly", "check that this user may write to the file and to its folder"),
    ("read-only", "check that this user may write to the database"),
    ("not a database", "name another file, or restore this one from a backup"),
    ("malformed", "restore the file from a backup"),
    ("append-only", "append a new line instead of changing an old one"),
    ("authentication failed", "check the user and the password of the database URL"),
    ("no password supplied", "add the password to the database URL or to ~/.pgpass"),
    ("does not exist", "check the names in the database URL; a database is created with createdb"),
    ("connection", "check that the database server runs and that the URL names the right host and port"),
)


def open_database(url: str, *, wait_seconds: float = WAIT_SECONDS) -> Database:
    """Open the database, create it where it is SQLite and missing, and bring its tables up to date.

    `wait_seconds` is how long to wait for another process that holds a lock. Any number of processes may open
    at once. A Database belongs to the process that opened it: open it after a fork. Raises StorageError.
    """
    address = _parse(url)
    database = Database(address, wait_seconds=wait_seconds)
    try:
        with database.reading() as connection:
            current = is_current(connection)
        if not current:
            with database.writing() as connection:
                migrate(connection, now=datetime.now(UTC).isoformat(timespec="seconds"))
    except BaseException:
        database.close()
        raise
    return database


class Database:
    """A pool of connections. `where` names the database in messages, without a secret."""

    def __init__(self, url: URL, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self.where = _describe(url)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._secrets = tuple(filter(None, (url.password, str(url.query.get("password", "")))))
        self._process = os.getpid()
        self._wait_seconds = wait_seconds
        self.engine = _sqlite_engine(url, wait_seconds) if self.is_sqlite else _postgresql_engine(url, wait_seconds)
        self._foreign_errors = (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error)
        self._raw: list[Any] = []
        self._files: dict[int, tuple[int, int] | None] = {}
        weakref.finalize(self, _close, self.engine, self._raw, self._process).atexit = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for queries; on SQLite all of them see one state. Raises StorageError."""
        with self.translated(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def writing(self, *, lock: str = "") -> Iterator[Connection]:
        """One transaction: committed when the block ends well, else rolled back. Raises StorageError.

        `lock` names a table that nobody else may write to meanwhile (SQLite locks the whole database anyhow),
        so that what is read in the block stays true until it ends.
        """
        with self.translated(), self.engine.connect() as connection:
            if self.is_sqlite:
                # IMMEDIATE: a transaction that reads first and writes later could not wait for its turn.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            elif lock:
                connection.exec_driver_sql(f"LOCK TABLE {lock} IN SHARE ROW EXCLUSIVE MODE")
            yield connection
            connection.commit()

    def connect_raw(self) -> Any:
        """A connection of the driver itself, in autocommit mode, for a hot path that keeps it.

        It closes with the Database, or earlier by `close_raw`. Raises StorageError.
        """
        with self.translated():
            pooled = self.engine.raw_connection()
            raw: Any = pooled.driver_connection
            self._files[id(raw)] = pooled.info.get(FILE)
            pooled.detach()
            if self.is_sqlite:
                raw.execute("PRAGMA busy_timeout = 0")
            else:
                raw.autocommit = True
            self._raw.append(raw)
            return raw

    def begin_raw(self, connection: Any, *, wait_seconds: float | None = None) -> None:
        """Begin to write on a raw connection of SQLite, when other processes let it.

        SQLite's own way to wait sleeps up to 100 ms at a time. Asking again sooner made the slowest thousandth of
        appends from two busy processes four times faster.

        Raises StorageError where the file was deleted or replaced since: what is written to it would be lost.
        """
        if self._files.get(id(connection)) != _identity(Path(self.where)):
            raise StorageError(
                "the database file was deleted or replaced while it was in use",
                where=self.where,
                next_step="restore it from a backup; what comes in meanwhile is refused",
            )
        wait = self._wait_seconds if wait_seconds is None else min(wait_seconds, self._wait_seconds)
        deadline, pause = time.monotonic() + wait, SHORTEST_PAUSE
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as problem:
                if problem.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(pause * 1.2, LONGEST_PAUSE)

    def purge(self, *tables: str) -> None:
        """Let go of what was deleted from `tables` as far as the database can: from SQLite's write-ahead log, and from
        the pages of PostgreSQL, which the next rows take. Raises StorageError."""
        raw = self.connect_raw()
        try:
            with self.translated():
                if self.is_sqlite:
                    raw.execute("PRAGMA busy_timeout = 5000")
                    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                else:
                    raw.execute(f"VACUUM {', '.join(tables)}")
        finally:
            self.close_raw(raw)

    def close_raw(self, connection: Any) -> None:
        self._raw.remove(connection)
        self._files.pop(id(connection), None)
        connection.close()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """The boundary: an error of the driver or of SQLAlchemy inside the block leaves it as StorageError."""
        if os.getpid() != self._process:
            raise StorageError(
                "this database was opened by another process", where=self.where, next_step="open it after the fork"
            )
        try:
            yield
        except self._foreign_errors as problem:
            raise self._explain(problem) from problem

    def close(self) -> None:
        """Close every connection; happens by itself when nobody holds the Database any more."""
        _close(self.engine, self._raw, self._process)

    def _explain(self, problem: Exception) -> StorageError:
        """The driver's first line, without SQL, parameters and secrets, and what to do about it."""
        cause = problem.orig if isinstance(problem, DBAPIError) and problem.orig is not None else problem
        # PostgreSQL's details quote the row at fault, which may be personal.
        details = getattr(getattr(cause, "diag", None), "message_primary", None) or str(cause)
        what = " ".join(details.split("\n", 1)[0].split()) or type(cause).__name__
        for secret in self._secrets:
            what = what.replace(secret, "***")
        next_step = next((advice for part, advice in ADVICE if part in what.lower()), "")
        return StorageError(f"the database failed: {what}", where=self.where, next_step=next_step)


def _close(engine: Engine, raw: list[Any], process: int) -> None:
    # A child process has copies of its parent's connections, and would end the parent's sessions.
    if os.getpid() == process:
        while raw:
            raw.pop().close()
        engine.dispose()


def _parse(url: str) -> URL:
    try:
        address = make_url(url)
    except (SQLAlchemyError, ValueError):
        # The cause would quote the URL, password and all.
        raise StorageError("this is not the URL of a database", allowed=ALLOWED_URLS) from None
    if address.drivername in POSTGRESQL:
        return address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() != "sqlite":
        raise StorageError("this kind of database is not supported", received=address.drivername, allowed=ALLOWED_URLS)
    if not address.database or address.database == ":memory:":
        raise StorageError("a SQLite database needs a file, since several processes share it", allowed=ALLOWED_URLS)
    return address


def _describe(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return url.database or ""
    host = url.host or str(url.query.get("host", ""))
    return url.set(drivername="postgresql", password=None, host=host, query={}).render_as_string()


def _sqlite_engine(url: URL, wait_seconds: float) -> Engine:
    path = Path(url.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StorageError(f"cannot make the folder: {problem.strerror}", where=str(path.parent)) from problem
    # isolation_level None: the sqlite3 module starts no transactions of its own; Database does.
    options = {"timeout": wait_seconds, "isolation_level": None}
    engine = create_engine(url, connect_args=options, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        _use_wal(connection, wait_seconds)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What is deleted is overwritten: rows of a person who asks to be forgotten must not stay in free pages.
        connection.execute("PRAGMA secure_delete = ON")
        record.info[FILE] = _identity(path)

    @event.listens_for(engine, "checkout")
    def open_again_what_was_replaced(_: object, record: ConnectionPoolEntry, __: object) -> None:
        if record.info.get(FILE) != _identity(path):
            raise InvalidatePoolError()  # the pool opens the file anew

    return engine


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file lies at a path. A deleted one can be written to without an error as long as it is open."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _use_wal(connection: sqlite3.Connection, wait_seconds: float) -> None:
    """The change to WAL does not wait for other processes by itself, so it is tried again."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as problem:
            if "locked" not in str(problem) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
            continue
        if mode != "wal":
            raise sqlite3.OperationalError("unable to open in WAL mode, which needs a local disk")
        return


def _postgresql_engine(url: URL, wait_seconds: float) -> Engine:
    usual = {"connect_timeout": str(CONNECT_SECONDS), "tcp_user_timeout": str(CONNECT_SECONDS * 1000)}
    url = url.update_query_dict({name: value for name, value in usual.items() if name not in url.query})
    engine = create_engine(url, pool_pre_ping=True, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.execute(f"SET lock_timeout = {int(wait_seconds * 1000)}")
        connection.execute("SET application_name = 'rowsmith'")
        connection.commit()

    return engine
