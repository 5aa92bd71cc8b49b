"""Database: opened by many at once, migrated once, and every failure a StorageError that helps and tells no secret."""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from rowsmith.errors import StorageError
from rowsmith.storage.database import Database, open_database
from rowsmith.storage.migrations import MIGRATIONS, Migration
from rowsmith.storage.tables import metadata
from tests.servers import PostgresServer

# A released migration is never edited: databases out there were made by it. New ones are added here when released.
RELEASED = {
    1: "2391f3236b45821e",
    2: "837f936d2d6793cf",
    3: "4fe48a6ef547bee6",
    4: "950e4f8f6ad186b0",
    5: "8d007c4243b36f8b",
    6: "99e96c944c5fa2c3",
    7: "f52462e5f8035e3b",
}


def digest(migration: Migration) -> str:
    parts = (*migration.statements, *migration.sqlite, *migration.postgresql)
    return hashlib.sha256("\n".join(" ".join(part.split()) for part in parts).encode()).hexdigest()[:16]


def test_migrations_are_numbered_from_one_and_never_edited() -> None:
    assert [migration.number for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
    assert {migration.number: digest(migration) for migration in MIGRATIONS} == RELEASED


def test_the_migrations_make_the_tables_that_the_code_speaks_of(database: Database) -> None:
    inspector = inspect(database.engine)
    assert sorted(inspector.get_table_names()) == sorted(metadata.tables)
    for table in metadata.sorted_tables:
        found = {column["name"]: column for column in inspector.get_columns(table.name)}
        assert list(found) == [column.name for column in table.columns]
        for column in table.columns:
            assert found[column.name]["nullable"] == column.nullable, column
            # SQLite speaks of Float where we say Double, which is one.
            assert isinstance(column.type, type(found[column.name]["type"].as_generic())), column
        keys = inspector.get_pk_constraint(table.name)["constrained_columns"]
        assert keys == [column.name for column in table.primary_key]
        assert {index["name"] for index in inspector.get_indexes(table.name)} == {index.name for index in table.indexes}


def test_opening_again_applies_nothing_twice(database: Database, database_url: str) -> None:
    again = open_database(database_url)
    with again.reading() as connection:
        numbers = connection.scalars(text("SELECT number FROM rowsmith_migrations ORDER BY number")).all()
    again.close()
    assert list(numbers) == [migration.number for migration in MIGRATIONS]


def test_an_older_database_is_brought_up_to_date(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowsmith.storage.migrations.MIGRATIONS", MIGRATIONS[:1])
    open_database(database_url).close()
    monkeypatch.undo()
    opened = open_database(database_url)
    assert "rowsmith_predictions" in inspect(opened.engine).get_table_names()
    opened.close()


def test_outcomes_outlive_the_change_of_their_table(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowsmith.storage.migrations.MIGRATIONS", MIGRATIONS[:6])
    before = open_database(database_url)
    with before.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO rowsmith_predictions (id, name, time, source, status, code)"
            " VALUES ('a', 'm', 1, 'api', 'ok', '')"
        )
        connection.exec_driver_sql("INSERT INTO rowsmith_outcomes VALUES ('a', 1, '\"yes\"', 'ada', 2)")
    before.close()
    monkeypatch.undo()
    opened = open_database(database_url)
    with opened.writing() as connection:
        outcomes = connection.exec_driver_sql("SELECT * FROM rowsmith_outcomes").all()
        assert [tuple(outcome) for outcome in outcomes] == [("a", 1, '"yes"', "ada", 2, "a")]
        connection.exec_driver_sql("DELETE FROM rowsmith_predictions")
        assert connection.exec_driver_sql("SELECT * FROM rowsmith_outcomes").all() == []
    opened.close()


def test_a_newer_database_is_refused(database: Database, database_url: str) -> None:
    with database.writing() as connection:
        connection.execute(text("INSERT INTO rowsmith_migrations VALUES (99, 'from the future', '')"))
    with pytest.raises(StorageError, match=r"newer release.*version 99.*Upgrade Rowsmith"):
        open_database(database_url)


def test_a_migration_that_fails_leaves_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Migration(len(MIGRATIONS) + 1, "broken", ("CREATE TABLE half (x BIGINT)", "CREATE TABLE half (x BIGINT)"))
    monkeypatch.setattr("rowsmith.storage.migrations.MIGRATIONS", (*MIGRATIONS, broken))
    with pytest.raises(StorageError, match="half"):
        open_database(database_url)
    monkeypatch.undo()
    opened = open_database(database_url)
    assert "half" not in inspect(opened.engine).get_table_names()
    opened.close()


def _open(url: str) -> None:
    opened = open_database(url)
    with opened.reading() as connection:
        found = connection.scalars(text("SELECT number FROM rowsmith_migrations")).all()
    assert len(found) == len(MIGRATIONS)
    opened.close()


def test_threads_open_a_new_database_at_once(database_url: str) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            _open(database_url)
        except BaseException as problem:
            failures.append(problem)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_processes_open_a_new_database_at_once(database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open, args=(database_url,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4


def test_a_block_that_fails_is_rolled_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        connection.execute(text("INSERT INTO rowsmith_migrations VALUES (50, 'half', '')"))
        raise ZeroDivisionError
    with database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM rowsmith_migrations WHERE number = 50")) == 0


def test_what_is_read_under_a_lock_stays_true(database: Database) -> None:
    """Ten threads read the highest number and write the next one: without the lock two would take the same."""

    def work() -> None:
        with database.writing(lock="rowsmith_migrations") as connection:
            highest = connection.scalar(text("SELECT max(number) FROM rowsmith_migrations"))
            connection.execute(text("INSERT INTO rowsmith_migrations VALUES (:n, '', '')"), {"n": (highest or 0) + 1})

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as connection:
        assert connection.scalar(text("SELECT max(number) FROM rowsmith_migrations")) == len(MIGRATIONS) + 10


def test_sqlite_is_set_up_to_keep_what_it_acknowledged(tmp_path: Path) -> None:
    opened = open_database(f"sqlite:///{tmp_path / 'deep' / 'x.db'}")
    with opened.reading() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    opened.close()
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_a_database_that_is_locked_for_too_long(database: Database, database_url: str) -> None:
    impatient = open_database(database_url, wait_seconds=0.1)
    with database.writing(lock="rowsmith_migrations"):
        for _ in range(2):
            with (
                pytest.raises(StorageError, match=r"lock.*Another process held the database for too long"),
                impatient.writing(lock="rowsmith_migrations"),
            ):
                pass
    with impatient.writing(lock="rowsmith_migrations"):
        pass
    impatient.close()


def test_sql_and_values_are_not_in_a_message(database: Database) -> None:
    insert = text("INSERT INTO rowsmith_versions (name, number) VALUES ('personal', :number)")
    with pytest.raises(StorageError) as caught, database.writing() as connection:
        connection.execute(insert, {"number": 12345})
    assert "INSERT" not in str(caught.value)
    assert "personal" not in str(caught.value) and "12345" not in str(caught.value)
    assert database.where in str(caught.value)


def test_a_full_disk_is_a_storage_error_and_keeps_what_was_there(tmp_path: Path) -> None:
    opened = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    statement = text("INSERT INTO rowsmith_migrations VALUES (:n, :title, '')")
    with opened.writing() as connection:
        connection.execute(statement, {"n": 50, "title": "kept"})
    with pytest.raises(StorageError, match=r"disk is full.*Free some space"), opened.writing() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        # SQLite answers a page beyond this limit as it does a disk without room for it.
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        connection.execute(statement, {"n": 51, "title": "x" * 100_000})
    with opened.reading() as connection:
        assert connection.scalar(text("SELECT max(number) FROM rowsmith_migrations")) == 50
    opened.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"id,label\n" * 1000)
    with pytest.raises(StorageError, match=r"not a database.*restore"):
        open_database(f"sqlite:///{path}")
    assert path.read_bytes() == b"id,label\n" * 1000


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the folder"):
        open_database(f"sqlite:///{tmp_path / 'file' / 'x.db'}")
    with pytest.raises(StorageError, match="unable to open"):
        open_database(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no url, s3cret",
        "postgresql://ada:s3cret@host:port/db",
        "mysql://ada:s3cret@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "oracle+s3cret://",
        "postgresql+asyncpg://ada:s3cret@host/db",
    ],
)
def test_a_url_that_cannot_be_used(url: str) -> None:
    with pytest.raises(StorageError, match=r"Allowed: sqlite:///path/to/file\.db or postgresql://") as caught:
        open_database(url)
    assert "ada:s3cret" not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize("address", ["ada:s3cret@127.0.0.1:1/db", "127.0.0.1:1/db?user=ada&password=s3cret"])
def test_a_server_that_is_not_there(address: str) -> None:
    with pytest.raises(StorageError, match=r"127\.0\.0\.1.*Check that the database server runs") as caught:
        open_database(f"postgresql://{address}")
    assert "s3cret" not in str(caught.value)


@pytest.mark.postgresql
def test_a_database_that_does_not_exist(postgresql: PostgresServer) -> None:
    with pytest.raises(StorageError, match=r"does not exist.*createdb"):
        open_database(f"postgresql://rowsmith@/nowhere?host={postgresql.folder}&port={postgresql.port}")


@pytest.mark.postgresql
def test_the_pool_survives_a_server_that_was_killed(postgresql: PostgresServer) -> None:
    opened = open_database(postgresql.new_database())
    postgresql.kill()
    with pytest.raises(StorageError), opened.reading():
        pass
    postgresql.start()
    with opened.reading() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    opened.close()


def test_a_fork_may_not_use_its_parent_s_connections(database: Database) -> None:
    child = os.fork()
    if child == 0:
        try:
            with database.reading():
                pass
        except StorageError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with database.reading() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_other_programs_can_read_the_file(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path / 'x.db'}").close()
    with sqlite3.connect(tmp_path / "x.db") as plain:
        assert plain.execute("SELECT count(*) FROM rowsmith_versions").fetchone() == (0,)
    plain.close()


def test_a_database_that_nobody_holds_closes_its_connections(database_url: str) -> None:
    opened = open_database(database_url)
    raw = opened.connect_raw()
    with opened.reading():
        pass
    del opened
    gc.collect()
    with pytest.raises(Exception, match="closed"):
        raw.execute("SELECT 1")


def test_closing_may_be_repeated_and_takes_every_connection(database_url: str) -> None:
    opened = open_database(database_url)
    opened.close_raw(opened.connect_raw())
    raw = opened.connect_raw()
    opened.close()
    opened.close()
    with pytest.raises(Exception, match="closed"):
        raw.execute("SELECT 1")


@pytest.mark.skipif(os.name == "nt", reason="Windows does not delete a file that is open")
def test_a_file_that_was_replaced_is_not_written_to(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'rowsmith.db'}")
    raw = database.connect_raw()
    kept = tmp_path / "kept.db"
    with sqlite3.connect(kept) as copy, database.reading() as connection:
        connection.connection.driver_connection.backup(copy)  # type: ignore[union-attr]
    copy.close()
    for file in tmp_path.glob("rowsmith.db*"):
        file.unlink()
    with pytest.raises(StorageError, match=r"deleted or replaced.*Restore it"):
        database.begin_raw(raw)
    kept.rename(tmp_path / "rowsmith.db")
    with pytest.raises(StorageError, match="deleted or replaced"):
        database.begin_raw(raw)
    database.close_raw(raw)
    raw = database.connect_raw()
    database.begin_raw(raw)
    raw.execute("ROLLBACK")
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM rowsmith_versions")).scalar() == 0
    database.close()
