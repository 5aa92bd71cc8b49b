"""Erasure from the prediction log: every entry about somebody, wherever it is kept, and its outcomes.

The log keeps what a model looked at, so that its entries are found by a column that models look at, as it was sent or
as a pseudonym, and by the ids that came with the answers. An entry may be in a journal, in the database, or in a file
that older entries were moved to, and moves from one to the next while a server runs. So one look is not enough:
looking ends when two looks, some time apart, found nothing, in journals neither.

Each step is whole: a file is written anew and its entries are deleted in the transaction that lists the new file in
place of the old one. What a crash leaves undone, the next erasure of the same person does.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, func, select

from rowsmith.errors import StorageError
from rowsmith.monitoring.log import PredictionLog
from rowsmith.monitoring.log_archive import LogArchive
from rowsmith.monitoring.log_entries import COLUMNS, Row, is_table
from rowsmith.monitoring.log_journal import MOVE_SECONDS, waiting_rows
from rowsmith.monitoring.log_rows import chunks, take_out, there
from rowsmith.monitoring.log_table import ids_of, numbers_in, place_of, read_content
from rowsmith.monitoring.log_whom import Whom
from rowsmith.storage.database import Database
from rowsmith.storage.tables import outcomes, predictions

ROWS_A_LOOK = 10_000
TABLES_A_LOOK = 100
MOST_LOOKS = 40
ID, INPUTS = COLUMNS.index("id"), COLUMNS.index("inputs")


@dataclass(frozen=True, slots=True)
class LogFound:
    """`ids` of entries, how many true outcomes they have, which files hold which of them, and how many of them wait in
    journals."""

    ids: frozenset[str] = frozenset()
    outcomes: int = 0
    files: Mapping[str, frozenset[str]] = field(default_factory=dict)
    waiting: int = 0

    def __bool__(self) -> bool:
        return bool(self.ids or self.waiting)

    def and_also(self, other: LogFound) -> LogFound:
        files = {**self.files, **other.files}
        return LogFound(self.ids | other.ids, self.outcomes + other.outcomes, files, self.waiting + other.waiting)


class LogErasure:
    """Over one log. `journals` is the folder of the servers' journals."""

    def __init__(self, database: Database, log: PredictionLog, archive: LogArchive, journals: Path) -> None:
        self._database = database
        self._log = log
        self._archive = archive
        self._journals = journals

    def find(self, whom: Whom) -> LogFound:
        """What there is now. Raises StorageError, also for a file of the log that is damaged."""
        waiting = sum(len(_meant(row, whom)) for row in waiting_rows(self._journals))
        self._log.settle()
        ids = set(self._kept(whom))
        files = dict(self._archive.holding(whom))
        ids = ids.union(*files.values())
        ids |= self._shadows(ids)
        return LogFound(frozenset(ids), self._outcomes(ids), files, waiting)

    def erase(self, whom: Whom) -> LogFound:
        """Erase until nothing is left; answers what was. Raises StorageError."""
        erased, is_quiet = LogFound(), False
        for _ in range(MOST_LOOKS):
            found = self.find(whom)
            if not found and (is_quiet or not erased):
                break
            is_quiet = not found
            self._archive.erase(found.files)
            self._delete(found.ids)
            erased = erased.and_also(found)
            if found.waiting or is_quiet:
                # Whoever read a journal before it was emptied has stored what it read by then.
                time.sleep(2 * MOVE_SECONDS)
        else:
            raise StorageError(
                "predictions of this person are logged faster than they are erased",
                next_step="end what asks about this person, and erase again",
            )
        if erased:
            self._database.purge(predictions.name, outcomes.name)
        return erased

    def _kept(self, whom: Whom) -> Iterator[str]:
        """Entries whose inputs are in the database, and those whose id is known."""
        if whom.sought is not None:
            for rows in self._pages():
                yield from (id_ for id_, inputs in rows if whom.is_meant(id_, inputs))
            yield from self._kept_in_tables(whom)
        with self._database.reading() as connection:
            yield from there(connection, whom.ids)

    def _pages(self) -> Iterator[Sequence[Any]]:
        """Ids and inputs of single rows."""
        return self._in_pages(predictions.c.inputs, (predictions.c.inputs,), ROWS_A_LOOK)

    def _kept_in_tables(self, whom: Whom) -> Iterator[str]:
        p = predictions.c
        for lines in self._in_pages(p.content, (p.rows, p.erased, p.content), TABLES_A_LOOK):
            for id_, rows, erased, content in lines:
                yield from whom.among(read_content(content).inputs, ids_of(id_, rows, numbers_in(erased)))

    def _in_pages(
        self, content: ColumnElement[Any], columns: Sequence[ColumnElement[Any]], limit: int
    ) -> Iterator[Sequence[Any]]:
        """Id and `columns` of entries with some `content`, in the order of the ids, a short transaction each."""
        p, last = predictions.c, ""
        while True:
            query = select(p.id, *columns).where(p.id > last, content.is_not(None)).order_by(p.id).limit(limit)
            with self._database.reading() as connection:
                lines = connection.execute(query).all()
            if not lines:
                return
            yield lines
            last = lines[-1][0]

    def _shadows(self, ids: Collection[str]) -> set[str]:
        """What challengers answered to the same rows."""
        p = predictions.c
        query = select(p.id, p.shadow_of, p.rows, p.erased).where(p.shadow_of.is_not(None))
        if not ids:
            return set()
        tables: dict[str, set[str]] = defaultdict(set)
        for id_ in ids:
            if (place := place_of(id_)) is not None:
                tables[place[0]].add(id_)
        found: set[str] = set()
        with self._database.reading() as connection:
            lines = connection.execution_options(yield_per=ROWS_A_LOOK).execute(query)
            for id_, shadow_of, rows, erased in lines:
                if rows is None:
                    found |= {id_} if shadow_of in ids else set()
                elif shadow_of in tables:
                    given = {f"{one}{id_.removeprefix(shadow_of)}" for one in tables[shadow_of]}
                    found |= given.intersection(ids_of(id_, rows, numbers_in(erased)))
        return found

    def _outcomes(self, ids: Collection[str]) -> int:
        total = 0
        for some in chunks(ids):
            query = select(func.count()).where(outcomes.c.prediction_id.in_(some))
            with self._database.reading() as connection:
                total += connection.scalar(query) or 0
        return total

    def _delete(self, ids: Collection[str]) -> None:
        """Outcomes go with their predictions."""
        with self._database.writing() as connection:
            take_out(connection, ids)


def _meant(row: Row, whom: Whom) -> list[str]:
    """The ids of those that are meant in a line of a journal."""
    if not is_table(row):
        return [row[ID]] if whom.is_meant(row[ID], row[INPUTS]) else []
    rows, content = row[-2:]
    return [] if content is None else whom.among(read_content(content).inputs, ids_of(row[ID], rows))
