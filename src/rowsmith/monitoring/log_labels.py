"""Labels: true outcomes joined to logged predictions by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import narwhals as nw
from sqlalchemy import ColumnElement, Connection, and_, func, insert, select

from rowsmith.errors import DataError, UsageError
from rowsmith.monitoring.log_rows import chunks, entries_of
from rowsmith.monitoring.log_times import to_microseconds
from rowsmith.monitoring.log_values import decode, encode
from rowsmith.storage.database import Database
from rowsmith.storage.tables import outcomes, predictions
from rowsmith.types import JsonObject

LABELS_A_TRANSACTION = 5_000
NEVER = (0, None)


@dataclass(frozen=True, slots=True)
class LabelResult:
    """What became of the labels that were given, in numbers of predictions.

    `added` had none before, `changed` had another one, `unchanged` the same one. `empty` labels say that the outcome
    is not known yet and were passed over. `unknown` holds the ids that no answered prediction has.
    """

    added: int
    changed: int
    unchanged: int
    empty: int
    unknown: tuple[str, ...]


def store_labels(database: Database, labels: Any, actor: str) -> LabelResult:
    """See PredictionLog.label."""
    outcome_of: dict[str, str] = {}
    empty = 0
    for id_, outcome in _pairs(labels):
        if outcome is None or outcome != outcome:
            empty += 1
        else:
            outcome_of[str(id_)] = _outcome_text(id_, outcome)
    ids = list(outcome_of)
    added = changed = 0
    unknown: list[str] = []
    for start in range(0, len(ids), LABELS_A_TRANSACTION):
        chunk = ids[start : start + LABELS_A_TRANSACTION]
        with database.writing(lock=outcomes.name) as connection:
            entries = _entries(connection, chunk)
            known = _known(connection, list(entries))
            revisions = [
                (id_, known.get(id_, NEVER)[0] + 1) for id_ in entries if known.get(id_, NEVER)[1] != outcome_of[id_]
            ]
            _insert(connection, revisions, entries, outcome_of, actor)
        first = sum(revision == 1 for _, revision in revisions)
        added, changed = added + first, changed + len(revisions) - first
        unknown += [id_ for id_ in chunk if id_ not in entries]
    unchanged = len(ids) - added - changed - len(unknown)
    return LabelResult(added, changed, unchanged, empty, tuple(unknown))


def latest_outcomes() -> ColumnElement[bool]:
    """Joins to an entry the outcomes that count: one for each of its rows that has any."""
    other = outcomes.alias()
    latest = select(func.max(other.c.revision)).where(other.c.prediction_id == outcomes.c.prediction_id)
    return and_(outcomes.c.entry == given_id(), outcomes.c.revision == latest.scalar_subquery())


def labelled_rows() -> ColumnElement[int]:
    """How many of an entry's rows have an outcome: each of these has exactly one that was the first."""
    first = and_(outcomes.c.entry == given_id(), outcomes.c.revision == 1)
    return select(func.count()).select_from(outcomes).where(first).correlate(predictions).scalar_subquery()


def given_id() -> ColumnElement[str]:
    """The entry of what the caller was given and reports outcomes of; a shadow's answer has another of its own."""
    return func.coalesce(predictions.c.shadow_of, predictions.c.id)


def _pairs(labels: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(labels, Mapping):
        return labels.items()
    table = nw.from_native(labels, eager_only=True, pass_through=True)
    if not isinstance(table, nw.DataFrame):
        pairs: Iterable[tuple[Any, Any]] = labels
        return pairs
    missing = [name for name in ("id", "label") if name not in table.columns]
    if missing:
        raise DataError(
            f"a table of outcomes has the columns id and label, but there is no {' and no '.join(missing)}",
            received=", ".join(table.columns),
            next_step="rename the columns; the ids are those that came with the predictions",
        )
    return zip(table["id"].to_list(), table["label"].to_list(), strict=True)


def _outcome_text(id_: Any, outcome: Any) -> str:
    try:
        text = encode(outcome)
    except UsageError:
        text = "[]"
    # An infinite number becomes null.
    if decode(text) is None or isinstance(decode(text), list | dict):
        raise DataError(
            f"the outcome of {id_!r} is no single value",
            received=repr(outcome)[:100],
            allowed="text, a number or a boolean",
        )
    return text


def _entries(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """The entry of each id that was answered: its own, or one that stands for many rows."""
    p = predictions.c
    # A shadow's answer is nobody's to report on: it shares the outcome of the answer that was given.
    return entries_of(connection, ids, p.status == "ok", p.shadow_of.is_(None))


def _known(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[int, str | None]]:
    """The latest revision of each outcome that was reported before."""
    o = outcomes.c
    query = select(o.prediction_id, o.revision, o.outcome).order_by(o.revision)
    found: dict[str, tuple[int, str | None]] = {}
    for some in chunks(ids):
        rows = connection.execute(query.where(o.prediction_id.in_(some)))
        found |= {id_: (revision, outcome) for id_, revision, outcome in rows}
    return found


def _insert(
    connection: Connection,
    revisions: list[tuple[str, int]],
    entries: Mapping[str, str],
    outcome_of: Mapping[str, str],
    actor: str,
) -> None:
    now = to_microseconds(datetime.now(UTC))
    rows: list[JsonObject] = [
        {
            "prediction_id": id_,
            "revision": revision,
            "outcome": outcome_of[id_],
            "actor": actor,
            "time": now,
            "entry": entries[id_],
        }
        for id_, revision in revisions
    ]
    if rows:
        connection.execute(insert(outcomes), rows)
