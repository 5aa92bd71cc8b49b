"""Archive of the prediction log: what rows were asked and answered, moved day by day into Parquet files.

What weighs in the log is the inputs and answers. Compaction moves those of older days into files and leaves the rest of
the entry in the database, some hundred bytes, so that an outcome that comes months later finds its prediction, an
entry that is appended again is not stored twice, and counts stay one query. A reader sees both as one. Entries that
stand for many rows have files of their own, whose columns are those of the rows.

A file is written and flushed first; then one transaction lists it and empties the entries, or, where somebody else
moved them meanwhile, does neither. A crash in between leaves a file that is not listed and is removed later.
"""

from __future__ import annotations

import io
import os
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, tuple_, update

from rowsmith.errors import StorageError
from rowsmith.monitoring.log_rows import take_out, there
from rowsmith.monitoring.log_table import Content, columns_in, divided, ids_of, numbers_in
from rowsmith.monitoring.log_times import to_microseconds
from rowsmith.monitoring.log_whom import Whom
from rowsmith.storage.database import Database
from rowsmith.storage.files import flush_folder, inside, sha256_of_file, writing_to
from rowsmith.storage.tables import log_files, predictions

DAY_MICROSECONDS = 86_400_000_000
ROWS_A_FILE = 20_000
"""So many are emptied in one transaction, for which appends wait: about 0.2 s on SQLite."""
TABLES_A_FILE = 100
ABANDONED_SECONDS = 3600.0
TABLE = "table"
"""The column of a file of tables that says which entry a row belongs to."""
ADVICE = "restore the folder of the log from a backup"


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
        files = self._files(connection, {row[-1] for row in rows} - {None})
        return [row if row[-1] is None else (*row[:-3], *_held(files[row[-1]], row[0]), None) for row in rows]

    def contents(self, connection: Connection, places: Mapping[str, int]) -> dict[str, Content]:
        """What was moved of entries that stand for many rows. `places` has the number of the file of each."""
        files = self._files(connection, set(places.values()))
        return {id_: _held(files[number], id_) for id_, number in places.items()}

    def _files(self, connection: Connection, numbers: Set[int]) -> dict[int, Mapping[str, Any]]:
        query = select(log_files.c.number, log_files.c.path, log_files.c.sha256).where(log_files.c.number.in_(numbers))
        return {number: self._read(path, sha256) for number, path, sha256 in connection.execute(query)}

    def _load(self, path: str, sha256: str) -> Mapping[str, Any]:
        """By id: inputs and answer of single rows, Content of tables."""
        held = self._table(path, sha256)
        if TABLE in held.columns:
            tables = held.partition_by(TABLE, maintain_order=True)
            return {table[TABLE][0]: divided(table) for table in tables}
        return {id_: (inputs, answer) for id_, inputs, answer in held.select("id", "inputs", "answer").iter_rows()}

    def _table(self, path: str, sha256: str) -> pl.DataFrame:
        """The whole of a file, as it was written. Raises StorageError."""
        file = inside(self._folder, path)
        if not file.is_file():
            raise StorageError("a file of the prediction log is missing", where=str(file), next_step=ADVICE)
        if sha256_of_file(file) != sha256:
            raise StorageError("a file of the prediction log was changed", where=str(file), next_step=ADVICE)
        return pl.read_parquet(file)

    # -- moving --------------------------------------------------------------------------------------------

    def compact(self, before: datetime) -> Tidied:
        """Move what was asked and answered on the UTC days before that of `before`. Raises StorageError."""
        end = to_microseconds(_day_of(before))
        done = Tidied()
        for name, start in self._days(end):
            for move in (self._move_rows, self._move_tables):
                while moved := move(name, start):
                    done = replace(done, moved=done.moved + moved, files=done.files + 1)
        self._remove_abandoned()
        return done

    def _days(self, end: int) -> list[tuple[str, int]]:
        """Name and first microsecond of each day that has entries to move: one pass over the entries."""
        p = predictions.c
        start = (p.time - p.time % DAY_MICROSECONDS).label("start")
        is_movable = or_(and_(*_movable(p.inputs)), and_(*_movable(p.content)))
        query = select(p.name, start).where(p.time < end, is_movable).group_by(p.name, start).order_by(start, p.name)
        with self._database.reading() as connection:
            return [(name, day) for name, day in connection.execute(query)]

    def _move_rows(self, name: str, start: int) -> int:
        """One file's worth of a day's single rows; how many were moved."""
        p = predictions.c
        lines = self._lines(name, start, p.inputs, (p.inputs, p.answer), ROWS_A_FILE)
        if not lines:
            return 0
        schema = {"id": pl.String, "time": pl.Int64, "inputs": pl.String, "answer": pl.String}
        table = pl.DataFrame([tuple(line) for line in lines], schema=schema, orient="row")
        moved = self._exchange(name, start, lines, p.inputs, table)
        return moved or self._move_rows(name, start)

    def _move_tables(self, name: str, start: int) -> int:
        """One file's worth of a day's tables, all of the same columns; how many rows were moved."""
        p = predictions.c
        lines = self._lines(name, start, p.content, (p.content, p.erased), TABLES_A_FILE)
        if not lines:
            return 0
        tables = [columns_in(line.content) for line in lines]
        count = next((i for i, table in enumerate(tables) if table.schema != tables[0].schema), len(tables))
        lines = lines[:count]
        whole = pl.concat(
            [
                table.select(
                    pl.lit(line.id).alias(TABLE),
                    pl.Series("id", ids_of(line.id, table.height, numbers_in(line.erased))),
                    pl.lit(line.time, pl.Int64).alias("time"),
                    pl.all(),
                )
                for line, table in zip(lines, tables, strict=False)
            ]
        )
        moved = self._exchange(name, start, lines, p.content, whole)
        return moved or self._move_tables(name, start)

    def _lines(
        self, name: str, start: int, content: ColumnElement[Any], columns: Sequence[ColumnElement[Any]], limit: int
    ) -> Sequence[Any]:
        """The first of a day that have `content`: id, time and `columns`."""
        p = predictions.c
        query = select(p.id, p.time, *columns).where(*_of_day(name, start), *_movable(content))
        with self._database.reading() as connection:
            return connection.execute(query.order_by(p.time, p.id).limit(limit)).all()

    def _exchange(
        self, name: str, start: int, lines: Sequence[Any], content: ColumnElement[Any], table: pl.DataFrame
    ) -> int:
        """The first lines of a day for a file that holds them; how many rows that has. 0 where somebody else moved
        them meanwhile, or added one among them: then neither happens."""
        p = predictions.c
        path = _new_path(name, start)
        file = self._write(path, table)
        here = (*_of_day(name, start), *_movable(content), tuple_(p.time, p.id) <= (lines[-1].time, lines[-1].id))
        try:
            with self._database.writing(lock=log_files.name) as connection:
                number = (connection.scalar(select(func.max(log_files.c.number))) or 0) + 1
                emptying = update(predictions).where(*here)
                emptying = emptying.values(inputs=None, answer=None, content=None, archive=number)
                emptied = connection.scalars(emptying.returning(func.coalesce(p.rows, 1))).all()
                if len(emptied) != len(lines) or sum(emptied) != table.height:
                    raise _Overtaken
                connection.execute(
                    insert(log_files).values(
                        number=number,
                        path=path,
                        sha256=sha256_of_file(file),
                        name=name,
                        first=lines[0].time,
                        last=lines[-1].time,
                        rows=table.height,
                        bytes=file.stat().st_size,
                    )
                )
        except _Overtaken:
            file.unlink(missing_ok=True)
            return 0
        # After any other failure the file stays: it is not known whether the database took its line.
        return table.height

    def _write(self, path: str, table: pl.DataFrame) -> Path:
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
        removing = delete(predictions).where(p.id.in_(chosen)).returning(func.coalesce(p.rows, 1))
        with self._database.writing() as connection:
            return sum(connection.scalars(removing))

    def _remove_abandoned(self) -> None:
        oldest = time.time() - ABANDONED_SECONDS
        for path in self._unlisted(self._listed()):
            # Another process may have removed it by now.
            with suppress(FileNotFoundError):
                if (self._folder / path).stat().st_mtime < oldest:
                    self._unlink(path)

    # -- erasing -------------------------------------------------------------------------------------------

    def holding(self, whom: Whom) -> Iterator[tuple[str, frozenset[str]]]:
        """The files with rows about somebody, and the ids of these.

        Files that are not listed are looked into as well: what a crash left holds the same rows. Raises StorageError.
        """
        listed = self._listed()
        for path, sha256 in listed.items():
            yield from _meant(path, self._table(path, sha256), whom)
        for path in self._unlisted(listed):
            try:
                table = pl.read_parquet(inside(self._folder, path))
            except (OSError, pl.exceptions.PolarsError):
                continue  # half a file, which is removed in its time; or gone by now
            yield from _meant(path, table, whom)

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
        file = self._write(new, kept) if new is not None else None
        same = (log_files.c.path == path, log_files.c.sha256 == sha256)
        with self._database.writing(lock=log_files.name) as connection:
            if file is None:
                done = connection.execute(delete(log_files).where(*same))
            else:
                size = file.stat().st_size
                values = {"path": new, "sha256": sha256_of_file(file), "rows": kept.height, "bytes": size}
                done = connection.execute(update(log_files).where(*same).values(**values))
            if done.rowcount:
                take_out(connection, ids, moved=True)
        # Another erasure or retention was here first: what it left is looked at again.
        superfluous = path if done.rowcount else new
        if superfluous is not None:
            self._unlink(superfluous)

    def _unlink(self, path: str) -> None:
        with writing_to(self._folder):
            inside(self._folder, path).unlink(missing_ok=True)

    def _are_kept(self, ids: Collection[str]) -> bool:
        with self._database.reading() as connection:
            return bool(there(connection, ids))

    def _listed(self) -> dict[str, str]:
        """Paths, and the SHA-256 of each."""
        with self._database.reading() as connection:
            return {path: sha256 for path, sha256 in connection.execute(select(log_files.c.path, log_files.c.sha256))}

    def _unlisted(self, listed: Collection[str]) -> Iterator[str]:
        for file in self._folder.glob("*/*.parquet"):
            path = file.relative_to(self._folder).as_posix()
            if path not in listed:
                yield path


