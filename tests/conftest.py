"""Fixtures that every room's tests may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rowsmith.storage.database import Database, open_database
from tests.clouds import AzureServer, GoogleServer
from tests.s3 import S3Server
from tests.servers import MariaServer, PostgresServer, find_mariadb, find_postgresql


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A running PostgreSQL server; mark the tests that use it with `postgresql`."""
    binaries = find_postgresql()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed")
    server = PostgresServer(binaries)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaServer]:
    """A running MariaDB server; mark the tests that use it with `mariadb`."""
    program = find_mariadb()
    if program is None:
        pytest.skip("no MariaDB server is installed")
    server = MariaServer(program)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A running S3 server."""
    pytest.importorskip("obstore")
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def azure() -> Iterator[AzureServer]:
    """A running server of Azure's blobs, where Azurite is installed."""
    pytest.importorskip("obstore")
    with AzureServer() as server:
        yield server


@pytest.fixture(scope="session")
def google() -> Iterator[GoogleServer]:
    """A running server of Google Cloud Storage, where fake-gcs-server is installed. It is good for reading alone."""
    pytest.importorskip("obstore")
    with GoogleServer() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'rowsmith.db'}"
    server: PostgresServer = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open, migrated database, once of each kind."""
    opened = open_database(database_url)
    yield opened
    opened.close()
