"""The log in two places: what is read does not depend on what was moved, and what is too old is gone from both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text

from rowsmith.errors import StorageError
from rowsmith.monitoring import log_archive
from rowsmith.monitoring.log import LogEntry, PredictionLog
from rowsmith.monitoring.log_archive import LogArchive
from rowsmith.storage.database import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
ODD = {"x": 0.1 + 0.2, "y": "naïve \n\"'", "z": None, "big": 2**53 + 1, "flag": True, "list": [1, "a"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(database: Database, folder: Path) -> PredictionLog:
    return PredictionLog(database, archive=LogArchive(database, folder))


def fill(log: PredictionLog, *, days: int = 3, a_day: int = 7, name: str = "m") -> list[str]:
    entries = [
        LogEntry(
            f"{name}-{day}-{number}",
            name,
            1,
            START + timedelta(days=day, minutes=number),
            {**ODD, "n": number},
            {"prediction": "no", "probabilities": {"no": 0.7, "yes": 0.3}},
            latency_ms=1.5,
        )
        for day in range(days)
        for number in range(a_day)
    ]
    refused = LogEntry(f"{name}-refused", name, 1, START, status="error", code="wrong_type")
    log.append([*entries, refused])
    return [entry.id for entry in entries]


def test_what_is_read_is_the_same_before_and_after(
    log: PredictionLog, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_archive, "ROWS_A_FILE", 3)
    ids = fill(log)
    fill(log, name="other")
    log.label({ids[0]: "yes"})
    before, summary = log.window("m"), log.summary("m")
    archive = LogArchive(database, folder)
    done = archive.compact(START + timedelta(days=2))
    assert (done.moved, done.files) == (28, 12), "two days of two names, 7 entries each, 3 a file"
    assert len(list(folder.rglob("*.parquet"))) == 12
    after = log.window("m")
    for part in ("entries", "inputs", "answers"):
        assert getattr(before, part).equals(getattr(after, part)), part
    assert log.summary("m") == summary
    assert archive.compact(START + timedelta(days=2)).moved == 0
    assert log.window("m", limit=2).entries["id"].to_list() == ids[-2:]


def test_inputs_leave_the_database(log: PredictionLog, database: Database, folder: Path) -> None:
    fill(log)
    LogArchive(database, folder).compact(START + timedelta(days=3))
    with database.reading() as connection:
        left = connection.execute(text("SELECT count(inputs), count(answer), count(*) FROM rowsmith_predictions")).one()
    assert tuple(left) == (0, 0, 22)


def test_an_outcome_finds_a_moved_prediction(log: PredictionLog, database: Database, folder: Path) -> None:
    ids = fill(log)
    LogArchive(database, folder).compact(START + timedelta(days=3))
    assert log.label({ids[0]: "yes", "nothing": "no"}).added == 1
    assert log.window("m").entries["label"].to_list()[0] == "yes"


def test_a_moved_entry_is_not_stored_again(log: PredictionLog, database: Database, folder: Path) -> None:
    fill(log)
    LogArchive(database, folder).compact(START + timedelta(days=3))
    fill(log)
    assert len(log.window("m")) == 21
    assert log.window("m").inputs["n"].to_list()[:3] == [0, 1, 2]


def test_the_day_of_the_border_stays(log: PredictionLog, database: Database, folder: Path) -> None:
    fill(log)
    archive = LogArchive(database, folder)
    assert archive.compact(START + timedelta(days=1, hours=23)).moved == 7
    assert archive.compact(START).moved == 0


def test_retention_takes_entries_outcomes_and_files(log: PredictionLog, database: Database, folder: Path) -> None:
    ids = fill(log)
    log.label(dict.fromkeys(ids, "yes"))
    archive = LogArchive(database, folder)
    archive.compact(START + timedelta(days=2))
    done = archive.retain(START + timedelta(days=1, hours=5))
    assert (done.removed, done.files_removed) == (8, 1)
    assert log.window("m").entries["id"].to_list() == ids[7:]
    with database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM rowsmith_outcomes")) == 14
    assert len(list(folder.rglob("*.parquet"))) == 1
    assert archive.retain(START + timedelta(days=99)).removed == 14
    assert list(folder.rglob("*.parquet")) == []


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def swap(path: Path) -> None:
    pl.DataFrame({"id": ["x"], "inputs": ["{}"], "answer": ["{}"]}).write_parquet(path)


@pytest.mark.parametrize("harm", [spoil, swap, Path.unlink])
def test_a_file_that_was_harmed_is_said_to_be(
    log: PredictionLog, database: Database, folder: Path, harm: Callable[[Path], None]
) -> None:
    fill(log, days=1)
    LogArchive(database, folder).compact(START + timedelta(days=1))
    harm(next(folder.rglob("*.parquet")))
    with pytest.raises(StorageError, match="backup"):
        log.window("m")


def test_a_full_disk_leaves_the_log_as_it_was(log: PredictionLog, database: Database, tmp_path: Path) -> None:
    fill(log, days=1)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        LogArchive(database, tmp_path / "file").compact(START + timedelta(days=1))
    assert len(log.window("m")) == 7


def test_what_a_crash_left_is_removed_and_nothing_else(log: PredictionLog, database: Database, folder: Path) -> None:
    fill(log, days=1)
    archive = LogArchive(database, folder)
    archive.compact(START + timedelta(days=1))
    import os

    listed = next(folder.rglob("*.parquet"))
    orphan, young = folder / "m" / "2026-01-01-dead.parquet", folder / "m" / "2026-01-01-young.parquet"
    for path in (orphan, young):
        path.write_bytes(b"x")
    for path in (orphan, listed):
        os.utime(path, (0, 0))
    archive.compact(START + timedelta(days=1))
    assert sorted(path.name for path in (folder / "m").iterdir()) == sorted([listed.name, young.name])


def test_an_entry_that_comes_in_between_is_not_lost(
    log: PredictionLog, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log, days=1)
    archive = LogArchive(database, folder)
    write, late = archive._write, [LogEntry("late", "m", 1, START, {"n": 99}, {"prediction": "no"})]

    def slowly(path: str, rows: object) -> Path:
        log.append(late)
        return write(path, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(archive, "_write", slowly)
    assert archive.compact(START + timedelta(days=1)).moved == 8
    assert len(list(folder.rglob("*.parquet"))) == 1
    assert 99 in log.window("m").inputs["n"].to_list()
