"""From rows to logged answers: what the API, the form and the what-if all call."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

import polars as pl

from rowsmith.conform import ConformingRow, frame_of_rows
from rowsmith.conform.series import DTYPES
from rowsmith.errors import Fault, SchemaError
from rowsmith.model import PREDICTION_COLUMN, TrainedModel
from rowsmith.monitoring.log import LogEntry, PredictionLog, Source, new_ids
from rowsmith.monitoring.log_table import LogTable
from rowsmith.serving.champion import Route, Served
from rowsmith.serving.metrics import Meter
from rowsmith.serving.shadows import Shadowed, Shadows
from rowsmith.serving.steps import step
from rowsmith.serving.table_rows import ConformingTable, TableRows
from rowsmith.types import JsonObject, Prediction
from rowsmith.workflows.deploy import Deployed

# Faults are collected over all rows up to this many; a caller with more has the same fault again and again.
MAX_FAULTS = 1000
ROWS_AS_TABLE = 32

Row: TypeAlias = Mapping[str, Any]
logger = logging.getLogger("rowsmith.serving")


@dataclass(frozen=True, slots=True)
class Answers:
    """Predictions in the order of the rows, each with the id that its true outcome is reported under."""

    served: Served
    ids: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    conforming: Sequence[ConformingRow]

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about many rows at once."""
        return self.conforming.notes if isinstance(self.conforming, ConformingTable) else ()

    def to_dict(self) -> JsonObject:
        pairs = zip(self.ids, self.predictions, strict=True)
        document: JsonObject = {
            "model": self.served.to_dict(),
            "predictions": [{"id": id_, **prediction.to_dict()} for id_, prediction in pairs],
        }
        return document | ({"warnings": list(self.notes)} if self.notes else {})

    def to_frame(self) -> pl.DataFrame:
        """`id`, then the columns of `TrainedModel.answer_frame`."""
        columns = {"id": pl.Series(self.ids, dtype=pl.String)}
        values = [prediction.value for prediction in self.predictions]
        labels = self.served.model.labels
        columns[PREDICTION_COLUMN] = pl.Series(values, dtype=pl.String if labels else pl.Float64)
        for label in labels:
            shares = [(prediction.probabilities or {})[label] for prediction in self.predictions]
            columns[f"probability_{label}"] = pl.Series(shares, dtype=pl.Float64)
        if self.predictions and self.predictions[0].interval is not None:
            intervals = [prediction.interval for prediction in self.predictions]
            columns["low"] = pl.Series([item.low if item else None for item in intervals], dtype=pl.Float64)
            columns["high"] = pl.Series([item.high if item else None for item in intervals], dtype=pl.Float64)
        return pl.DataFrame(columns)


def answer_rows(
    route: Route,
    rows: Sequence[Row],
    log: PredictionLog | None,
    *,
    began: float,
    source: Source = "api",
    shadows: Shadows | None = None,
) -> Answers:
    """Predict, and keep what was asked and answered: once this returns, the log is durable.

    Where a challenger cannot answer, the log says so and the champion does. A shadow is told through `shadows`, once
    the caller's answers are kept. `began` is the time of `time.perf_counter` at which the request came. Raises
    SchemaError with the faults of every row (they are kept too, without the rows), and StorageError when the log
    cannot be written: then no answer is given.
    """
    try:
        with step("conform"):
            conforming = conform(route.served.deployed, rows)
        with step("predict"):
            predictions = predict(route.served.model, conforming)
    except Exception as problem:
        if log is not None:
            log.append(_refusals(route, problem, _since(began), source))
        if route.instead is None:
            raise
        if not isinstance(problem, SchemaError):
            logger.exception("version %s failed, and the champion answered", route.served.version.number)
        # Outside the experiment: these rows were chosen by having failed.
        return answer_rows(Route(route.instead), rows, log, began=began, source=source)
    # Made in the same millisecond; sorted, they keep the order of the rows in the log.
    ids = tuple(sorted(new_ids(len(rows))))
    if log is not None:
        now = datetime.now(UTC)
        with step("log"):
            _keep(log, _entry(route, now, _since(began), source), ids, conforming, predictions)
        if route.shadow is not None and shadows is not None:
            shadows.offer(Shadowed(route, route.shadow, rows, ids, now, log))
    return Answers(route.served, ids, predictions, conforming)


