"""Ledger: who became champion when and why. Lines are only ever added; the alias `champion` is the last line.

Promotions and rollbacks are read as a stack. A promotion puts a version on top of it; a rollback takes the top one
off, so that the one below reigns again. Rolling back twice goes two champions back, and a promotion after a
rollback starts from there:

    promote 1, promote 2, promote 3      1 2 3    champion 3
    rollback                             1 2      champion 2
    rollback                             1        champion 1
    promote 4                            1 4      champion 4
    rollback                             1        champion 1; one more is refused: no champion came before 1
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, func, insert, select

from rowsmith.storage.database import Database
from rowsmith.storage.tables import ledger
from rowsmith.types import JsonObject

Action = Literal["promote", "rollback"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line. `from_number` is None for the first champion; `created` is ISO 8601 in UTC; `evidence` is JSON."""

    name: str
    position: int
    action: Action
    from_number: int | None
    to_number: int
    actor: str
    reason: str
    evidence: JsonObject
    created: str

    def to_dict(self) -> JsonObject:
        """Without the evidence, which may be long."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "evidence"}


class Ledger:
    """The lines of every name. Writing happens inside a transaction of the caller's that locks the table."""

    table = ledger.name

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self, name: str) -> tuple[LedgerEntry, ...]:
        """Oldest first. Raises StorageError."""
        with self._database.reading() as connection:
            return self.read(connection, name)

    @staticmethod
    def read(connection: Connection, name: str) -> tuple[LedgerEntry, ...]:
        rows = connection.execute(select(ledger).where(ledger.c.name == name).order_by(ledger.c.position))
        return tuple(LedgerEntry(**{**row._mapping, "evidence": json.loads(row.evidence)}) for row in rows)

    @staticmethod
    def champion_number(connection: Connection, name: str) -> int | None:
        last = select(func.max(ledger.c.position)).where(ledger.c.name == name).scalar_subquery()
        return connection.scalar(select(ledger.c.to_number).where(ledger.c.name == name, ledger.c.position == last))

    @staticmethod
    def append(connection: Connection, entry: LedgerEntry) -> None:
        row = {field: getattr(entry, field) for field in entry.__slots__}
        connection.execute(insert(ledger).values({**row, "evidence": json.dumps(entry.evidence, ensure_ascii=False)}))


def reigns(entries: Iterable[LedgerEntry]) -> tuple[int, ...]:
    """The stack that the lines leave: earlier champions that a rollback can restore, then the present one."""
    stack: list[int] = []
    for entry in entries:
        if entry.action == "promote":
            stack.append(entry.to_number)
        else:
            stack.pop()
    return tuple(stack)
