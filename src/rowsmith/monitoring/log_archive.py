"""Archive of the prediction log: what rows were asked and answered, moved day by day into Parquet files.

What weighs in the log is the inputs and answers. Compaction moves those of older days into files and leaves the rest of
the entry in the database, some hundred bytes, so that an outcome that comes months later finds its prediction, an
entry that is appended again is not stored twice, and counts stay one query. A reader sees both as one.

A file is written and flushed first; then one transaction lists it and empties the entries, or, where somebody else
moved them meanwhile, does neither. A crash in between leaves a file that is not listed and is removed later.
"""

from __future__ import annotations

import io
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, tuple_, update

from rowsmith.errors import StorageError
from rowsmith.monitoring.log_times import to_microseconds
from rowsmith.storage.database import Database
from rowsmith.storage.files import flush_folder, inside, sha256_of_file, writing_to
from rowsmith.storage.tables import log_files, predictions

DAY_MICROSECONDS = 86_400_000_000
ROWS_A_FILE = 20_000
"""So many are emptied in one transaction, for which appends wait: about 0.2 s on SQLite."""
ABANDONED_SECONDS = 3600.0
CONTENT = ("id", "time", "inputs", "answer")


@dataclass(frozen=True, slots=True)
class Tidied:
    """What became of older entries: moved to how many new files, and removed for good because of their age."""

    moved: int = 0
    files: int = 0
    removed: int = 0
    files_removed: int = 0


