"""Databases, against real servers: types, what is asked for, and faults."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote

import polars as pl
import psycopg
import pytest

from rowsmith.errors import RecipeError, RowsmithError, SourceError, StorageError
from rowsmith.ingestion.sources import Context, Secrets, read_batches, read_frame
from rowsmith.ingestion.sources.databases.question import Dialect, question_of
from rowsmith.ingestion.sources.databases.server import Connection
from rowsmith.recipe_data import DataSection
from rowsmith.workflows.project import open_project
from rowsmith.workflows.reading import take
from tests.servers import MariaServer, PostgresServer

PASSWORD = PostgresServer.password
ASKED = Dialect(lambda name: f"<{name}>", lambda value: f"[{value}]")


def context(root: Path = Path(), **more: str) -> Context:
    return Context(Secrets({"SECRET": PASSWORD, **more}), root=root)


def read(origin: object, **sql: object) -> pl.DataFrame:
    return read_frame(origin, DataSection.model_validate({"sql": sql}), context())


def refused(origin: object, **sql: object) -> RowsmithError:
    """What is said instead of rows: always with a next step, never with the password."""
    with pytest.raises((SourceError, RecipeError)) as caught:
        read(origin, **sql)
    assert caught.value.next_step
    assert "hush" not in f"{caught.value} {caught.value.__cause__}"
    return caught.value


@pytest.mark.parametrize(
    ("table", "relation"),
    [("loans", "<loans>"), ("s.loans", "<s>.<loans>"), ('"a.b"', "<a.b>"), ('s."a""b"', '<s>.<a"b>')],
)
def test_names_of_tables(table: str, relation: str) -> None:
    question = question_of(DataSection.model_validate({"sql": {"table": table}}), context(), ASKED)
    assert question is not None and question.relation == relation


@pytest.mark.parametrize(
    ("query", "bound"),
    [
        ("SELECT :x", "SELECT [1]"),
        ("SELECT ':x', :x -- :x ; y\n", "SELECT ':x', [1] -- :x ; y"),
        ("SELECT a::int, :x;", "SELECT a::int, [1]"),
        ("/* ; */ WITH t AS (SELECT ';') SELECT :x ; -- end", "/* ; */ WITH t AS (SELECT ';') SELECT [1]"),
        ('SELECT ":x", $$ :x ; $$, :x', 'SELECT ":x", $$ :x ; $$, [1]'),
    ],
)
def test_values_are_bound_where_they_are_named(query: str, bound: str) -> None:
    options = DataSection.model_validate({"sql": {"query": query, "params": {"x": 1}}})
    question = question_of(options, context(), ASKED)
    assert question is not None and question.relation == f"(\n{bound}\n) AS asked"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ({"query": "DELETE FROM x"}, "begins with DELETE"),
        ({"query": "-- just\n drop table x"}, "begins with DROP"),
        ({"query": "SELECT 1; DROP TABLE x"}, "more than one statement"),
        ({"query": "  "}, "empty"),
        ({"query": "SELECT :x"}, "wants a value for :x"),
        ({"query": "SELECT 1", "params": {"x": 1}}, 'no place for the value "x"'),
        ({"query": "none.sql"}, "cannot be read"),
        ({"query": "SELECT 1", "table": "x"}, "not both"),
        ({"table": "x", "params": {"x": 1}}, "bound in a query"),
        ({"table": ""}, "no name of a table"),
    ],
)
def test_what_cannot_be_asked(sql: Mapping[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        question_of(DataSection.model_validate({"sql": sql}), context(), ASKED)


@pytest.fixture
def loans(postgresql: PostgresServer) -> str:
    url = postgresql.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE loans AS SELECT i AS id, i % 3 AS grade FROM generate_series(1, 1000) i")
        connection.execute("CREATE SEQUENCE counter")
    return url


@pytest.mark.postgresql
def test_postgresql_types(postgresql: PostgresServer) -> None:
    url = postgresql.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('glad')")
        connection.execute("CREATE DOMAIN small AS int")
        connection.execute(
            "CREATE TABLE kinds (n numeric, n2 numeric(10, 2), n0 numeric(9, 0), ts timestamp, tz timestamptz, d date,"
            " b bool, ia int[], ta text[], na numeric[], j json, jb jsonb, u uuid, iv interval, t time, by bytea,"
            ' m mood, p small, r real, c char(3), mo money, "We""ird" text)'
        )
        connection.execute(
            "INSERT INTO kinds VALUES (1.5, 2.25, 7, '2020-01-01 10:00', '2020-01-01 10:00+02', '2020-02-03', true,"
            """ '{1,2,null}', '{a,"b c"}', '{1.5}', '{"a":1}', '[1,2]', '7d444840-9dc0-11d1-b245-5ffdce74fad2',"""
            " '1 day 2 hours', '10:11:12', '\\x01ff', 'glad', 5, 0.5, 'ab', 12.5, 'x')"
        )
        connection.execute("INSERT INTO kinds (n, ts, tz, d) VALUES ('NaN', 'infinity', '-infinity', 'infinity')")
    found = read(url, table="kinds")
    assert found.row(1) == (None,) * found.width
    assert found.row(0) == (
        *(1.5, 2.25, 7, datetime(2020, 1, 1, 10), datetime(2020, 1, 1, 8, tzinfo=UTC), date(2020, 2, 3), True),
        *("[1,2,null]", '["a","b c"]', "[1.5]", '{"a":1}', "[1, 2]", "7d444840-9dc0-11d1-b245-5ffdce74fad2"),
        *(93600.0, "10:11:12", "01ff", "glad", 5, 0.5, "ab", 12.5, "x"),
    )


@pytest.mark.postgresql
def test_postgresql_queries_with_values(loans: str, tmp_path: Path) -> None:
    (tmp_path / "some.sql").write_text("SELECT id, :text AS said FROM loans WHERE id <= :most ORDER BY id DESC;\n")
    options = DataSection.model_validate({"sql": {"query": "some.sql", "params": {"most": "2", "text": "o'r\\k"}}})
    found = read_frame(loans, options, context(tmp_path))
    assert found.rows() == [(2, "o'r\\k"), (1, "o'r\\k")]


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ({}, "none is named"),
        ({"table": "loan"}, "no such table"),
        ({"query": "SELECT nope FROM loans"}, "no such column"),
        ({"query": "SELECT nextval('counter')"}, "this query writes"),
        ({"query": "WITH x AS (DELETE FROM loans RETURNING 1) SELECT * FROM x"}, "this query writes"),
        ({"query": "SELECT * FROM loans WHERE"}, "does not understand"),
        ({"query": "SELECT 1 AS a, 2 AS a"}, "the same name"),
        ({"query": "SELECT 1 / (id - 500) FROM loans"}, "the database refused"),
    ],
)
def test_postgresql_refuses(loans: str, sql: Mapping[str, object], message: str) -> None:
    problem = refused(loans, **sql)
    assert message in problem.what
    if message == "no such table":
        assert "loans" in problem.next_step
    assert read(loans, table="loans").height == 1000


@pytest.mark.postgresql
def test_postgresql_over_the_network(postgresql: PostgresServer, loans: str) -> None:
    address = postgresql.over_the_network(loans)
    assert read(address, table="loans").height == 1000
    assert "this user or this password" in refused(address.replace("${SECRET}", "hushhush"), table="loans").what
    assert "no such database" in refused(address.replace("/test_", "/none_"), table="loans").what
    if postgresql.has_certificate:
        assert read(f"{address}?sslmode=require", table="loans").height == 1000
        problem = refused(
            f"{address}?sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt", table="loans"
        )
        assert "certificate of the server does not verify" in problem.what


@pytest.mark.postgresql
def test_postgresql_lost_in_the_middle(postgresql: PostgresServer) -> None:
    url = postgresql.new_database()
    query = "SELECT i, repeat('x', 1000) AS x FROM generate_series(1, 300000) i"
    reading = read_batches(url, DataSection.model_validate({"sql": {"query": query}}), context())
    next(reading.batches)
    try:
        postgresql.kill()
        with pytest.raises(SourceError, match="connection was lost") as caught:
            list(reading.batches)
        assert "again" in caught.value.next_step
    finally:
        postgresql.start()


@pytest.fixture
def maria_loans(mariadb: MariaServer) -> str:
    address = mariadb.new_database()
    mariadb.run("CREATE TABLE loans AS SELECT seq AS id FROM seq_1_to_1000", database=address.rpartition("/")[2])
    return address


@pytest.mark.mariadb
def test_mariadb_types(mariadb: MariaServer) -> None:
    address = mariadb.new_database()
    mariadb.run(
        "CREATE TABLE kinds (n DECIMAL(10, 2), n0 DECIMAL(9, 0), dt DATETIME, dt6 DATETIME(6), ts TIMESTAMP NULL,"
        " d DATE, b BOOLEAN, ti TINYINT(1), j JSON, t TIME, bl BLOB, bt BIT(3), e ENUM('a', 'b'), f FLOAT, c CHAR(3),"
        " tx TEXT, y YEAR, `We``ird %` INT)",
        "SET time_zone = '+02:00'",
        "INSERT INTO kinds VALUES (1.5, 7, '2020-01-01 10:00:01', '2020-01-01 10:00:01.5', '2020-01-01 10:00',"
        " '2020-02-03', TRUE, 5, '{\"a\": 1}', '10:11:12', x'01ff', b'101', 'a', 0.5, 'ab', 'Zoë', 2020, 9)",
        "INSERT INTO kinds (n) VALUES (NULL)",
        database=address.rpartition("/")[2],
    )
    found = read(address, table="kinds")
    assert found.row(1) == (None,) * found.width
    assert found.row(0) == (
        *(1.5, 7, datetime(2020, 1, 1, 10, 0, 1), datetime(2020, 1, 1, 10, 0, 1, 500000)),
        *(datetime(2020, 1, 1, 8, tzinfo=UTC), date(2020, 2, 3), True, 5, '{"a": 1}', "10:11:12", "01ff", 5),
        *("a", 0.5, "ab", "Zoë", 2020, 9),
    )


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ({}, "none is named"),
        ({"table": "loan"}, "no such table"),
        ({"query": "SELECT nope FROM loans"}, "no such column"),
        ({"query": "SELECT 18446744073709551615 AS n"}, "beyond 64 bits"),
        ({"query": "SELECT nextval(counter)"}, "this query writes"),
    ],
)
def test_mariadb_refuses(mariadb: MariaServer, maria_loans: str, sql: Mapping[str, object], message: str) -> None:
    mariadb.run("CREATE SEQUENCE counter", database=maria_loans.rpartition("/")[2])
    assert message in refused(maria_loans, **sql).what
    assert read(maria_loans, table="loans").height == 1000


@pytest.mark.mariadb
def test_mariadb_queries_and_faults(mariadb: MariaServer, maria_loans: str) -> None:
    query = "SELECT id, :text AS said, '100%' AS share FROM loans WHERE id <= :most AND 'ab' LIKE 'a%'"
    assert read(maria_loans, query=query, params={"most": 1, "text": "o'r\\k"}).rows() == [(1, "o'r\\k", "100%")]
    assert "this user or this password" in refused(maria_loans.replace("${SECRET}", "hushhush"), table="loans").what
    assert "no such database" in refused(maria_loans.replace("/test_", "/none_"), table="loans").what


@pytest.mark.mariadb
def test_mariadb_over_tls(mariadb: MariaServer, maria_loans: str) -> None:
    if mariadb.certificate is None:
        pytest.skip("no openssl to make a certificate with")
    state = {"query": "SELECT VARIABLE_VALUE AS v FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = :name"}
    known = f"{maria_loans}?ssl_ca={mariadb.certificate}"
    assert read(known, **state, params={"name": "Ssl_version"})["v"][0].startswith("TLS")
    assert read(known, table="loans").height == 1000
    unknown = f"{maria_loans}?ssl_ca=/etc/ssl/certs/ca-certificates.crt"
    other_name = known.replace("127.0.0.1", "localhost")
    for address in (unknown, other_name):
        problem = refused(address, table="loans")
        assert "certificate of the server does not verify" in problem.what


@pytest.mark.mariadb
def test_a_server_may_not_ask_for_files_of_its_client(mariadb: MariaServer, maria_loans: str) -> None:
    connection = Connection(f"{maria_loans}?local_infile=1".replace("${SECRET}", quote(PASSWORD, safe="")), context())
    try:
        assert connection.is_pymysql and not connection._driver._local_infile
    finally:
        connection.close()


@pytest.mark.parametrize("most", [2_000, 200_000])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """While rows are kept aside until their types are known, and while parts are written."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with closing(sqlite3.connect(tmp_path / "t.db")) as database, database:
        database.execute("CREATE TABLE t (a, b)")
        database.executemany("INSERT INTO t VALUES (?, ?)", ((i, os.urandom(20).hex()) for i in range(30_000)))
    (tmp_path / "rowsmith.toml").write_text('[data]\nsource = "t.db"\n[data.sql]\ntable = "t"\n')
    project = open_project(tmp_path)
    kept = project.snapshots.add([pl.DataFrame({"a": [1]})], source="before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises((SourceError, StorageError)) as caught:
            take(project)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in str(caught.value)
    assert project.snapshots.list() == (kept,)
    assert not any((tmp_path / ".rowsmith" / "snapshots" / "incoming").iterdir())
    assert take(project).snapshot.rows == 30_000


@pytest.mark.mariadb
def test_mariadb_lost_in_the_middle(mariadb: MariaServer) -> None:
    query = "SELECT seq, repeat('x', 1000) AS x FROM seq_1_to_300000"
    options = DataSection.model_validate({"sql": {"query": query}})
    reading = read_batches(mariadb.new_database(), options, context())
    next(reading.batches)
    try:
        mariadb.kill()
        with pytest.raises(SourceError, match="connection was lost"):
            list(reading.batches)
    finally:
        mariadb.start()


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    path = tmp_path / "a ?#%.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE a (id INTEGER, x REAL, s TEXT, b BOOLEAN, mixed, nil, raw BLOB, n)")
        connection.execute(
            "INSERT INTO a VALUES (1, 1.5, 'Zoë', 1, 1, NULL, x'01ff', 1), (2, 2, NULL, 0, 'x', NULL, NULL, 2.5)"
        )
    connection.close()
    return path


