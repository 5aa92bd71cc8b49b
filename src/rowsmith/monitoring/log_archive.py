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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

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
IDS_A_QUERY = 900
"""The oldest SQLite takes 999 values."""
CONTENT = ("id", "time", "inputs", "answer")

IsMeant: TypeAlias = Callable[[str, str | None], bool]


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
        table = self._table(path, sha256)
        return {id_: (inputs, answer) for id_, inputs, answer in table.select("id", "inputs", "answer").iter_rows()}

    def _table(self, path: str, sha256: str) -> pl.DataFrame:
        """The whole of a file, as it was written. Raises StorageError."""
        file = inside(self._folder, path)
        advice = "restore the folder of the log from a backup"
        if not file.is_file():
            raise StorageError("a file of the prediction log is missing", where=str(file), next_step=advice)
        if sha256_of_file(file) != sha256:
            raise StorageError("a file of the prediction log was changed", where=str(file), next_step=advice)
        return pl.read_parquet(file)

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
        path = _new_path(name, start)
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
        schema = {"id": pl.String, "time": pl.Int64, "inputs": pl.String, "answer": pl.String}
        return self._write_table(path, pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row"))

    def _write_table(self, path: str, table: pl.DataFrame) -> Path:
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
            self._unlink(path)
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
        oldest = time.time() - ABANDONED_SECONDS
        for path in self._unlisted(self._listed()):
            # Another process may have removed it by now.
            with suppress(FileNotFoundError):
                if (self._folder / path).stat().st_mtime < oldest:
                    self._unlink(path)

    # -- erasing -------------------------------------------------------------------------------------------

    def holding(self, is_meant: IsMeant) -> Iterator[tuple[str, frozenset[str]]]:
        """The files with entries that are meant, and which; `is_meant` is asked with the id and inputs of an entry.

        Files that are not listed are looked into as well: what a crash left holds the same rows. Raises StorageError.
        """
        listed = self._listed()
        for path, sha256 in listed.items():
            yield from _meant(path, self._table(path, sha256), is_meant)
        for path in self._unlisted(listed):
            try:
                table = pl.read_parquet(inside(self._folder, path), columns=["id", "inputs"])
            except (OSError, pl.exceptions.PolarsError):
                continue  # half a file, which is removed in its time; or gone by now
            yield from _meant(path, table, is_meant)

    def erase(self, files: Mapping[str, Collection[str]]) -> None:
        """Write these files anew without these entries, which leave the database in the same transaction.

        A file that is not listed is left alone while the database holds its entries: another process may be about to
        list it. Raises StorageError.
        """
        for path, ids in files.items():
            listed = self._listed()
            if path in listed:
                self._replace(path, listed[path], ids)
            elif not self._are_kept(ids) and path not in self._listed():
                self._unlink(path)

    def _replace(self, path: str, sha256: str, ids: Collection[str]) -> None:
        table = self._table(path, sha256)
        kept = table.filter(~pl.col("id").is_in(list(ids)))
        new = _new_path(path.partition("/")[0], kept["time"][0]) if kept.height else None
        file = self._write_table(new, kept) if new is not None else None
        same = (log_files.c.path == path, log_files.c.sha256 == sha256)
        with self._database.writing(lock=log_files.name) as connection:
            if file is None:
                done = connection.execute(delete(log_files).where(*same))
            else:
                size = file.stat().st_size
                values = {"path": new, "sha256": sha256_of_file(file), "rows": kept.height, "bytes": size}
                done = connection.execute(update(log_files).where(*same).values(**values))
            if done.rowcount:
                for some in chunks(ids):
                    connection.execute(delete(predictions).where(predictions.c.id.in_(some)))
        # Another erasure or retention was here first: what it left is looked at again.
        superfluous = path if done.rowcount else new
        if superfluous is not None:
            self._unlink(superfluous)

    def _unlink(self, path: str) -> None:
        with writing_to(self._folder):
            inside(self._folder, path).unlink(missing_ok=True)

    def _are_kept(self, ids: Collection[str]) -> bool:
        p = predictions.c
        with self._database.reading() as connection:
            return any(connection.scalar(select(func.count()).where(p.id.in_(some))) for some in chunks(ids))

    def _listed(self) -> dict[str, str]:
        """Paths, and the SHA-256 of each."""
        with self._database.reading() as connection:
            return {path: sha256 for path, sha256 in connection.execute(select(log_files.c.path, log_files.c.sha256))}

    def _unlisted(self, listed: Collection[str]) -> Iterator[str]:
        for file in self._folder.glob("*/*.parquet"):
            path = file.relative_to(self._folder).as_posix()
            if path not in listed:
                yield path


def _movable() -> tuple[ColumnElement[bool], ...]:
    """What was asked during an experiment stays: its evidence is weighed in the database."""
    p = predictions.c
    return (p.archive.is_(None), p.inputs.is_not(None), p.experiment.is_(None))


def chunks(ids: Collection[str]) -> Iterator[Sequence[str]]:
    """As many at a time as a query may name."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), IDS_A_QUERY):
        yield ordered[start : start + IDS_A_QUERY]


def _new_path(name: str, microseconds: int) -> str:
    """Relative to the folder of the log; of the day of one of its entries."""
    day = datetime.fromtimestamp(microseconds // 1_000_000, UTC).date().isoformat()
    return f"{name}/{day}-{uuid.uuid4().hex[:12]}.parquet"


def _meant(path: str, table: pl.DataFrame, is_meant: IsMeant) -> Iterator[tuple[str, frozenset[str]]]:
    ids = frozenset(id_ for id_, inputs in table.select("id", "inputs").iter_rows() if is_meant(id_, inputs))
    if ids:
        yield path, ids


class _Overtaken(Exception):
    """Somebody else moved the same entries, or added one among them."""


def _day_of(moment: datetime) -> datetime:
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
