"""Queries of the prediction log: rows of a stretch of time, and how many and how fast they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, case, func, select

from rowsmith.errors import UsageError
from rowsmith.monitoring.log_archive import LogArchive
from rowsmith.monitoring.log_labels import first_outcome, latest_outcome
from rowsmith.monitoring.log_times import MICROSECOND, TIME, from_microseconds, to_microseconds
from rowsmith.monitoring.log_values import column_of, decode
from rowsmith.storage.tables import outcomes, predictions
from rowsmith.types import JsonObject

PERCENTILES = (50, 95, 99)
SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which rows: of a name, from `start` (inclusive) to `end` (exclusive), of one version or all, in one role.

    None is no bound, except that a shadow's rows, which nobody was given, are looked at only when asked for.
    """

    name: str
    start: datetime | None = None
    end: datetime | None = None
    version: int | None = None
    role: str | None = None

    @property
    def conditions(self) -> tuple[ColumnElement[bool], ...]:
        """Name and time first: an index leads to them."""
        p = predictions.c
        bounds = (
            p.time >= to_microseconds(self.start) if self.start is not None else None,
            p.time < to_microseconds(self.end) if self.end is not None else None,
            p.version == self.version if self.version is not None else None,
            p.role == self.role if self.role is not None else p.role != SHADOW,
        )
        return (p.name == self.name, *(bound for bound in bounds if bound is not None))


@dataclass(frozen=True, slots=True)
class Window:
    """Answered rows, oldest first: three frames of the same height, row by row.

    `entries` has `id`, `time` (Datetime, UTC), `version`, `role`, `source`, `latency_ms` and `label` (null: not known).
    `inputs` has the columns of the rows that were asked about. `answers` has the columns of
    TrainedModel.predict_frame. They are apart because a table may have columns of these names itself.
    """

    entries: pl.DataFrame
    inputs: pl.DataFrame
    answers: pl.DataFrame

    def __len__(self) -> int:
        return self.entries.height


@dataclass(frozen=True, slots=True)
class Summary:
    """Volume and speed of a stretch of time. Latencies are milliseconds (nearest rank); None without an answer."""

    predictions: int
    errors: int
    labelled: int
    first: datetime | None
    last: datetime | None
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None

    @property
    def error_rate(self) -> float:
        """Errors among all rows asked about, 0 to 1."""
        return self.errors / max(self.predictions + self.errors, 1)


def read_window(
    connection: Connection,
    stretch: Stretch,
    columns: Sequence[str] | None,
    limit: int | None,
    archive: LogArchive | None = None,
) -> Window:
    """See PredictionLog.window."""
    p = predictions.c
    query = (
        select(
            p.id, p.time, p.version, p.role, p.source, p.latency_ms, outcomes.c.outcome, p.inputs, p.answer, p.archive
        )
        .outerjoin_from(predictions, outcomes, latest_outcome())
        .where(*stretch.conditions, p.status == "ok")
        .order_by(p.time.desc(), p.id.desc())
        .limit(limit)
    )
    rows: Sequence[Any] = connection.execute(query).all()[::-1]
    if archive is not None:
        rows = archive.fill(connection, rows)
    entries = pl.DataFrame(
        [
            pl.Series("id", [row[0] for row in rows], pl.String),
            pl.Series("time", [row[1] for row in rows], pl.Int64).cast(TIME),
            pl.Series("version", [row[2] for row in rows], pl.Int64),
            pl.Series("role", [row[3] for row in rows], pl.String),
            pl.Series("source", [row[4] for row in rows], pl.String),
            pl.Series("latency_ms", [row[5] for row in rows], pl.Float64),
            column_of("label", [decode(row[6]) for row in rows]),
        ]
    )
    inputs = frame_of([decode(row[7]) or {} for row in rows], columns)
    answers = frame_of([flat_answer(decode(row[8]) or {}) for row in rows], None if rows else ["prediction"])
    return Window(entries, inputs, answers)


def read_counts(connection: Connection, stretch: Stretch, every: timedelta) -> pl.DataFrame:
    """See PredictionLog.counts; the stretch has both bounds."""
    assert stretch.start is not None and stretch.end is not None
    length = every // MICROSECOND
    if length <= 0:
        raise UsageError("a stretch of time must have a length", received=str(every))
    begin = to_microseconds(stretch.start)
    slot = ((predictions.c.time - begin) // length).label("slot")
    query = (
        select(slot, *_volumes())
        .outerjoin_from(predictions, outcomes, first_outcome())
        .where(*stretch.conditions)
        .group_by(slot)
    )
    found = {number: volumes for number, *volumes in connection.execute(query)}
    slots = range(max(-((begin - to_microseconds(stretch.end)) // length), 0))
    columns = zip(*(found.get(number, (0, 0, 0)) for number in slots), strict=True) if slots else ((), (), ())
    return pl.DataFrame(
        [
            pl.Series("start", [begin + number * length for number in slots], pl.Int64).cast(TIME),
            *(pl.Series(name, column, pl.Int64) for name, column in zip(VOLUMES, columns, strict=True)),
        ]
    )


def read_summary(connection: Connection, stretch: Stretch) -> Summary:
    """See PredictionLog.summary."""
    p = predictions.c
    totals = (
        select(*_volumes(), func.min(p.time), func.max(p.time))
        .outerjoin_from(predictions, outcomes, first_outcome())
        .where(*stretch.conditions)
    )
    ranked = (
        select(
            p.latency_ms,
            func.row_number().over(order_by=p.latency_ms).label("rank"),
            func.count().over().label("rows"),
        )
        .where(*stretch.conditions, p.status == "ok", p.latency_ms.is_not(None))
        .subquery()
    )
    # The nearest rank of percentile q among n rows is n q / 100, rounded up.
    ranks = [(ranked.c.rows * q + 99) // 100 for q in PERCENTILES]
    percentiles = select(*(func.max(case((ranked.c.rank == rank, ranked.c.latency_ms))) for rank in ranks))
    answered, errors, labelled, first, last = tuple[Any, ...](connection.execute(totals).one())
    p50, p95, p99 = tuple[Any, ...](connection.execute(percentiles).one())
    return Summary(answered, errors, labelled, from_microseconds(first), from_microseconds(last), p50, p95, p99)


VOLUMES = ("predictions", "errors", "labelled")


def _volumes() -> tuple[ColumnElement[int], ...]:
    """In the order of VOLUMES."""
    status = predictions.c.status
    return (
        func.count(case((status == "ok", 1))),
        func.count(case((status == "error", 1))),
        func.count(outcomes.c.revision),
    )


def frame_of(rows: Sequence[JsonObject], columns: Sequence[str] | None = None) -> pl.DataFrame:
    """JSON objects as columns of their common types; all that occur where none are named."""
    names = list(dict.fromkeys(name for row in rows for name in row)) if columns is None else columns
    return pl.DataFrame({name: column_of(name, [row.get(name) for row in rows]) for name in names})


def flat_answer(answer: JsonObject) -> JsonObject:
    """Prediction.to_dict() with the columns of TrainedModel.predict_frame."""
    row = {"prediction": answer.get("prediction")}
    row |= {f"probability_{label}": value for label, value in (answer.get("probabilities") or {}).items()}
    return row | dict(zip(("low", "high"), answer.get("interval") or (), strict=False))
