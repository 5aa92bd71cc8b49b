"""API keys: random secrets of which only a hash is kept.

A key is 256 random bits, so that one round of SHA-256 protects it: there is nothing to guess (NIST SP 800-63B,
5.1.1.2 asks for slow hashes where people choose the secret). It is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update

from rowsmith.errors import NotFoundError, UsageError
from rowsmith.storage import audit
from rowsmith.storage.database import Database
from rowsmith.storage.tables import keys

PREFIX = "rowsmith_"
SECRET_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
MAX_RATE = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class KeyRole(IntEnum):
    """What a key may do; each role may do what those before it may."""

    PREDICT = 1
    """Ask for predictions and report outcomes."""
    OPERATE = 2
    """See reports, monitoring and metrics, run batches, promote, roll back and steer traffic."""
    ADMIN = 3
    """Everything, keys and the audit included."""

    @property
    def label(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, text: str) -> KeyRole:
        """Raises UsageError."""
        try:
            return cls[text.upper()]
        except KeyError:
            allowed = ", ".join(role.label for role in cls)
            raise UsageError("there is no such role", received=text, allowed=allowed) from None


@dataclass(frozen=True, slots=True)
class Key:
    """One key without its secret. `rate` is in requests a minute; None leaves it to the server's setting."""

    number: int
    name: str
    role: KeyRole
    digest: bytes
    rate: int | None
    expires: datetime | None
    created: datetime
    created_by: str
    revoked: datetime | None
    last_used: datetime | None

    def in_force(self, now: datetime) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()


class KeyStore:
    """The keys of a project. Safe for any number of threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._revision_query = f"SELECT max(number), count(revoked) FROM {keys.name}"

    def create(
        self,
        name: str,
        role: KeyRole,
        *,
        actor: str,
        rate: int | None = None,
        lifetime: timedelta | None = None,
        now: datetime | None = None,
    ) -> tuple[Key, str]:
        """A new key, and its secret, which is kept nowhere. Raises UsageError, StorageError."""
        now = now or datetime.now(UTC)
        _check(name, rate, lifetime)
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        expires = None if lifetime is None else now + lifetime
        with self._database.writing(lock=keys.name) as connection:
            taken = connection.execute(select(keys).where(keys.c.name == name, keys.c.revoked.is_(None))).first()
            if taken is not None:
                raise UsageError(
                    f'there is a key called "{name}" already',
                    next_step=f"choose another name, or revoke that one first: rowsmith keys revoke {name}",
                )
            number = (connection.scalar(select(func.max(keys.c.number))) or 0) + 1
            key = Key(number, name, role, digest_of(secret), rate, expires, now, actor, None, None)
            connection.execute(insert(keys).values(_row(key)))
            details = {"role": role.label, "rate": rate, "expires": expires.isoformat() if expires else None}
            audit.record(connection, actor=actor, action="keys.create", subject=name, details=details, now=now)
        return key, secret

    def revoke(self, ref: str, *, actor: str, now: datetime | None = None) -> Key:
        """End a key, named by its name or number. Servers refuse it within a second.

        Raises NotFoundError for one that does not exist or was revoked before, and StorageError.
        """
        now = now or datetime.now(UTC)
        number = int(ref) if ref.isascii() and ref.isdecimal() and len(ref) < 10 else None
        with self._database.writing(lock=keys.name) as connection:
            named = or_(keys.c.name == ref, keys.c.number == number)
            row = connection.execute(select(keys).where(named, keys.c.revoked.is_(None))).first()
            if row is None:
                alive = connection.scalars(select(keys.c.name).where(keys.c.revoked.is_(None)).order_by(keys.c.name))
                raise NotFoundError(
                    "there is no key in force of this name or number",
                    received=ref,
                    allowed=", ".join(alive),
                    next_step="see all of them with: rowsmith keys list",
                )
            connection.execute(update(keys).where(keys.c.number == row.number).values(revoked=_micro(now)))
            audit.record(
                connection, actor=actor, action="keys.revoke", subject=row.name, details={"number": row.number}, now=now
            )
        return replace(_key(row), revoked=now)

    def list(self) -> tuple[Key, ...]:
        """Every key there was, oldest first. Raises StorageError."""
        with self._database.reading() as connection:
            return tuple(_key(row) for row in connection.execute(select(keys).order_by(keys.c.number)))

    def revision(self) -> tuple[int, int]:
        """Changes whenever a key is made or revoked; cheap enough to ask for often. Raises StorageError."""
        with self._database.reading() as connection:
            newest, revoked = connection.exec_driver_sql(self._revision_query).one()
        return newest or 0, revoked

    def note_use(self, used: dict[int, datetime]) -> None:
        """Write down when keys were last used, by their numbers. Raises StorageError."""
        with self._database.writing() as connection:
            for number, moment in sorted(used.items()):
                earlier = or_(keys.c.last_used.is_(None), keys.c.last_used < _micro(moment))
                connection.execute(
                    update(keys).where(keys.c.number == number, earlier).values(last_used=_micro(moment))
                )


def _check(name: str, rate: int | None, lifetime: timedelta | None) -> None:
    if not NAME.fullmatch(name) or name.isdecimal():
        raise UsageError(
            "this cannot be the name of a key",
            received=repr(name),
            allowed="1 to 64 letters, digits, '_', '.', '@' and '-', not digits alone",
        )
    if rate is not None and not 1 <= rate <= MAX_RATE:
        raise UsageError("a rate is a number of requests a minute", received=str(rate), allowed=f"1 to {MAX_RATE}")
    if lifetime is not None and not timedelta() < lifetime <= timedelta(days=36_500):
        raise UsageError("a key lives for a number of days", received=str(lifetime), allowed="1 to 36500")


def _micro(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else EPOCH + microseconds * MICROSECOND


def _row(key: Key) -> dict[str, Any]:
    return {
        "number": key.number,
        "name": key.name,
        "role": key.role.label,
        "digest": key.digest.hex(),
        "rate": key.rate,
        "expires": None if key.expires is None else _micro(key.expires),
        "created": _micro(key.created),
        "created_by": key.created_by,
        "revoked": None,
        "last_used": None,
    }


def _key(row: Row[Any]) -> Key:
    created = _moment(row.created)
    assert created is not None
    return Key(
        row.number,
        row.name,
        KeyRole.of(row.role),
        bytes.fromhex(row.digest),
        row.rate,
        _moment(row.expires),
        created,
        row.created_by,
        _moment(row.revoked),
        _moment(row.last_used),
    )
