"""What the prediction log holds of a traffic rule: how the two arms fare, and the answers whose outcome is known.

Randomised is the unit (a caller's key, or a row), so a unit counts once wherever something is tested: ten refusals of
one broken client are one event.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, and_, case, distinct, func, select

from rowsmith.monitoring.log_contents import frame_of, joined, read_contents
from rowsmith.monitoring.log_labels import latest_outcomes
from rowsmith.monitoring.log_queries import flat_answer, latest, rows_of_entry, rows_with, total
from rowsmith.monitoring.log_table import numbers_in, place_of
from rowsmith.monitoring.log_times import TIME, to_microseconds
from rowsmith.monitoring.log_values import column_of, decode
from rowsmith.storage.tables import outcomes, predictions
from rowsmith.types import JsonObject

MAX_SCORED = 100_000
"""So many labelled answers are scored, the earliest ones: the sequence never changes where it has been looked at."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Where to look: the rows that were logged under the rule at `position` of a name, from its beginning."""

    name: str
    position: int
    start: datetime

    def conditions(self, p: Any) -> tuple[ColumnElement[bool], ...]:
        """Name and time first: an index leads to them."""
        return (
            p.name == self.name,
            p.time >= to_microseconds(self.start),
            p.experiment == self.position,
            p.unit.is_not(None),
        )


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """Rows asked about, rows refused or failed; units with any, with a refused one, with a slow one."""

    rows: int = 0
    errors: int = 0
    units: int = 0
    error_units: int = 0
    slow_units: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """Answers with an outcome, in the order in which outcomes came; all have one entry a row.

    `entries` has `time` (when the outcome came), `unit`, `role` and `label`. `answers` has the columns of
    TrainedModel.answer_frame; `beside`, for a shadow, what the champion said of the same rows.
    """

    entries: pl.DataFrame
    answers: pl.DataFrame
    beside: pl.DataFrame | None = None


def read_arms(connection: Connection, trial: Trial, slow_ms: float) -> dict[str, ArmCounts]:
    """By role."""
    p = predictions.c
    query = (
        select(
            p.role,
            total(rows_of_entry()),
            rows_with(p.status == "error"),
            func.count(distinct(p.unit)),
            func.count(distinct(case((p.status == "error", p.unit)))),
            func.count(distinct(case((and_(p.status == "ok", p.latency_ms > slow_ms), p.unit)))),
        )
        .where(*trial.conditions(p))
        .group_by(p.role)
    )
    return {role: ArmCounts(*counts) for role, *counts in connection.execute(query)}


def read_scored(connection: Connection, trial: Trial, *, limit: int = MAX_SCORED) -> Scored:
    """The answers that callers were given, by whichever arm."""
    p, o, first = predictions.c, outcomes.c, outcomes.alias()
    query = (
        select(first.c.time, p.unit, p.role, o.outcome, o.prediction_id, p.id, p.rows, p.erased, p.answer)
        .join_from(predictions, outcomes, latest_outcomes())
        .join(first, and_(first.c.prediction_id == o.prediction_id, first.c.revision == 1))
        .where(*trial.conditions(p), p.status == "ok", p.shadow_of.is_(None))
        .order_by(first.c.time, o.prediction_id)
        .limit(limit)
    )
    lines = connection.execute(query).all()
    answers = _Answers(connection, {line.id for line in lines if line.rows is not None})
    return Scored(_entries(lines), frame_of([answers.of(line, line.id, line.answer) for line in lines]))


def read_scored_pairs(connection: Connection, trial: Trial, *, limit: int = MAX_SCORED) -> Scored:
    """The answers of a shadow and, beside them, those that callers were given."""
    p, o, first, given = predictions.c, outcomes.c, outcomes.alias(), predictions.alias()
    query = (
        select(
            *(first.c.time, p.unit, p.role, o.outcome, o.prediction_id, p.id, p.rows, p.erased, p.answer),
            *(given.c.id.label("given"), given.c.answer.label("given_answer")),
        )
        .join_from(predictions, outcomes, latest_outcomes())
        .join(first, and_(first.c.prediction_id == o.prediction_id, first.c.revision == 1))
        .join(given, given.c.id == p.shadow_of)
        .where(*trial.conditions(p), p.status == "ok", given.c.status == "ok")
        .order_by(first.c.time, o.prediction_id)
        .limit(limit)
    )
    lines = connection.execute(query).all()
    tables = [line for line in lines if line.rows is not None]
    answers = _Answers(connection, {line.id for line in tables} | {line.given for line in tables})
    ours = [answers.of(line, line.id, line.answer) for line in lines]
    beside = [answers.of(line, line.given, line.given_answer) for line in lines]
    return Scored(_entries(lines), frame_of(ours), frame_of(beside))


def read_pairs(connection: Connection, trial: Trial, *, limit: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The latest answers of a shadow and of the champion to the same rows, outcome or not."""
    p, given = predictions.c, predictions.alias()
    query = (
        select(p.id, p.rows, p.answer, given.c.id.label("given"), given.c.answer.label("given_answer"))
        .join_from(predictions, given, given.c.id == p.shadow_of)
        .where(*trial.conditions(p), p.status == "ok", given.c.status == "ok")
        .order_by(p.time.desc())
        .limit(limit)
    )
    lines = latest(connection.execute(query).all(), limit)
    singles = [line for line in lines if line.rows is None]
    tables = [line for line in lines if line.rows is not None]
    contents = read_contents(connection, [id_ for line in tables for id_ in (line.id, line.given)])
    ours = [frame_of([_flat(line.answer) for line in singles]), *(contents[line.id].answers for line in tables)]
    beside = [
        frame_of([_flat(line.given_answer) for line in singles]),
        *(contents[line.given].answers for line in tables),
    ]
    return joined(ours).head(limit), joined(beside).head(limit)


class _Answers:
    """Answers of single rows of the entries that stand for many: `tables` are the ids of these."""

    def __init__(self, connection: Connection, tables: Set[str]) -> None:
        self._contents = read_contents(connection, sorted(tables))

    def of(self, line: Any, entry: str, text: str | None) -> JsonObject:
        """`line` says which row. The answer is in the entry's own text, or in its table."""
        content, place = self._contents.get(entry), place_of(line.prediction_id)
        if content is None or place is None:
            return _flat(text)
        number = place[1]
        return content.answers.row(number - sum(gone < number for gone in numbers_in(line.erased)), named=True)


def _entries(rows: Sequence[Any]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            pl.Series("time", [row[0] for row in rows], pl.Int64).cast(TIME),
            pl.Series("unit", [row[1] for row in rows], pl.String),
            pl.Series("role", [row[2] for row in rows], pl.String),
            column_of("label", [decode(row[3]) for row in rows]),
        ]
    )


def _flat(text: str | None) -> JsonObject:
    return flat_answer(decode(text) or {})
