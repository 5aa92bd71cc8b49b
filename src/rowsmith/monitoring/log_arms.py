"""What the prediction log holds of a traffic rule: how the two arms fare, and the answers whose outcome is known.

Randomised is the unit (a caller's key, or a row), so a unit counts once wherever something is tested: ten refusals of
one broken client are one event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, and_, case, distinct, func, select

from rowsmith.monitoring.log_labels import latest_outcome
from rowsmith.monitoring.log_queries import flat_answer, frame_of
from rowsmith.monitoring.log_times import TIME, to_microseconds
from rowsmith.monitoring.log_values import column_of, decode
from rowsmith.storage.tables import outcomes, predictions

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
            func.count(),
            func.count(case((p.status == "error", 1))),
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
    p, first = predictions.c, outcomes.alias()
    query = (
        select(first.c.time, p.unit, p.role, outcomes.c.outcome, p.answer)
        .join_from(predictions, outcomes, latest_outcome())
        .join(first, and_(first.c.prediction_id == outcomes.c.prediction_id, first.c.revision == 1))
        .where(*trial.conditions(p), p.status == "ok", p.shadow_of.is_(None))
        .order_by(first.c.time, p.id)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    return Scored(_entries(rows), _answers([row[4] for row in rows]))


def read_scored_pairs(connection: Connection, trial: Trial, *, limit: int = MAX_SCORED) -> Scored:
    """The answers of a shadow and, beside them, those that callers were given."""
    p, first, given = predictions.c, outcomes.alias(), predictions.alias()
    query = (
        select(first.c.time, p.unit, p.role, outcomes.c.outcome, p.answer, given.c.answer)
        .join_from(predictions, outcomes, latest_outcome())
        .join(first, and_(first.c.prediction_id == outcomes.c.prediction_id, first.c.revision == 1))
        .join(given, given.c.id == p.shadow_of)
        .where(*trial.conditions(p), p.status == "ok", given.c.status == "ok")
        .order_by(first.c.time, p.id)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    return Scored(_entries(rows), _answers([row[4] for row in rows]), _answers([row[5] for row in rows]))


def read_pairs(connection: Connection, trial: Trial, *, limit: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The latest answers of a shadow and of the champion to the same rows, outcome or not."""
    p, given = predictions.c, predictions.alias()
    query = (
        select(p.answer, given.c.answer)
        .join_from(predictions, given, given.c.id == p.shadow_of)
        .where(*trial.conditions(p), p.status == "ok", given.c.status == "ok")
        .order_by(p.time.desc())
        .limit(limit)
    )
    rows = connection.execute(query).all()
    return _answers([row[0] for row in rows]), _answers([row[1] for row in rows])


def _entries(rows: Sequence[Any]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            pl.Series("time", [row[0] for row in rows], pl.Int64).cast(TIME),
            pl.Series("unit", [row[1] for row in rows], pl.String),
            pl.Series("role", [row[2] for row in rows], pl.String),
            column_of("label", [decode(row[3]) for row in rows]),
        ]
    )


def _answers(texts: Sequence[str | None]) -> pl.DataFrame:
    return frame_of([flat_answer(decode(text) or {}) for text in texts])
