"""Traffic: which share of a model's requests a challenger sees, and how that came to be. Events are only ever added.

At most one rule is in force for a name, the last event's:

    shadow     the challenger answers every request too; its answers are logged and given to nobody
    canary     the challenger answers a share of the requests, and is taken back when it does worse beyond chance
    split      the challenger answers a share of the requests until the evidence says which of the two is better
    stop       the champion answers alone again, because someone said so
    roll back  the same, because the evidence said so

A rule belongs to the champion that it was made beside. A promotion or a rollback ends it: the rule keeps the length of
the ledger (`reign`), and is in force only while that is its length. Processes see a new rule by its position.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import Connection, Row, func, insert, select

from rowsmith.errors import NotFoundError, UsageError
from rowsmith.registry.ledger import Ledger
from rowsmith.storage import audit
from rowsmith.storage.database import Database
from rowsmith.storage.tables import ledger, traffic, versions
from rowsmith.types import JsonObject

RuleKind: TypeAlias = Literal["shadow", "canary", "split"]
EndKind: TypeAlias = Literal["stop", "roll back"]
RULES: tuple[str, ...] = get_args(RuleKind)
ALPHA = 0.05
SALT_BYTES = 8
UNIT_BYTES = 8


@dataclass(frozen=True, slots=True)
class Rule:
    """How requests are shared. `share` (0 to 1) is the challenger's; a shadow's is the share of requests it sees.

    `key` names the column that requests are split by (empty: the caller's key, or the row). `salt` makes this rule's
    split independent of every other's. An answer after more than `slow_ms` milliseconds counts as slow. `alpha` bounds
    the chance of a false alarm over the whole life of the rule, however often one looks.
    """

    kind: RuleKind
    champion: int
    challenger: int
    share: float = 1.0
    key: str = ""
    salt: str = ""
    slow_ms: float = 100.0
    alpha: float = ALPHA
    reign: int = 0
    position: int = 0
    created: str = ""

    def unit(self, text: str) -> str:
        """What stands in the log for a key: always the same for one key and salt, and not the key itself."""
        return blake2b(text.encode("utf-8", "replace"), digest_size=UNIT_BYTES, key=self.salt.encode()).hexdigest()

    def is_challengers(self, unit: str) -> bool:
        """Whether the challenger answers (or, a shadow, sees) the requests of a unit. A larger share keeps them."""
        return int(unit, 16) < self.share * 2.0 ** (8 * UNIT_BYTES)


@dataclass(frozen=True, slots=True)
class TrafficEvent:
    """One line of the trail. `rule` is None for an event that ends one; `created` is ISO 8601 in UTC."""

    name: str
    position: int
    kind: RuleKind | EndKind
    champion: int | None
    challenger: int | None
    rule: Rule | None
    actor: str
    reason: str
    created: str
    evidence: JsonObject = field(repr=False)

    def to_dict(self) -> JsonObject:
        keys = ("name", "position", "kind", "champion", "challenger", "actor", "reason", "created", "evidence")
        rule = self.rule and {key: getattr(self.rule, key) for key in (*KEPT, "reign")}
        return {key: getattr(self, key) for key in keys} | {"rule": rule}


KEPT = ("share", "key", "slow_ms", "alpha")
"""What the JSON of a rule shows; the salt is kept too, but shown to nobody: with it, keys could be guessed."""


class Traffic:
    """The events of every name. Safe for any number of threads and processes that share the database."""

    table = traffic.name

    def __init__(self, database: Database, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database = database
        self._now = now
        mark = "?" if database.is_sqlite else "%s"
        # One statement, kept as text: every server asks several times a second.
        self._token_query = (
            f"SELECT (SELECT max(position) FROM {ledger.name} WHERE name = {mark}),"
            f" (SELECT max(position) FROM {traffic.name} WHERE name = {mark})"
        )

    def token(self, name: str) -> tuple[int, int]:
        """Changes whenever the champion or the rule does: the lengths of the ledger and of the trail."""
        with self._database.reading() as connection:
            reign, position = connection.exec_driver_sql(self._token_query, (name, name)).one()
        return reign or 0, position or 0

    def rule(self, name: str) -> Rule | None:
        """The rule in force. Raises StorageError."""
        with self._database.reading() as connection:
            return self._in_force(connection, name)

    def events(self, name: str) -> tuple[TrafficEvent, ...]:
        """Oldest first. Raises StorageError."""
        query = select(traffic).where(traffic.c.name == name).order_by(traffic.c.position)
        with self._database.reading() as connection:
            return tuple(_event(row) for row in connection.execute(query))

    def begin(
        self,
        name: str,
        kind: RuleKind,
        challenger: int,
        *,
        share: float = 1.0,
        key: str = "",
        slow_ms: float = 100.0,
        alpha: float = ALPHA,
        reason: str,
        actor: str,
    ) -> TrafficEvent:
        """Put a rule in force, in place of the one before it.

        A new share for the same challenger under the same kind keeps the units that it has. Raises UsageError for a
        share or a challenger that makes no sense, NotFoundError without a champion or such a version.
        """
        _check(kind, share, alpha, slow_ms)
        with self._database.writing(lock=traffic.name) as connection:
            champion = Ledger.champion_number(connection, name)
            if champion is None:
                raise NotFoundError(
                    f'"{name}" has no champion yet, so there is no traffic to share', next_step="promote one first"
                )
            if challenger == champion:
                raise UsageError(
                    f"version {challenger} is the champion itself",
                    allowed="another version",
                    next_step="see: rowsmith show",
                )
            known = select(versions.c.number).where(versions.c.name == name, versions.c.number == challenger)
            if connection.scalar(known) is None:
                raise NotFoundError(f'"{name}" has no version {challenger}', next_step="see: rowsmith leaderboard")
            before = self._in_force(connection, name)
            same = before is not None and (before.kind, before.challenger) == (kind, challenger)
            rule = Rule(
                kind=kind,
                champion=champion,
                challenger=challenger,
                share=share,
                key=key,
                salt=before.salt if before is not None and same else secrets.token_hex(SALT_BYTES),
                slow_ms=slow_ms,
                alpha=alpha,
                reign=_reign(connection, name),
            )
            return self._append(connection, name, kind, rule, champion, challenger, actor, reason, {})

    def end(
        self,
        name: str,
        *,
        reason: str,
        actor: str,
        kind: EndKind = "stop",
        evidence: JsonObject | None = None,
        over: int | None = None,
    ) -> TrafficEvent | None:
        """End the rule in force; None where another than the one at the position `over` is, or none any more.

        Raises NotFoundError where none is in force and `over` is not given.
        """
        with self._database.writing(lock=traffic.name) as connection:
            rule = self._in_force(connection, name)
            if over is not None and (rule is None or rule.position != over):
                return None
            if rule is None:
                raise NotFoundError(
                    f'no rule is in force for "{name}": the champion answers alone',
                    next_step="see: rowsmith traffic show",
                )
            return self._append(
                connection, name, kind, None, rule.champion, rule.challenger, actor, reason, evidence or {}
            )

    def _in_force(self, connection: Connection, name: str) -> Rule | None:
        last = select(func.max(traffic.c.position)).where(traffic.c.name == name).scalar_subquery()
        row = connection.execute(
            select(traffic).where(traffic.c.name == name, traffic.c.position == last)
        ).one_or_none()
        rule = None if row is None else _event(row).rule
        return rule if rule is not None and rule.reign == _reign(connection, name) else None

    def _append(
        self,
        connection: Connection,
        name: str,
        kind: RuleKind | EndKind,
        rule: Rule | None,
        champion: int,
        challenger: int,
        actor: str,
        reason: str,
        evidence: JsonObject,
    ) -> TrafficEvent:
        positions = connection.scalar(select(func.max(traffic.c.position)).where(traffic.c.name == name))
        row = {
            "name": name,
            "position": (positions or 0) + 1,
            "kind": kind,
            "champion": champion,
            "challenger": challenger,
            "rule": json.dumps({} if rule is None else {key: getattr(rule, key) for key in (*KEPT, "salt", "reign")}),
            "actor": actor,
            "reason": reason,
            "evidence": json.dumps(evidence, ensure_ascii=False),
            "created": self._now().astimezone(UTC).isoformat(),
        }
        connection.execute(insert(traffic).values(row))
        said = {"challenger": challenger, "reason": reason} | ({"share": rule.share} if rule is not None else {})
        action = f"traffic.{kind.replace(' ', '_')}"
        audit.record(connection, actor=actor, action=action, subject=name, details=said)
        return _event_of(row)


def _reign(connection: Connection, name: str) -> int:
    return connection.scalar(select(func.max(ledger.c.position)).where(ledger.c.name == name)) or 0


def _event(row: Row[Any]) -> TrafficEvent:
    return _event_of(dict(row._mapping))


def _event_of(row: JsonObject) -> TrafficEvent:
    rule = None
    if row["kind"] in RULES:
        places = {key: row[key] for key in ("kind", "champion", "challenger", "position", "created")}
        rule = Rule(**places, **json.loads(row["rule"]))
    return TrafficEvent(**{**row, "rule": rule, "evidence": json.loads(row["evidence"])})


def _check(kind: str, share: float, alpha: float, slow_ms: float) -> None:
    if not 0 < share <= 1 or (kind != "shadow" and share == 1):
        allowed = "above 0 and up to 100 %" if kind == "shadow" else "above 0 and below 100 %"
        raise UsageError(
            "this cannot be a challenger's share of the traffic",
            received=f"{share:.4%}",
            allowed=allowed,
            next_step="all of the traffic is given by: rowsmith promote",
        )
    if not 0 < alpha < 0.5:
        raise UsageError(
            "this cannot be a chance of a false alarm", received=str(alpha), allowed="above 0 and below 0.5"
        )
    if not slow_ms > 0:
        raise UsageError("an answer is slow after some milliseconds", received=str(slow_ms), allowed="a number above 0")