ROWS_OF_SQLITE = [(1, 1.5, "Zoë", True, "1", None, "01ff", 1.0), (2, 2.0, None, False, "x", None, None, 2.5)]


def test_sqlite_files(sqlite_file: Path) -> None:
    assert read(sqlite_file).rows() == ROWS_OF_SQLITE
    assert read(
        f"sqlite:///{sqlite_file}", query="SELECT sum(x) AS s FROM a WHERE id > :i", params={"i": 0}
    ).rows() == [(3.5,)]
    assert "no such table" in (problem := refused(sqlite_file, table="aa")).what and "a" in problem.next_step
    assert "begins with INSERT" in refused(sqlite_file, query="INSERT INTO a (id) VALUES (1)").what
    with sqlite3.connect(sqlite_file) as connection:
        connection.execute("CREATE TABLE b (id)")
    connection.close()
    assert "a, b" in refused(sqlite_file).allowed
    sqlite_file.write_bytes(sqlite_file.read_bytes()[:3000])
    refused(sqlite_file, table="a")


def test_any_dialect_of_sqlalchemy(tmp_path: Path, sqlite_file: Path) -> None:
    path = sqlite_file.rename(tmp_path / "plain.db")
    rows = read(f"sqlite+pysqlite:///{path}", table="a").rows()
    # Without the declared types of a file's tables, booleans are numbers.
    assert rows == [(*row[:3], int(row[3]), *row[4:]) for row in ROWS_OF_SQLITE]
    assert "not installed" in refused("mysql+mysqldb://me:hush@127.0.0.1/x", table="a").what
