"""Nothing about somebody is left in the log, wherever it was, and everybody else's entries are as they were."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text

from rowsmith.conform.sought import Sought
from rowsmith.errors import StorageError
from rowsmith.monitoring.log import LogEntry, PredictionLog
from rowsmith.monitoring.log_archive import LogArchive
from rowsmith.monitoring.log_arms import Trial, read_scored_pairs
from rowsmith.monitoring.log_erasure import LogErasure
from rowsmith.monitoring.log_journal import waiting_rows
from rowsmith.monitoring.log_table import LogTable, ids_of, new_table_id
from rowsmith.monitoring.log_whom import Whom
from rowsmith.storage.database import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
ADA = Whom(Sought("name", ["Ada Lovelace"]))


@pytest.fixture
def log(database: Database, tmp_path: Path) -> Iterator[PredictionLog]:
    archive = LogArchive(database, tmp_path / "log")
    opened = PredictionLog(database, tmp_path / "journals", archive=archive)
    yield opened
    opened.close()


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> LogArchive:
    return LogArchive(database, tmp_path / "log")


@pytest.fixture
def erasure(database: Database, log: PredictionLog, archive: LogArchive, tmp_path: Path) -> LogErasure:
    return LogErasure(database, log, archive, tmp_path / "journals")


def entry(id_: str, name: str, day: int = 0, **changes: object) -> LogEntry:
    inputs = {"name": name, "age": 41, "said": 'odd "\n'}
    return LogEntry(id_, "m", 1, START + timedelta(days=day), inputs, {"prediction": "no"}, **changes)  # type: ignore[arg-type]


def fill(log: PredictionLog) -> None:
    for day in range(3):
        log.append([entry(f"ada-{day}", "Ada Lovelace", day), entry(f"bob-{day}", "Bob", day)])
    log.append([entry("shadow", "Ada Lovelace", 2, role="shadow", shadow_of="ada-2")])
    log.label({"ada-0": "yes", "ada-2": "no", "bob-0": "no"})


def everything(database: Database, folder: Path) -> str:
    """What the tables and the files of the log hold, and the bytes of SQLite's own files."""
    with database.reading() as connection:
        rows = [
            connection.execute(text(f"SELECT * FROM rowsmith_{name}")).all() for name in ("predictions", "outcomes")
        ]
    files = [pl.read_parquet(path).to_dicts() for path in folder.rglob("*.parquet")]
    raw = [path.read_bytes() for path in folder.glob("rowsmith.db*") if not path.name.endswith("-shm")]
    return f"{rows} {files} {raw} {list(waiting_rows(folder / 'journals'))}"


def test_a_person_is_gone_from_database_files_and_journals(
    log: PredictionLog, archive: LogArchive, erasure: LogErasure, database: Database, tmp_path: Path
) -> None:
    fill(log)
    assert archive.compact(START + timedelta(days=2)).files == 2
    log.keep_journal()
    log.append([entry("ada-new", "Ada Lovelace", 3), entry("bob-new", "Bob", 3)])
    others = log.window("m").inputs.filter(pl.col("name") == "Bob")
    there = erasure.find(ADA)
    assert there.ids == {"ada-0", "ada-1", "ada-2", "ada-new", "shadow"} and there.outcomes == 2
    assert len(there.files) == 2
    done = erasure.erase(ADA)
    assert done.ids == there.ids and done.outcomes == 2
    assert "Lovelace" not in everything(database, tmp_path)
    assert "ada-" not in everything(database, tmp_path)
    assert log.window("m").inputs.equals(others)
    assert log.window("m").entries["label"].to_list() == ["no", None, None, None]
    assert not erasure.find(ADA) and not erasure.erase(ADA)


def test_it_holds_while_a_server_goes_on(
    log: PredictionLog, erasure: LogErasure, database: Database, tmp_path: Path
) -> None:
    log.keep_journal()
    stop = threading.Event()

    def ask() -> None:
        for number in range(60):
            log.append([entry(f"ada-{number:03}", "Ada Lovelace"), entry(f"bob-{number:03}", "Bob")])
            time.sleep(0.005)
        stop.set()

    thread = threading.Thread(target=ask)
    thread.start()
    stop.wait()
    erasure.erase(ADA)
    thread.join()
    log.close()
    assert "Lovelace" not in everything(database, tmp_path)
    assert len(log.window("m")) == 60


def test_by_id_and_by_pseudonym(log: PredictionLog, erasure: LogErasure, archive: LogArchive) -> None:
    log.append([entry("1", "pseudonym:aa"), entry("2", "pseudonym:bb"), entry("3", "Cleo"), entry("4", "Cleo")])
    archive.compact(START + timedelta(days=2))
    log.append([entry("5", "Dan")])
    done = erasure.erase(Whom(Sought("name", ["Ada", "pseudonym:aa"]), frozenset({"3", "5", "unknown"})))
    assert done.ids == {"1", "3", "5"}
    assert log.window("m").entries["id"].to_list() == ["2", "4"]


@pytest.mark.parametrize(
    ("value", "typed", "is_found"),
    [
        (41, "41", True),
        (41.0, "41", True),
        (41, "41.0", True),
        (41.5, "41.50", True),
        ("41", " 41 ", True),
        ("041", "41", False),
        (2**60 + 1, str(2**60 + 1), True),
        (2**60 + 1, str(2**60), False),
        (True, "1", False),
        (None, "null", False),
        ([1], "[1]", False),
        ("Ada", "ada", False),
        ("nan", "nan", True),
    ],
)
def test_how_a_value_may_be_typed(value: object, typed: str, is_found: bool) -> None:
    assert Sought("x", [typed]).matches(value) is is_found


