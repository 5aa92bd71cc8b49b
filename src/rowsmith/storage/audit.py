"""Audit: who changed what, and when. Lines are only ever added, and the database refuses to change one.

A change of the database writes its line in its own transaction: no change without its line, no line without its
change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, insert, select

from rowsmith.storage.database import Database
from rowsmith.storage.tables import audit
from rowsmith.types import JsonObject

TABLE = audit.name
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One change. `actor` says who, `action` what was done (`keys.create`, `promote`), `subject` to what."""

    position: int
    time: datetime
    actor: str
    action: str
    subject: str
    details: JsonObject


def record(
    connection: Connection, *, actor: str, action: str, subject: str, details: JsonObject, now: datetime | None = None
) -> None:
    """Add a line in the caller's transaction, which then holds the table to itself until it ends."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {TABLE} IN SHARE ROW EXCLUSIVE MODE")
    last = connection.scalar(select(func.max(audit.c.position))) or 0
    moment = (now or datetime.now(UTC)) - EPOCH
    connection.execute(
        insert(audit).values(
            position=last + 1,
            time=moment // timedelta(microseconds=1),
            actor=actor,
            action=action,
            subject=subject,
            details=json.dumps(details, ensure_ascii=False, sort_keys=True),
        )
    )


def lines(database: Database, *, action: str = "", limit: int | None = None) -> tuple[AuditLine, ...]:
    """The latest `limit` lines (all when None) of one action or all, oldest first. Raises StorageError."""
    query = select(audit).order_by(audit.c.position.desc()).limit(limit)
    if action:
        query = query.where(audit.c.action == action)
    with database.reading() as connection:
        rows = connection.execute(query).all()[::-1]
    return tuple(
        AuditLine(
            row.position,
            EPOCH + timedelta(microseconds=row.time),
            row.actor,
            row.action,
            row.subject,
            json.loads(row.details),
        )
        for row in rows
    )
