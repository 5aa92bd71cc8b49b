"""The journal: durable at once, in the database a moment later, and never twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rowsmith.errors import StorageError
from rowsmith.monitoring import log_journal
from rowsmith.monitoring.log import LogEntry, PredictionLog, new_ids
from rowsmith.monitoring.log_journal import HEAD, LogJournal, read_through
from rowsmith.storage.database import open_database
from tests.monitoring.test_group_append import no_file_larger_than

pytestmark = pytest.mark.skipif(not log_journal.IS_POSSIBLE, reason="this platform has no file locks")


class Shelf:
    """A store that can be told to fail."""

    def __init__(self) -> None:
        self.rows: dict[str, Sequence[Any]] = {}
        self.fails = False

    def __call__(self, rows: Sequence[Sequence[Any]]) -> None:
        if self.fails:
            raise StorageError("the database is away")
        for row in rows:
            self.rows.setdefault(row[0], row)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def journal(tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogJournal]:
    """One that moves nothing by itself."""
    monkeypatch.setattr(log_journal, "MOVE_SECONDS", 3600.0)
    made = LogJournal(tmp_path, shelf)
    yield made
    shelf.fails = False
    made.close()


def rows(*ids: str) -> list[list[Any]]:
    return [[id_, "text \u00e9 \x00", None, 0.1] for id_ in ids]


def test_what_was_written_is_found_by_whoever_reads_through(tmp_path: Path, shelf: Shelf, journal: LogJournal) -> None:
    journal.write(rows("a", "b"))
    journal.write(rows("c"))
    assert shelf.rows == {}
    read_through(tmp_path, shelf)
    assert list(shelf.rows.values()) == rows("a", "b", "c")


def test_what_was_moved_is_gone_from_the_files(tmp_path: Path, shelf: Shelf, journal: LogJournal) -> None:
    for number in range(3):
        journal.write(rows(f"{number}"))
        journal.catch_up()
    assert sorted(shelf.rows) == ["0", "1", "2"]
    assert journal.lag_seconds == 0.0
    assert not any(any(path.read_bytes()) for path in tmp_path.iterdir())


def test_a_large_file_shrinks_again(tmp_path: Path, shelf: Shelf, journal: LogJournal) -> None:
    journal.write([["large", "x" * (2 * log_journal.FIRST_BYTES)]])
    journal.catch_up()
    journal.write(rows("small"))
    journal.catch_up()
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {log_journal.FIRST_BYTES}
    assert sorted(shelf.rows) == ["large", "small"]


def test_what_the_database_does_not_take_stays(tmp_path: Path, shelf: Shelf, journal: LogJournal) -> None:
    journal.write(rows("a"))
    shelf.fails = True
    with pytest.raises(StorageError, match="away"):
        journal.catch_up()
    journal.write(rows("b"))
    with pytest.raises(StorageError, match="away"):
        journal.catch_up()
    assert journal.lag_seconds > 0
    shelf.fails = False
    journal.catch_up()
    assert sorted(shelf.rows) == ["a", "b"]


def test_nothing_more_is_taken_once_the_database_is_away_for_long(
    shelf: Shelf, journal: LogJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_journal, "PATIENCE_SECONDS", 0.05)
    journal.write(rows("a"))
    time.sleep(0.1)
    with pytest.raises(StorageError, match="more slowly"):
        journal.write(rows("b"))
    journal.catch_up()
    journal.write(rows("c"))
    journal.catch_up()
    assert sorted(shelf.rows) == ["a", "c"]


def test_a_full_journal_makes_its_writers_wait(
    shelf: Shelf, journal: LogJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_journal, "MOST_BYTES", 10)
    journal.write(rows("a"))
    writer = threading.Thread(target=journal.write, args=(rows("b"),))
    writer.start()
    writer.join(0.1)
    assert writer.is_alive()
    journal.catch_up()
    writer.join(5)
    assert not writer.is_alive()


def test_half_a_record_is_none(tmp_path: Path, shelf: Shelf, journal: LogJournal) -> None:
    journal.write(rows("a"))
    journal.write(rows("b"))
    (path,) = [path for path in tmp_path.iterdir() if any(path.read_bytes())]
    content = path.read_bytes()
    length, _ = HEAD.unpack_from(content)
    for cut in range(HEAD.size + length, HEAD.size + length + 20):
        torn = tmp_path.parent / "torn"
        torn.mkdir(exist_ok=True)
        (torn / "1-1-0.journal").write_bytes(content[:cut] + bytes(100))
        found = Shelf()
        read_through(torn, found)
        assert list(found.rows) == ["a"]
        assert list(torn.iterdir()) == []


def test_a_disk_that_takes_no_more_refuses_and_keeps_what_was_before(shelf: Shelf, journal: LogJournal) -> None:
    journal.write(rows("a"))
    with no_file_larger_than(10), pytest.raises(StorageError, match="too large") as caught:
        journal.write(rows("b"))
    assert "check the folder and its disk" in caught.value.next_step
    journal.write(rows("c"))
    journal.catch_up()
    assert sorted(shelf.rows) == ["a", "c"]


def test_nothing_is_acknowledged_in_a_file_that_was_removed(tmp_path: Path, shelf: Shelf, journal: LogJournal) -> None:
    journal.write(rows("a"))
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(StorageError, match="cannot be written") as caught:
        journal.write(rows("b"))
    assert "restore the folder" in caught.value.next_step
    journal.catch_up()
    assert sorted(shelf.rows) == ["a"]


def test_what_a_closed_journal_could_not_move_waits_for_the_next(tmp_path: Path, shelf: Shelf) -> None:
    journal = LogJournal(tmp_path, shelf)
    journal.write(rows("a"))
    shelf.fails = True
    journal.close()
    shelf.fails = False
    assert shelf.rows == {}
    read_through(tmp_path, shelf)
    assert sorted(shelf.rows) == ["a"] and list(tmp_path.iterdir()) == []


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PredictionLog]:
    database = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    made = PredictionLog(database, tmp_path / "journals")
    yield made
    made.close()
    database.close()


def entry(id_: str) -> LogEntry:
    return LogEntry(id_, "m", 1, datetime.now(UTC), {"x": 1.5, "y": "\x00 \u20ac"}, {"prediction": 1.0}, 0.25)


def test_readers_see_what_was_just_acknowledged(log: PredictionLog) -> None:
    log.keep_journal()
    ids = new_ids(100)
    log.append([entry(id_) for id_ in ids])
    assert log.label({ids[0]: 2.0}).added == 1
    window = log.window("m")
    assert window.entries["id"].to_list() == ids
    assert window.inputs["y"].to_list() == ["\x00 \u20ac"] * 100
    assert log.summary("m").predictions == 100


def test_entries_reach_the_database_by_themselves(log: PredictionLog) -> None:
    log.keep_journal()
    log.append([entry("a")])
    deadline = time.monotonic() + 10
    while log.lag_seconds and time.monotonic() < deadline:
        time.sleep(0.02)
    assert log.lag_seconds == 0.0
    with log._database.reading() as connection:
        assert connection.exec_driver_sql("SELECT id FROM rowsmith_predictions").scalar() == "a"


def test_a_closed_log_leaves_no_file_and_opens_again(log: PredictionLog, tmp_path: Path) -> None:
    log.keep_journal()
    for id_ in ("a", "b"):
        log.append([entry(id_)])
        log.close()
        assert list((tmp_path / "journals").iterdir()) == []
    assert log.window("m").entries.height == 2


WRITER = """
import os, sys
from pathlib import Path
from rowsmith.monitoring.log import PredictionLog
from rowsmith.storage.database import open_database
from tests.monitoring.test_log_journal import entry
folder = Path(sys.argv[1])
log = PredictionLog(open_database(f"sqlite:///{folder / 'x.db'}"), folder / "journals")
log.keep_journal()
for number in range(10**9):
    log.append([entry(f"{os.getpid()}-{number}")])
    os.write(1, f"{os.getpid()}-{number}\\n".encode())