def _of_day(name: str, start: int) -> tuple[ColumnElement[bool], ...]:
    p = predictions.c
    return (p.name == name, p.time >= start, p.time < start + DAY_MICROSECONDS)


def _movable(content: ColumnElement[Any]) -> tuple[ColumnElement[bool], ...]:
    """What was asked during an experiment stays: its evidence is weighed in the database."""
    p = predictions.c
    return (p.archive.is_(None), content.is_not(None), p.experiment.is_(None))


def _held(file: Mapping[str, Any], id_: str) -> Any:
    try:
        return file[id_]
    except KeyError:
        raise StorageError(
            "the file that an older prediction was moved to does not hold it", next_step=ADVICE
        ) from None


def _new_path(name: str, microseconds: int) -> str:
    """Relative to the folder of the log; of the day of one of its entries."""
    day = datetime.fromtimestamp(microseconds // 1_000_000, UTC).date().isoformat()
    return f"{name}/{day}-{uuid.uuid4().hex[:12]}.parquet"


def _meant(path: str, table: pl.DataFrame, whom: Whom) -> Iterator[tuple[str, frozenset[str]]]:
    if TABLE in table.columns:
        ids = frozenset(whom.among(divided(table).inputs, table["id"].to_list()))
    else:
        rows = table.select("id", "inputs").iter_rows()
        ids = frozenset(id_ for id_, inputs in rows if whom.is_meant(id_, inputs))
    if ids:
        yield path, ids


class _Overtaken(Exception):
    """Somebody else moved the same entries, added one among them, or took rows out of one."""


def _day_of(moment: datetime) -> datetime:
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
