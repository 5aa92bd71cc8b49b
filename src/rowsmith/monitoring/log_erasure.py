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
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import delete, func, select

from rowsmith.conform.sought import Sought
from rowsmith.errors import StorageError
from rowsmith.monitoring.log import COLUMNS, PredictionLog
from rowsmith.monitoring.log_archive import LogArchive, chunks
from rowsmith.monitoring.log_journal import MOVE_SECONDS, waiting_rows
from rowsmith.monitoring.log_values import decode
from rowsmith.storage.database import Database
from rowsmith.storage.tables import outcomes, predictions

ROWS_A_LOOK = 10_000
MOST_LOOKS = 40
ID, INPUTS = COLUMNS.index("id"), COLUMNS.index("inputs")


@dataclass(frozen=True, slots=True)
class Whom:
    """By a column of the inputs, with the pseudonyms of its values where there are any; and by ids of predictions."""

    sought: Sought | None
    ids: frozenset[str] = frozenset()

    def is_meant(self, id_: str, inputs: str | None) -> bool:
        if id_ in self.ids:
            return True
        if self.sought is None or inputs is None:
            return False
        return self.sought.matches(decode(inputs).get(self.sought.column))


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
        waiting = sum(whom.is_meant(row[ID], row[INPUTS]) for row in waiting_rows(self._journals))
        self._log.settle()
        ids = set(self._kept(whom))
        files = dict(self._archive.holding(whom.is_meant))
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
        for some in chunks(whom.ids):
            with self._database.reading() as connection:
                yield from connection.scalars(select(predictions.c.id).where(predictions.c.id.in_(some)))

    def _pages(self) -> Iterator[Sequence[tuple[str, str]]]:
        """In the order of the ids, a short transaction each."""
        p, last = predictions.c, ""
        while True:
            query = select(p.id, p.inputs).where(p.id > last, p.inputs.is_not(None)).order_by(p.id).limit(ROWS_A_LOOK)
            with self._database.reading() as connection:
                rows = [(id_, inputs) for id_, inputs in connection.execute(query)]
            if not rows:
                return
            yield rows
            last = rows[-1][0]

    def _shadows(self, ids: Collection[str]) -> set[str]:
        """What challengers answered to the same rows."""
        query = select(predictions.c.id, predictions.c.shadow_of).where(predictions.c.shadow_of.is_not(None))
        if not ids:
            return set()
        with self._database.reading() as connection:
            rows = connection.execution_options(yield_per=ROWS_A_LOOK).execute(query)
            return {id_ for id_, shadow_of in rows if shadow_of in ids}

    def _outcomes(self, ids: Collection[str]) -> int:
        total = 0
        for some in chunks(ids):
            query = select(func.count()).where(outcomes.c.prediction_id.in_(some))
            with self._database.reading() as connection:
                total += connection.scalar(query) or 0
        return total

    def _delete(self, ids: Collection[str]) -> None:
        """Outcomes go with their predictions."""
        for some in chunks(ids):
            with self._database.writing() as connection:
                connection.execute(delete(predictions).where(predictions.c.id.in_(some)))
