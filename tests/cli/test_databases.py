"""From a live database by the command line: what is kept holds no password."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.cli.conftest import Command
from tests.servers import PostgresServer

TABLE = (
    "CREATE TABLE loans AS SELECT i AS id, i % 7 AS a, i % 7 + i * 7919 % 5 > 5 AS bad FROM generate_series(1, 700) i"
)


@pytest.fixture
def address(postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    url = postgresql.new_database()
    with psycopg.connect(url) as connection:
        connection.execute(TABLE)
    monkeypatch.setenv("SECRET", postgresql.password)
    return postgresql.over_the_network(url)


@pytest.mark.postgresql
def test_a_database_becomes_a_champion(rowsmith: Command, address: str, tmp_path: Path) -> None:
    options = ("--table", "loans", "--target", "bad", "--max-trials", "2", "--project", tmp_path, "--json")
    ended = rowsmith("run", address, *options)
    assert ended.code == 0 and ended.json["promoted"], ended.err
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for spelling in (b"hush", b"ss word", b"ss%20word"):
        assert not any(spelling in content for content in kept)
    assert any(b"postgresql://reader@127.0.0.1" in content for content in kept)


@pytest.mark.postgresql
def test_only_what_is_new_is_read(rowsmith: Command, address: str, tmp_path: Path, postgresql: PostgresServer) -> None:
    options = (address, "--table", "loans", "--cursor", "id", "--key", "id", "--project", tmp_path, "--json")
    first = rowsmith("ingest", *options).json
    assert (first["before"], first["nothing_new"], first["rows_added"]) == (None, False, 700)
    again = rowsmith("ingest", *options).json
    assert again["nothing_new"] and again["snapshot"]["id"] == first["snapshot"]["id"] and "schema" not in again
    url = f"postgresql://rowsmith@/{address.rpartition('/')[2]}?host={postgresql.folder}&port={postgresql.port}"
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO loans VALUES (701, 1, true)")
        connection.execute("UPDATE loans SET a = 99 WHERE id = 700")
    more = rowsmith("ingest", *options).json
    assert (more["rows_added"], more["rows_replaced"], more["snapshot"]["rows"]) == (1, 1, 701)
    with psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE loans ADD COLUMN extra text")
    stopped = rowsmith("ingest", *options)
    assert stopped.code == 3 and "extra" in stopped.json["error"]["received"]
    added = rowsmith("ingest", "--on-schema-change", "add", *options).json
    assert added["schema_change"]["added"] == {"extra": "String"} and "extra" in added["snapshot"]["columns"]
    assert rowsmith("ingest", "--on-schema-change", "add", *options).json["nothing_new"]
    assert "Nothing new" in rowsmith("ingest", "--on-schema-change", "add", *options[:-1]).out


@pytest.mark.postgresql
def test_the_recipe_says_where_and_what(
    rowsmith: Command, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgresql: PostgresServer
) -> None:
    (tmp_path / "some.sql").write_text("SELECT a, bad FROM loans WHERE id <= :most")
    (tmp_path / "rowsmith.toml").write_text(
        '[data]\nsource = "${LOANS}"\n[data.sql]\nquery = "some.sql"\nparams = {most = 50}\n[target]\ncolumn = "bad"\n'
    )
    monkeypatch.setenv("LOANS", address.replace("${SECRET}", "hush%2Fp%40ss%20word"))
    here = ("--project", tmp_path, "--json")
    assert rowsmith("ingest", *here).json["snapshot"]["rows"] == 50
    assert rowsmith("ingest", "--param", "most=20", *here).json["snapshot"]["rows"] == 20
    assert rowsmith("ingest", "--table", "loans", *here).json["snapshot"]["rows"] == 700
    ended = rowsmith("ingest", "--table", "none", *here)
    assert ended.code == 3 and "loans" in ended.json["error"]["next_step"]
    assert "hush" not in ended.out + ended.err
    assert rowsmith("ingest", "--param", "most", *here).code == 2
