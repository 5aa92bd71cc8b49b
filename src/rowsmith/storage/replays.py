"""Replays: what was answered to requests with an idempotency key, for a day."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from rowsmith.storage.database import Database
from rowsmith.storage.tables import replays

KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Replay:
    """`fingerprint` is a hash of the request, `answer` the body that it got."""

    fingerprint: str
    answer: str


def find_replay(database: Database, key: str, *, now: float) -> Replay | None:
    """`now` is in seconds since 1970. Raises StorageError."""
    query = select(replays.c.fingerprint, replays.c.answer).where(
        replays.c.key == key, replays.c.time > int(now) - KEPT_SECONDS
    )
    with database.reading() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else Replay(*row)


def keep_replay(database: Database, key: str, replay: Replay, *, now: float) -> None:
    """Keep it unless there is one, and forget what is older than a day. Raises StorageError."""
    with database.writing(lock=replays.name) as connection:
        connection.execute(delete(replays).where(replays.c.time <= int(now) - KEPT_SECONDS))
        if connection.execute(select(replays.c.key).where(replays.c.key == key)).one_or_none() is None:
            values = {"key": key, "fingerprint": replay.fingerprint, "answer": replay.answer, "time": int(now)}
            connection.execute(insert(replays).values(values))
