"""A log that cannot be written: refused, or gone on with and counted."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rowsmith.errors import StorageError
from rowsmith.monitoring import log_gap
from rowsmith.monitoring.group_commit import GroupCommit
from rowsmith.monitoring.log import GAP_ACTION, LogEntry, PredictionLog
from rowsmith.monitoring.log_gap import Gap
from rowsmith.storage import audit
from rowsmith.storage.database import open_database
from tests.servers import PostgresServer

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def entry(name: str) -> LogEntry:
    return LogEntry(name, "m", 1, NOW, {"x": 1}, {"prediction": 1.0})


def test_items_that_wait_too_long_are_taken_back() -> None:
    entered, go = threading.Event(), threading.Event()
    written: list[int] = []

    def write(items: list[int]) -> None:
        entered.set()
        go.wait()
        written.extend(items)

    commit = GroupCommit(write, patience=0.1)
    leader = threading.Thread(target=commit.add, args=([1],))
    leader.start()
    entered.wait()
    began = time.monotonic()
    with pytest.raises(StorageError, match="more slowly"):
        commit.add([2])
    assert 0.1 <= time.monotonic() - began < 5
    go.set()
    leader.join()
    commit.add([3])
    assert written == [1, 3], "what was taken back is not written later"


def test_a_gap_is_counted_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_gap, "PAUSE_SECONDS", 0.05)
    path = tmp_path / "x.db"
    database = open_database(f"sqlite:///{path}")
    lost: list[int] = []
    gap = Gap(lost.append)
    log = PredictionLog(database, gap=gap)
    log.append([entry("a")])
    away = tmp_path / "away.db"
    path.rename(away)
    log.append([entry("b"), entry("c")])
    log.append([entry("d")])
    assert lost == [2, 1] and gap.is_open
    away.rename(path)
    time.sleep(0.1)
    log.append([entry("e")])
    assert not gap.is_open and lost == [2, 1]
    assert log.window("m").entries["id"].to_list() == ["a", "e"]
    (line,) = audit.lines(database, action=GAP_ACTION)
    assert line.details["predictions"] == 3
    assert caplog.text.count("predictions go on and are not kept") == 1
    database.close()


@pytest.mark.postgresql
def test_a_server_that_died_is_a_gap_and_its_return_ends_it(
    postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_gap, "PAUSE_SECONDS", 0.05)
    database = open_database(postgresql.new_database())
    lost: list[int] = []
    log, strict = PredictionLog(database, gap=Gap(lost.append)), PredictionLog(database)
    log.append([entry("a")])
    postgresql.kill()
    try:
        log.append([entry("b")])
        with pytest.raises(StorageError):
            strict.append([entry("c")])
    finally:
        postgresql.start()
    time.sleep(0.1)
    log.append([entry("d")])
    assert lost == [1]
    assert sorted(log.window("m").entries["id"].to_list()) == ["a", "d"]
    database.close()


def test_after_a_failure_the_log_is_left_alone_for_a_while() -> None:
    lost: list[int] = []
    gap = Gap(lost.append)
    assert gap.may_try()
    gap.widen(3, StorageError("away"))
    assert not gap.may_try() and gap.is_open
    hole = gap.close()
    assert hole is not None and hole.answers == 3 and gap.close() is None
    assert gap.may_try()
