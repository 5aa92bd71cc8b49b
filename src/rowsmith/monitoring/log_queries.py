"""Queries of the prediction log: rows of a stretch of time, and how many and how fast they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import BigInteger, ColumnElement, Connection, case, cast, func, select

from rowsmith.errors import UsageError
from rowsmith.monitoring.log_archive import LogArchive
from rowsmith.monitoring.log_contents import frame_of, joined, read_contents
from rowsmith.monitoring.log_labels import given_id, labelled_rows, latest_outcomes
from rowsmith.monitoring.log_table import ids_of, numbers_in
from rowsmith.monitoring.log_times import MICROSECOND, TIME, from_microseconds, to_microseconds
from rowsmith.monitoring.log_values import column_of, decode
from rowsmith.storage.tables import outcomes, predictions
from rowsmith.types import JsonObject

PERCENTILES = (50, 95, 99)
SHADOW = "shadow"
ENTRY = {
    "id": pl.String,
    "time": pl.Int64,
    "version": pl.Int64,
    "role": pl.String,
    "source": pl.String,
    "latency_ms": pl.Float64,
    "given": pl.String,
}
"""What a line says of each of its rows; `given` is the id that the caller got."""


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
            *(p[name] for name in list(ENTRY)[:-1]),
            given_id().label("given"),
            p.rows,
            p.erased,
            p.inputs,
            p.answer,
            p.archive,
        )
        .where(*stretch.conditions, p.status == "ok")
        .order_by(p.time.desc(), p.id.desc())
        .limit(limit)
    )
    lines: Sequence[Any] = latest(connection.execute(query).all(), limit)[::-1]
    singles: Sequence[Any] = [line for line in lines if line.rows is None]
    tables = [line for line in lines if line.rows is not None]
    if archive is not None:
        singles = archive.fill(connection, singles)
    contents = read_contents(connection, [line.id for line in tables], archive)
    entries = pl.concat([_entries_of(singles), *(_entries_of_table(line) for line in tables)])
    labels = _outcomes_of(connection, stretch, lines[0].time) if lines else {}
    asked = [frame_of([decode(line[-3]) or {} for line in singles], columns)]
    answered = [frame_of([flat_answer(decode(line[-2]) or {}) for line in singles])]
    for line in tables:
        asked.append(contents[line.id].inputs)
        answered.append(contents[line.id].answers)
    # Tables are younger or older than the rows that came one by one.
    order = entries.select(pl.arg_sort_by("time", "id")).to_series()
    order = order if limit is None else order.tail(limit)
    label = column_of("label", [decode(labels.get(given)) for given in entries["given"].to_list()])
    return Window(
        entries.drop("given").with_columns(label)[order],
        _in_order(joined(asked, columns), order),
        _in_order(joined(answered, None if lines else ["prediction"]), order),
    )


def _in_order(frame: pl.DataFrame, order: pl.Series) -> pl.DataFrame:
    return frame[order] if frame.width else pl.DataFrame(height=len(order))


def latest(lines: Sequence[Any], limit: int | None) -> Sequence[Any]:
    """As many of them, the latest first, as it takes for so many rows."""
    rows = 0
    for number, line in enumerate(lines):
        if limit is not None and rows >= limit:
            return lines[:number]
        rows += line.rows or 1
    return lines


def _entries_of(lines: Sequence[Any]) -> pl.DataFrame:
    return pl.DataFrame([tuple(line)[: len(ENTRY)] for line in lines], schema=ENTRY, orient="row").with_columns(
        pl.col("time").cast(TIME)
    )


def _entries_of_table(line: Any) -> pl.DataFrame:
    """Each of its rows."""
    erased = numbers_in(line.erased)
    ids = pl.DataFrame({"id": ids_of(line.id, line.rows, erased), "given": ids_of(line.given, line.rows, erased)})
    same = [pl.lit(getattr(line, name), ENTRY[name]).alias(name) for name in ENTRY if name not in ids.columns]
    return ids.with_columns(same).select(ENTRY.keys()).with_columns(pl.col("time").cast(TIME))


def _outcomes_of(connection: Connection, stretch: Stretch, since: int) -> dict[str, str]:
    """By the id that the caller was given, of rows that were asked about from `since` on (microseconds)."""
    query = (
        select(outcomes.c.prediction_id, outcomes.c.outcome)
        .join_from(predictions, outcomes, latest_outcomes())
        .where(*stretch.conditions, predictions.c.time >= since)
    )
    return {id_: outcome for id_, outcome in connection.execute(query)}


def read_counts(connection: Connection, stretch: Stretch, every: timedelta) -> pl.DataFrame:
    """See PredictionLog.counts; the stretch has both bounds."""
    assert stretch.start is not None and stretch.end is not None
    length = every // MICROSECOND
    if length <= 0:
        raise UsageError("a stretch of time must have a length", received=str(every))
    begin = to_microseconds(stretch.start)
    slot = ((predictions.c.time - begin) // length).label("slot")
    query = select(slot, *_volumes()).where(*stretch.conditions).group_by(slot)
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
    totals = select(*_volumes(), func.min(p.time), func.max(p.time)).where(*stretch.conditions)
    size = rows_of_entry()
    ranked = (
        select(
            p.latency_ms,
            cast(func.sum(size).over(order_by=p.latency_ms, rows=(None, 0)), BigInteger).label("rank"),
            cast(func.sum(size).over(), BigInteger).label("rows"),
        )
        .where(*stretch.conditions, p.status == "ok", p.latency_ms.is_not(None))
        .subquery()
    )
    # The nearest rank of percentile q among n rows is n q / 100, rounded up; an entry takes as many as it has rows.
    ranks = [(ranked.c.rows * q + 99) // 100 for q in PERCENTILES]
    percentiles = select(*(func.min(case((ranked.c.rank >= rank, ranked.c.latency_ms))) for rank in ranks))
    answered, errors, labelled, first, last = tuple[Any, ...](connection.execute(totals).one())
    p50, p95, p99 = tuple[Any, ...](connection.execute(percentiles).one())
    return Summary(answered, errors, labelled, from_microseconds(first), from_microseconds(last), p50, p95, p99)


VOLUMES = ("predictions", "errors", "labelled")


def _volumes() -> tuple[ColumnElement[int], ...]:
    """In the order of VOLUMES."""
    status = predictions.c.status
    return (rows_with(status == "ok"), rows_with(status == "error"), total(labelled_rows()))


def rows_of_entry() -> ColumnElement[int]:
    """How many rows an entry stands for."""
    return func.coalesce(predictions.c.rows, 1)


def rows_with(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return total(case((condition, rows_of_entry()), else_=0))


def total(numbers: ColumnElement[int]) -> ColumnElement[int]:
    """Their sum, 0 of none; PostgreSQL would make a decimal of it."""
    return cast(func.coalesce(func.sum(numbers), 0), BigInteger)


def flat_answer(answer: JsonObject) -> JsonObject:
    """Prediction.to_dict() with the columns of TrainedModel.predict_frame."""
    row = {"prediction": answer.get("prediction")}
    row |= {f"probability_{label}": value for label, value in (answer.get("probabilities") or {}).items()}
    return row | dict(zip(("low", "high"), answer.get("interval") or (), strict=False))