def test_a_file_that_a_crash_left_goes_too(
    log: PredictionLog,
    archive: LogArchive,
    erasure: LogErasure,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(log)
    archive.compact(START + timedelta(days=3))

    def killed(_: LogArchive, path: str) -> None:
        raise StorageError(f"killed before {path} was removed")

    with monkeypatch.context() as patched, pytest.raises(StorageError):
        patched.setattr(LogArchive, "_unlink", killed)
        erasure.erase(ADA)
    assert "Lovelace" in everything(database, tmp_path)
    assert erasure.erase(ADA).ids == {"ada-0", "ada-1", "ada-2", "shadow"}
    assert "Lovelace" not in everything(database, tmp_path)
    assert log.window("m").entries["id"].to_list() == ["bob-0", "bob-1", "bob-2"]


@pytest.mark.parametrize("is_table", [False, True])
def test_a_file_that_is_about_to_be_listed(
    log: PredictionLog,
    archive: LogArchive,
    erasure: LogErasure,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_table: bool,
) -> None:
    """Compaction has written a file and not yet listed it when somebody in it is erased."""
    if is_table:
        log.append_tables([table(new_table_id()) for _ in range(2)])
    else:
        fill(log)
    write = LogArchive._write

    def erased_meanwhile(self: LogArchive, path: str, rows: pl.DataFrame) -> Path:
        written = write(self, path, rows)
        monkeypatch.setattr(LogArchive, "_write", write)
        erasure.erase(ADA)
        return written

    monkeypatch.setattr(LogArchive, "_write", erased_meanwhile)
    archive.compact(START + timedelta(days=3))
    assert "Lovelace" not in everything(database, tmp_path)
    others = [name for name in NAMES if name != "Ada Lovelace"] * 2 if is_table else ["Bob"] * 3
    assert log.window("m").inputs["name"].to_list() == others


def test_a_damaged_file_is_no_silent_hole(
    log: PredictionLog, archive: LogArchive, erasure: LogErasure, tmp_path: Path
) -> None:
    fill(log)
    archive.compact(START + timedelta(days=1))
    file: Callable[[], Path] = lambda: next((tmp_path / "log").rglob("*.parquet"))  # noqa: E731
    file().write_bytes(b"gone")
    with pytest.raises(StorageError, match="was changed"):
        erasure.erase(ADA)


NAMES = ["Bob", "Ada Lovelace", "Eve", None, "Ada Lovelace", "Dan"]
STAY = [0, 2, 3, 5]


def table(id_: str, day: int = 0, **changes: Any) -> LogTable:
    inputs = pl.DataFrame({"name": NAMES, "age": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    answers = pl.DataFrame({"prediction": ["a", "b", "c", "d", "e", "f"]})
    return LogTable(LogEntry(id_, "m", 1, START + timedelta(days=day), **changes), inputs, answers)


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_person_is_taken_out_of_tables(
    log: PredictionLog, archive: LogArchive, erasure: LogErasure, database: Database, tmp_path: Path, is_moved: bool
) -> None:
    first, second, third = new_table_id(), new_table_id(), new_table_id()
    log.append_tables([table(first), table(second, 1, experiment=1, unit="u")])
    log.append_tables([table(f"{second}-2", 1, role="shadow", shadow_of=second, experiment=1, unit="u")])
    log.label({ids_of(first, 6)[number]: "yes" for number in (1, 2)})
    if is_moved:
        assert archive.compact(START + timedelta(days=2)).files == 1
    log.keep_journal()
    log.append_tables([table(third, 2)])
    there = erasure.find(ADA)
    meant = [ids_of(id_, 6)[number] for id_ in (first, second, third, f"{second}-2") for number in (1, 4)]
    assert there.ids == set(meant) and (there.outcomes, there.waiting, len(there.files)) == (1, 2, int(is_moved))
    assert erasure.erase(ADA).ids == there.ids
    assert "Lovelace" not in everything(database, tmp_path)
    for _ in range(2):
        window = log.window("m")
        assert window.entries["id"].to_list() == [ids_of(id_, 6)[n] for id_ in (first, second, third) for n in STAY]
        assert window.inputs["age"].to_list() == [1.0, 3.0, 4.0, 6.0] * 3
        assert window.answers["prediction"].to_list() == ["a", "c", "d", "f"] * 3
        assert window.entries["label"].to_list() == [None, "yes", *[None] * 10]
        assert log.summary("m").predictions == 12
        archive.compact(START + timedelta(days=9))
    assert log.label({ids_of(first, 6)[1]: "no", ids_of(second, 6)[5]: "no"}).unknown == (ids_of(first, 6)[1],)
    with database.reading() as connection:
        scored = read_scored_pairs(connection, Trial("m", 1, START))
    assert scored.beside is not None
    assert scored.answers["prediction"].to_list() == scored.beside["prediction"].to_list() == ["f"]
    by_id = Whom(None, frozenset([ids_of(first, 6)[number] for number in (0, 1, 2, 3, 5)] + [second]))
    assert len(erasure.erase(by_id).ids) == 4
    assert log.window("m").entries.height == 8, "a table without rows is gone, and no id is that of a whole table"
    assert not erasure.find(by_id)
