"""From rows to logged answers: what the API, the form and the what-if all call."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

import polars as pl

from rowsmith.conform import ConformingRow
from rowsmith.conform.series import DTYPES
from rowsmith.errors import Fault, SchemaError
from rowsmith.model import TrainedModel
from rowsmith.monitoring.log import LogEntry, PredictionLog, Source, new_ids
from rowsmith.serving.champion import Served
from rowsmith.serving.metrics import Meter
from rowsmith.types import JsonObject, Prediction
from rowsmith.workflows.deploy import Deployed

# Faults are collected over all rows up to this many; a caller with more has the same fault again and again.
MAX_FAULTS = 1000

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answers:
    """Predictions in the order of the rows, each with the id that its true outcome is reported under."""

    served: Served
    ids: tuple[str, ...]
    predictions: tuple[Prediction, ...]

    def to_dict(self) -> JsonObject:
        pairs = zip(self.ids, self.predictions, strict=True)
        return {
            "model": self.served.to_dict(),
            "predictions": [{"id": id_, **prediction.to_dict()} for id_, prediction in pairs],
        }


def answer_rows(
    served: Served, rows: Sequence[Row], log: PredictionLog | None, *, began: float, source: Source = "api"
) -> Answers:
    """Predict, and keep what was asked and answered: once this returns, the log is durable.

    `began` is the time of `time.perf_counter` at which the request came. Raises SchemaError with the faults of every
    row (they are kept too, without the rows), and StorageError when the log cannot be written: then no answer is given.
    """
    try:
        conforming = conform(served.deployed, rows)
    except SchemaError as problem:
        if log is not None:
            log.append(_refusals(served, problem.faults, _since(began), source))
        raise
    predictions = predict(served.model, conforming)
    # Made in the same millisecond; sorted, they keep the order of the rows in the log.
    ids = tuple(sorted(new_ids(len(rows))))
    if log is not None:
        log.append(_entries(served, ids, conforming, predictions, _since(began), source))
    return Answers(served, ids, predictions)


def _entries(
    served: Served,
    ids: Sequence[str],
    conforming: Sequence[ConformingRow],
    predictions: Sequence[Prediction],
    latency_ms: float,
    source: Source,
) -> list[LogEntry]:
    """The columns that the model looked at are kept: what else a caller sent is none of its business."""
    now, version = datetime.now(UTC), served.version
    return [
        LogEntry(
            id=id_,
            name=version.name,
            version=version.number,
            time=now,
            inputs=item.row,
            answer=prediction.to_dict(),
            latency_ms=latency_ms,
            source=source,
        )
        for id_, item, prediction in zip(ids, conforming, predictions, strict=True)
    ]


def _refusals(served: Served, faults: Sequence[Fault], latency_ms: float, source: Source) -> list[LogEntry]:
    """One for each row that was refused, with the code of its first fault."""
    codes = {fault.row: fault.code for fault in reversed(faults)}
    now, version = datetime.now(UTC), served.version
    return [
        LogEntry(
            id=id_,
            name=version.name,
            version=version.number,
            time=now,
            latency_ms=latency_ms,
            source=source,
            status="error",
            code=code,
        )
        for id_, code in zip(new_ids(len(codes)), codes.values(), strict=True)
    ]


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def conform(deployed: Deployed, rows: Sequence[Row]) -> list[ConformingRow]:
    """Each row by itself, so that faults and warnings name their row. Raises SchemaError."""
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
    warnings = [tuple(fault.message for fault in item.warnings) for item in conforming]
    if len(conforming) == 1:
        scores = model.scores_row(model.encoder.encode_row(conforming[0].row))
        return (model.answer(scores, warnings[0]),)
    table = model.scores(model.encoder.encode(to_frame(model, conforming)))
    return tuple(model.answer(scores, odd) for scores, odd in zip(table, warnings, strict=True))


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