"""


@pytest.mark.parametrize("round_", range(3))
def test_a_killed_process_loses_nothing_that_it_acknowledged(log: PredictionLog, tmp_path: Path, round_: int) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    told = [writer.stdout.readline() for _ in range(20)]
    time.sleep(0.15 * round_)
    # Read while the writer lives, so that entries are moved by two processes.
    seen = log.window("m").entries.height
    assert seen >= 20
    writer.send_signal(signal.SIGKILL)
    told += writer.stdout.readlines()
    writer.wait()
    writer.stdout.close()
    kept = log.window("m").entries["id"].to_list()
    acknowledged = {line.strip() for line in told if line.endswith("\n")}
    assert acknowledged <= set(kept)
    assert len(kept) == len(set(kept)) <= len(acknowledged) + 1
    assert list((tmp_path / "journals").iterdir()) == []


def test_entries_of_another_release_are_refused_with_a_way_out_and_kept(tmp_path: Path, shelf: Shelf) -> None:
    payload = b'[["an-id", null]]'
    left = tmp_path / "left.journal"
    left.write_bytes(HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
    with pytest.raises(StorageError, match="another one has written it") as caught:
        read_through(tmp_path, shelf)
    assert caught.value.where == str(left) and "start that release" in caught.value.next_step
    assert left.exists() and not shelf.rows


def test_a_journal_that_was_closed_in_trouble_begins_anew(
    tmp_path: Path, shelf: Shelf, journal: LogJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fails = True
    journal.write(rows("a"))
    journal.close()
    monkeypatch.setattr(log_journal, "PATIENCE_SECONDS", 0.05)
    time.sleep(0.1)
    shelf.fails = False
    journal.write(rows("b"))
    journal.catch_up()
    assert sorted(shelf.rows) == ["a", "b"]


def test_closing_and_writing_at_once_loses_nothing(tmp_path: Path, shelf: Shelf) -> None:
    journal = LogJournal(tmp_path, shelf)
    is_over = threading.Event()
    kept: list[str] = []
    refused: list[StorageError] = []

    def insist(thread: int) -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            id_ = f"{thread}-{number}"
            try:
                journal.write(rows(id_))
            except StorageError as problem:  # it came while the journal was closed
                refused.append(problem)
            else:
                kept.append(id_)

    threads = [threading.Thread(target=insist, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        time.sleep(0.02)
        journal.close()
    is_over.set()
    for thread in threads:
        thread.join()
    journal.close()
    read_through(tmp_path, shelf)
    assert set(kept) <= set(shelf.rows)
    assert not list(tmp_path.iterdir())