def _keep(
    log: PredictionLog,
    entry: Callable[..., LogEntry],
    ids: Sequence[str],
    conforming: Sequence[ConformingRow],
    predictions: Sequence[Prediction],
) -> None:
    """The columns that the model looked at are kept: what else a caller sent is none of its business."""
    answers = [prediction.to_dict() for prediction in predictions]
    if isinstance(conforming, ConformingTable):
        log.append_table(LogTable(entry(id="-"), ids, conforming.frame, answers))
        return
    items = zip(ids, conforming, answers, strict=True)
    log.append([entry(id=id_, inputs=item.row, answer=answer) for id_, item, answer in items])


def _entry(route: Route, now: datetime, latency_ms: float, source: Source) -> Callable[..., LogEntry]:
    """Makes entries of what a request's entries have in common, and what is given."""
    version = route.served.version
    return partial(
        LogEntry,
        name=version.name,
        version=version.number,
        time=now,
        latency_ms=latency_ms,
        source=source,
        role=route.role,
        experiment=route.experiment,
        unit=route.unit,
    )


def _refusals(route: Route, problem: Exception, latency_ms: float, source: Source) -> list[LogEntry]:
    """One for each row that was refused, with the code of its first fault; one where the model itself failed."""
    faults = problem.faults if isinstance(problem, SchemaError) else (Fault("internal", "", ""),)
    codes = {fault.row: fault.code for fault in reversed(faults)}
    entry = _entry(route, datetime.now(UTC), latency_ms, source)
    ids = new_ids(len(codes))
    return [entry(id=id_, status="error", code=code) for id_, code in zip(ids, codes.values(), strict=True)]


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def conform(deployed: Deployed, rows: Sequence[Row]) -> Sequence[ConformingRow]:
    """Rows that the model's encoder takes. Raises SchemaError with the faults of every row.

    Many rows are looked at as a table. Where something is odd about one of them, and they did not come as a table, each
    is looked at by itself, so that faults and warnings name their row.
    """
    if isinstance(rows, TableRows):
        return _conform_alone(deployed, rows) if len(rows) == 1 else ConformingTable(deployed.frame(rows.frame))
    if len(rows) >= ROWS_AS_TABLE:
        try:
            table = deployed.frame(frame_of_rows(rows))
        except SchemaError:
            pass
        else:
            if not table.warnings:
                return ConformingTable(table)
    return _conform_alone(deployed, rows)


def _conform_alone(deployed: Deployed, rows: Sequence[Row]) -> list[ConformingRow]:
    conforming: list[ConformingRow] = []
    faults: list[Fault] = []
    for number, row in enumerate(rows):
        try:
            conforming.append(deployed.row(row))
        except SchemaError as problem:
            faults += [replace(fault, row=number) for fault in problem.faults]
            if len(faults) >= MAX_FAULTS:
                break
    if faults:
        raise SchemaError(faults)
    return conforming


def predict(model: TrainedModel, conforming: Sequence[ConformingRow]) -> tuple[Prediction, ...]:
    """One row by the row path, many by the batch path; both give the same bits."""
    if len(conforming) == 1:
        scores = model.scores_row(model.encoder.encode_row(conforming[0].row))
        return (model.answer(scores, _warnings_of(conforming[0])),)
    if isinstance(conforming, ConformingTable):
        return model.answers(model.scores(model.encoder.encode(conforming.frame)), conforming.warnings)
    table = model.scores(model.encoder.encode(to_frame(model, conforming)))
    return model.answers(table, {i: _warnings_of(item) for i, item in enumerate(conforming) if item.warnings})


def _warnings_of(item: ConformingRow) -> tuple[str, ...]:
    return tuple(fault.message for fault in item.warnings)


def to_frame(model: TrainedModel, conforming: Sequence[ConformingRow]) -> pl.DataFrame:
    """Conforming rows as a conforming frame."""
    return pl.DataFrame(
        [
            pl.Series(column.name, [item.row[column.name] for item in conforming], dtype=DTYPES[column.kind])
            for column in model.schema.features
        ]
    )


def count(meter: Meter, answers: Answers) -> None:
    """Predictions by class, as the metrics show them (regression has no classes)."""
    version = answers.served.version
    by_class = answers.served.model.task.is_classification
    classes = Counter(str(prediction.value) if by_class else "" for prediction in answers.predictions)
    for name, number in classes.items():
        meter.add(("predictions", version.name, str(version.number), name), number)
