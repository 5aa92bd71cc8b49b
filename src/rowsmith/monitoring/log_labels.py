"""Labels: true outcomes joined to logged predictions by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import narwhals as nw
from sqlalchemy import ColumnElement, Connection, and_, func, insert, select

from rowsmith.errors import DataError, UsageError
from rowsmith.monitoring.log_times import to_microseconds
from rowsmith.monitoring.log_values import decode, encode
from rowsmith.storage.database import Database
from rowsmith.storage.tables import outcomes, predictions
from rowsmith.types import JsonObject

LABELS_A_TRANSACTION = 5_000
IDS_A_QUERY = 1_000


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
            present = _present(connection, chunk)
            revisions = [
                (id_, present[id_][0] + 1) for id_ in chunk if id_ in present and present[id_][1] != outcome_of[id_]
            ]
            _insert(connection, revisions, outcome_of, actor)
        first = sum(revision == 1 for _, revision in revisions)
        added, changed = added + first, changed + len(revisions) - first
        unknown += [id_ for id_ in chunk if id_ not in present]
    unchanged = len(ids) - added - changed - len(unknown)
    return LabelResult(added, changed, unchanged, empty, tuple(unknown))


def latest_outcome() -> ColumnElement[bool]:
    """Joins to a prediction the outcome that counts."""
    other = outcomes.alias()
    latest = select(func.max(other.c.revision)).where(other.c.prediction_id == given_id()).scalar_subquery()
    return and_(outcomes.c.prediction_id == given_id(), outcomes.c.revision == latest)


def first_outcome() -> ColumnElement[bool]:
    """Joins to a prediction its first outcome: enough to count, since every labelled prediction has exactly one."""
    return and_(outcomes.c.prediction_id == given_id(), outcomes.c.revision == 1)


def given_id() -> ColumnElement[str]:
    """The id that the caller was given and reports the outcome under; a shadow's answer has another of its own."""
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


def _present(connection: Connection, ids: list[str]) -> dict[str, tuple[int, str | None]]:
    """For each id that was answered, the latest revision (0 for none) and its outcome."""
    query = (
        select(predictions.c.id, func.coalesce(outcomes.c.revision, 0), outcomes.c.outcome)
        .outerjoin_from(predictions, outcomes, latest_outcome())
        # A shadow's answer is nobody's to report on: it shares the outcome of the answer that was given.
        .where(predictions.c.status == "ok", predictions.c.shadow_of.is_(None))
    )
    found: dict[str, tuple[int, str | None]] = {}
    for start in range(0, len(ids), IDS_A_QUERY):
        rows = connection.execute(query.where(predictions.c.id.in_(ids[start : start + IDS_A_QUERY])))
        found |= {id_: (revision, outcome) for id_, revision, outcome in rows}
    return found


def _insert(
    connection: Connection, revisions: list[tuple[str, int]], outcome_of: Mapping[str, str], actor: str
) -> None:
    now = to_microseconds(datetime.now(UTC))
    rows: list[JsonObject] = [
        {"prediction_id": id_, "revision": revision, "outcome": outcome_of[id_], "actor": actor, "time": now}
        for id_, revision in revisions
    ]
    if rows:
        connection.execute(insert(outcomes), rows)
