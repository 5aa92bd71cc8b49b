"""Prediction log: every answer that was given, durable before it is given, and the true outcomes that came later.

Appending is a group commit: while one thread writes, the entries of the others gather, and the next one to get its
turn writes them all in one transaction. Whoever appends waits until its own entries are durable, so a slow disk
slows the callers down and nothing is lost in between. What an id was first stored with stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from rowsmith.errors import StorageError
from rowsmith.monitoring.group_commit import GroupCommit
from rowsmith.monitoring.log_archive import LogArchive
from rowsmith.monitoring.log_entries import LogEntry, Role, Row, Source, Status, new_ids, row_of, rows_in
from rowsmith.monitoring.log_gap import Gap, Hole
from rowsmith.monitoring.log_inserts import PATIENCE_SECONDS, Insert, insert_postgresql, insert_sqlite
from rowsmith.monitoring.log_journal import IS_POSSIBLE, LogJournal, Tell, read_through
from rowsmith.monitoring.log_labels import LabelResult, store_labels
from rowsmith.monitoring.log_privacy import Privacy
from rowsmith.monitoring.log_queries import Stretch, Summary, Window, read_counts, read_summary, read_window
from rowsmith.monitoring.log_table import LogTable, Refused
from rowsmith.storage import audit
from rowsmith.storage.database import Database

__all__ = [
    "LabelResult",
    "LogEntry",
    "PredictionLog",
    "Role",
    "Source",
    "Status",
    "Summary",
    "Window",
    "new_ids",
]

logger = logging.getLogger("rowsmith.monitoring")

Keep: TypeAlias = Callable[[Sequence[Row]], None]

GAP_ACTION = "log.gap"


class PredictionLog:
    """Safe for any number of threads and processes."""

    def __init__(
        self,
        database: Database,
        journals: Path | None = None,
        *,
        archive: LogArchive | None = None,
        privacy: Privacy | None = None,
        gap: Gap | None = None,
    ) -> None:
        """`journals` is the folder in which servers keep journals (see log_journal.py), which reading looks through;
        `archive` is where older entries were moved to. With a `gap`, what cannot be kept is counted there instead of
        raising an error."""
        self._database = database
        self._archive = archive
        self._privacy = privacy
        self._gap = gap
        self._insert: Insert = insert_sqlite if database.is_sqlite else insert_postgresql
        self._connection: Any = None
        self._store: Keep = GroupCommit(self._write, patience=PATIENCE_SECONDS).add
        self._keep: Keep = self._store
        self._journals = journals
        self._journal: LogJournal | None = None

    # -- writing -------------------------------------------------------------------------------------------

    def append(self, entries: Sequence[LogEntry], tell: Tell | None = None) -> None:
        """Store entries; they are durable on return. An id that is stored already is left as it is.

        With `tell` it may return before: None is told when they are durable, else the StorageError, in a thread that
        must not be held up and in which nothing may be appended.

        Raises UsageError (an id or a value that cannot be stored; nothing was) and, unless there is a gap for them,
        StorageError (whether they were stored is not known: append them again).
        """
        self._append([row_of(entry, self._privacy) for entry in entries], tell)

    def append_tables(self, tables: Sequence[LogTable | Refused], tell: Tell | None = None) -> None:
        """The same for rows that were asked about together: one entry for each table."""
        self._append([table.to_row(self._privacy) for table in tables], tell)

    def _append(self, rows: list[Row], tell: Tell | None) -> None:
        if rows and tell is not None and self._journal is not None and self._gap is None:
            self._journal.write(rows, tell)
            return
        if rows:
            self._append_now(rows)
        if tell is not None:
            tell(None)

    def _append_now(self, rows: list[Row]) -> None:
        if self._gap is None:
            self._keep(rows)
        else:
            self._keep_or_count(rows, self._gap)

    def keep_journal(self) -> None:
        """From now on what is appended goes to a journal of this process, and from there to the database."""
        if self._journals is not None and self._journal is None and IS_POSSIBLE:
            self._journal = LogJournal(self._journals, self._store)
            self._keep = self._journal.write

    def get_ready(self) -> None:
        """Make what the first append would make otherwise. Raises StorageError."""
        if self._journal is not None:
            self._journal.start()

    @property
    def lag_seconds(self) -> float:
        """For how long entries of this process have been on their way to the database; 0 where none is."""
        return 0.0 if self._journal is None else self._journal.lag_seconds

    def _keep_or_count(self, rows: Sequence[Row], gap: Gap) -> None:
        if not gap.may_try():
            gap.widen(rows_in(rows))
            return
        try:
            self._keep(rows)
        except StorageError as problem:
            gap.widen(rows_in(rows), problem)
            return
        if gap.is_open and (hole := gap.close()) is not None:
            self._write_down(hole)

    def _write_down(self, hole: Hole) -> None:
        """A hole in the log is a line of the audit, so that whoever reads the log later knows of it."""
        details = {"first": hole.first.isoformat(), "last": hole.last.isoformat(), "predictions": hole.answers}
        with suppress(StorageError), self._database.writing() as connection:
            audit.record(connection, actor="server", action=GAP_ACTION, subject="prediction log", details=details)

    def close(self) -> None:
        """Let go of the journal and the connection that appends; the next append opens others."""
        if self._journal is not None:
            self._journal.close()
        self._disconnect()

    def settle(self) -> None:
        """Bring into the database what any process of this machine has appended so far. Raises StorageError."""
        if self._journal is not None:
            self._journal.catch_up()
        if self._journals is not None and IS_POSSIBLE:
            read_through(self._journals, self._store)

    def _settle_if_possible(self) -> None:
        """Who reads is shown what there is, though the newest entries wait in a journal because the disk is full."""
        try:
            self.settle()
        except StorageError as problem:
            logger.warning("what is read lacks the newest predictions: %s", problem)

    def _write(self, rows: Sequence[Row]) -> None:
        with self._database.translated():
            while True:
                known = self._connection is not None
                connection = self._connection = self._connection or self._connect()
                try:
                    self._insert(self._database, connection, rows)
                    return
                except BaseException:
                    # A server that was restarted ends old connections. Storing twice is harmless, so try once more.
                    lost = known and getattr(connection, "closed", False)
                    self._disconnect()
                    if not lost:
                        raise

    def _connect(self) -> Any:
        connection = self._database.connect_raw()
        if not self._database.is_sqlite:
            connection.execute(f"SET statement_timeout = {int(PATIENCE_SECONDS * 1000)}")
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._database.close_raw(connection)

    # -- outcomes ------------------------------------------------------------------------------------------

    def label(self, labels: Any, *, actor: str = "") -> LabelResult:
        """Join true outcomes to predictions by id.

        `labels` is a mapping of id to outcome, an iterable of such pairs, or any dataframe with the columns `id` and
        `label`. An outcome is text, a number or a boolean; None and NaN mean that it is not known yet. Where one id
        comes twice the later one counts. An outcome that differs from the one before is added to it and counts from
        then on; the earlier ones are kept. The same outcome again changes nothing, so that labelling may be repeated
        after an error: it commits in steps of some thousand rows.

        Raises DataError for a table without these columns and an outcome that is no single value, StorageError.
        """
        self.settle()
        return store_labels(self._database, labels, actor)

    # -- reading -------------------------------------------------------------------------------------------

    def window(
        self,
        name: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        version: int | None = None,
        role: Role | None = None,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Window:
        """The answered rows from `start` (inclusive) to `end` (exclusive), with the outcomes that are known.

        `columns` names the inputs to take (one that no row had is null throughout); all that occur when None. Values
        are those that were logged: a column of mixed types becomes text. `limit` keeps the latest so many rows.
        Without `role` these are the rows that callers were answered, whoever answered; a shadow's are asked for.
        Raises StorageError.
        """
        self._settle_if_possible()
        with self._database.reading() as connection:
            return read_window(connection, Stretch(name, start, end, version, role), columns, limit, self._archive)

    def counts(
        self,
        name: str,
        start: datetime,
        end: datetime,
        every: timedelta,
        *,
        version: int | None = None,
        role: Role | None = None,
    ) -> pl.DataFrame:
        """Volume by stretches of the length `every`, without gaps: `start`, `predictions`, `errors`, `labelled`.

        Raises StorageError.
        """
        self._settle_if_possible()
        with self._database.reading() as connection:
            return read_counts(connection, Stretch(name, start, end, version, role), every)

    def summary(
        self,
        name: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        version: int | None = None,
        role: Role | None = None,
    ) -> Summary:
        """Volume, errors and latency from `start` (inclusive) to `end` (exclusive). Raises StorageError."""
        self._settle_if_possible()
        with self._database.reading() as connection:
            return read_summary(connection, Stretch(name, start, end, version, role))