class LogArchive:
    """The files of a log in `folder`. Safe for any number of processes that share folder and database."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        # Several looks at the same weeks follow each other; the newest files stay in memory.
        self._read = lru_cache(maxsize=8)(self._load)

    # -- reading -------------------------------------------------------------------------------------------

    def fill(self, connection: Connection, rows: Sequence[Any]) -> Sequence[Any]:
        """Rows whose last three columns are inputs, answer and archive, with what was moved in its place again."""
        if not any(row[-1] is not None for row in rows):
            return rows
        wanted = {row[-1] for row in rows} - {None}
        query = select(log_files.c.number, log_files.c.path, log_files.c.sha256).where(log_files.c.number.in_(wanted))
        known = {number: self._read(path, sha256) for number, path, sha256 in connection.execute(query)}
        return [row if row[-1] is None else (*row[:-3], *self._content(known, row), None) for row in rows]

    @staticmethod
    def _content(known: dict[int, dict[str, tuple[str, str]]], row: Any) -> tuple[str, str]:
        try:
            return known[row[-1]][row[0]]
        except KeyError:
            raise StorageError(
                "the file that an older prediction was moved to does not hold it",
                next_step="restore the folder of the log from a backup",
            ) from None

    def _load(self, path: str, sha256: str) -> dict[str, tuple[str, str]]:
        file = inside(self._folder, path)
        advice = "restore the folder of the log from a backup"
        if not file.is_file():
            raise StorageError("a file of the prediction log is missing", where=str(file), next_step=advice)
        if sha256_of_file(file) != sha256:
            raise StorageError("a file of the prediction log was changed", where=str(file), next_step=advice)
        table = pl.read_parquet(file, columns=["id", "inputs", "answer"])
        return {id_: (inputs, answer) for id_, inputs, answer in table.iter_rows()}

    # -- moving --------------------------------------------------------------------------------------------

    def compact(self, before: datetime) -> Tidied:
        """Move what was asked and answered on the UTC days before that of `before`. Raises StorageError."""
        end = to_microseconds(_day_of(before))
        done = Tidied()
        for name, start in self._days(end):
            while moved := self._move(name, start, start + DAY_MICROSECONDS):
                done = replace(done, moved=done.moved + moved, files=done.files + 1)
        self._remove_abandoned()
        return done

    def _days(self, end: int) -> list[tuple[str, int]]:
        """Name and first microsecond of each day that has entries to move: one pass over the entries."""
        p = predictions.c
        start = (p.time - p.time % DAY_MICROSECONDS).label("start")
        query = select(p.name, start).where(p.time < end, *_movable()).group_by(p.name, start).order_by(start, p.name)
        with self._database.reading() as connection:
            return [(name, day) for name, day in connection.execute(query)]

    def _move(self, name: str, start: int, stop: int) -> int:
        """One file's worth of a day; how many entries were moved."""
        p = predictions.c
        here = (p.name == name, p.time >= start, p.time < stop, *_movable())
        query = select(*(p[column] for column in CONTENT)).where(*here).order_by(p.time, p.id).limit(ROWS_A_FILE)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        if not rows:
            return 0
        day = datetime.fromtimestamp(start // 1_000_000, UTC).date().isoformat()
        path = f"{name}/{day}-{uuid.uuid4().hex[:12]}.parquet"
        file = self._write(path, rows)
        last = tuple_(p.time, p.id) <= (rows[-1].time, rows[-1].id)
        try:
            with self._database.writing(lock=log_files.name) as connection:
                number = (connection.scalar(select(func.max(log_files.c.number))) or 0) + 1
                emptied = connection.execute(
                    update(predictions).where(*here, last).values(inputs=None, answer=None, archive=number)
                )
                if emptied.rowcount != len(rows):
                    raise _Overtaken
                connection.execute(
                    insert(log_files).values(
                        number=number,
                        path=path,
                        sha256=sha256_of_file(file),
                        name=name,
                        first=rows[0].time,
                        last=rows[-1].time,
                        rows=len(rows),
                        bytes=file.stat().st_size,
                    )
                )
        except _Overtaken:
            file.unlink(missing_ok=True)
            return self._move(name, start, stop)
        # After any other failure the file stays: it is not known whether the database took its line.
        return len(rows)

    def _write(self, path: str, rows: Sequence[Any]) -> Path:
        table = pl.DataFrame(
            [tuple(row) for row in rows],
            schema={"id": pl.String, "time": pl.Int64, "inputs": pl.String, "answer": pl.String},
            orient="row",
        )
        buffer = io.BytesIO()
        table.write_parquet(buffer, compression="zstd", compression_level=6)
        file = inside(self._folder, path)
        with writing_to(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                with file.open("xb") as opened:
                    opened.write(buffer.getvalue())
                    opened.flush()
                    os.fsync(opened.fileno())
                flush_folder(file.parent, deep=False)
            except BaseException:
                file.unlink(missing_ok=True)
                raise
        return file

    # -- removing ------------------------------------------------------------------------------------------

    def retain(self, since: datetime) -> Tidied:
        """Remove every entry from before the UTC day of `since`, with its outcomes and its file.

        Raises StorageError.
        """
        end = to_microseconds(_day_of(since))
        removed = 0
        for name in self._names():
            while chunk := self._remove_entries(name, end):
                removed += chunk
        with self._database.writing(lock=log_files.name) as connection:
            # A file holds one day, so that no entry that stays is in one that goes.
            old = connection.execute(select(log_files.c.path).where(log_files.c.last < end)).scalars().all()
            connection.execute(delete(log_files).where(log_files.c.last < end))
        for path in old:
            with writing_to(self._folder):
                inside(self._folder, path).unlink(missing_ok=True)
        return Tidied(removed=removed, files_removed=len(old))

    def _names(self) -> tuple[str, ...]:
        with self._database.reading() as connection:
            return tuple(connection.scalars(select(predictions.c.name).distinct()))

    def _remove_entries(self, name: str, end: int) -> int:
        p = predictions.c
        chosen = select(p.id).where(p.name == name, p.time < end).limit(ROWS_A_FILE).scalar_subquery()
        with self._database.writing() as connection:
            return connection.execute(delete(predictions).where(p.id.in_(chosen))).rowcount

    def _remove_abandoned(self) -> None:
        with self._database.reading() as connection:
            listed = set(connection.scalars(select(log_files.c.path)))
        oldest = time.time() - ABANDONED_SECONDS
        for file in self._folder.glob("*/*.parquet"):
            # Another process may have removed it by now.
            with suppress(FileNotFoundError):
                if file.relative_to(self._folder).as_posix() not in listed and file.stat().st_mtime < oldest:
                    file.unlink(missing_ok=True)


def _movable() -> tuple[ColumnElement[bool], ...]:
    """What was asked during an experiment stays: its evidence is weighed in the database."""
    p = predictions.c
    return (p.archive.is_(None), p.inputs.is_not(None), p.experiment.is_(None))


class _Overtaken(Exception):
    """Somebody else moved the same entries, or added one among them."""


def _day_of(moment: datetime) -> datetime:
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
