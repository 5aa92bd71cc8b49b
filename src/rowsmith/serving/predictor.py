"""From rows to logged answers: what the API, the form and the what-if all call."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

import polars as pl

from rowsmith.conform import ConformingFrame, ConformingRow, frame_of_rows
from rowsmith.errors import Fault, SchemaError
from rowsmith.model import TrainedModel
from rowsmith.monitoring.log import LogEntry, Source, new_ids
from rowsmith.monitoring.log_table import new_table_id
from rowsmith.serving.answers import Answers, MakeEntry, RowAnswers, TableAnswers
from rowsmith.serving.champion import Route, Served
from rowsmith.serving.metrics import Meter
from rowsmith.serving.pending import Pending
from rowsmith.serving.services import Services
from rowsmith.serving.shadows import Shadowed
from rowsmith.serving.steps import step
from rowsmith.serving.table_rows import ConformingTable, TableRows, frame_of_conforming
from rowsmith.types import Prediction
from rowsmith.workflows.deploy import Deployed

# Faults are collected over all rows up to this many; a caller with more has the same fault again and again.
MAX_FAULTS = 1000
ROWS_AS_TABLE = 32

Row: TypeAlias = Mapping[str, Any]
logger = logging.getLogger("rowsmith.serving")


def answer_rows(
    site: Services, route: Route, rows: Sequence[Row], *, began: float, source: Source = "api"
) -> tuple[Answers, Pending]:
    """Predict. The answers may be given once what is pending is settled: they are in the log, then, and counted.

    Where a challenger cannot answer, the log says so and the champion does. A shadow is told once the caller's answers
    are kept. `began` is the time of `time.perf_counter` at which the request came. Raises SchemaError with the faults
    of every row (they are kept too, without the rows).
    """
    log = site.log
    try:
        with step("conform"):
            conforming = conform(route.served.deployed, rows)
        with step("predict"):
            answers = answers_of(route.served, conforming)
    except Exception as problem:
        if log is not None:
            log.append(_refusals(route, problem, _since(began), source))
        if route.instead is None:
            raise
        if not isinstance(problem, SchemaError):
            logger.exception("version %s failed, and the champion answered", route.served.version.number)
        # Outside the experiment: these rows were chosen by having failed.
        return answer_rows(site, Route(route.instead), rows, began=began, source=source)
    pending = Pending()
    if log is not None:
        now = datetime.now(UTC)
        pending.keep = partial(answers.keep, log, _entry(route, now, _since(began), source))
        if route.shadow is not None:
            table = answers.table if isinstance(answers, TableAnswers) else None
            shadowed = Shadowed(route, route.shadow, rows, answers.ids, now, log, table)
            pending.then.append(partial(site.shadows.offer, shadowed))
    pending.then.append(partial(_count, site.meter, answers))
    return answers, pending


def _entry(route: Route, now: datetime, latency_ms: float, source: Source) -> MakeEntry:
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

    Many rows are looked at as a table. Where they did not come as one, each that is odd is looked at by itself, so that
    faults and warnings name their row.
    """
    if type(rows) is TableRows:
        return _conform_alone(deployed, rows) if len(rows) == 1 else _conform_table(deployed.frame(rows.frame))
    if len(rows) < ROWS_AS_TABLE:
        return _conform_alone(deployed, rows)
    try:
        table = deployed.frame(frame_of_rows(rows))
        odd = range(len(rows)) if table.odd is None else table.odd
        return ConformingTable(table.frame, {number: deployed.row(rows[number]).warnings for number in odd})
    except SchemaError:
        return _conform_alone(deployed, rows)


def _conform_table(table: ConformingFrame) -> ConformingTable:
    faults: dict[int, list[Fault]] = {}
    for fault in table.warnings:
        if fault.row is not None:
            faults.setdefault(fault.row, []).append(fault)
    return ConformingTable(table.frame, faults, [fault.message for fault in table.warnings if fault.row is None])


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


def answers_of(served: Served, conforming: Sequence[ConformingRow]) -> Answers:
    """Answers with new ids: as a table where the rows are one."""
    if type(conforming) is ConformingTable:
        return TableAnswers(served, new_table_id(), predict_table(served.model, conforming), conforming)
    return RowAnswers(served, new_ids(len(conforming)), predict(served.model, conforming), conforming)


def predict_table(model: TrainedModel, table: ConformingTable) -> pl.DataFrame:
    """The columns of `TrainedModel.answer_frame`."""
    return model.answer_frame(model.scores(model.encoder.encode(table.frame)))


def predict(model: TrainedModel, conforming: Sequence[ConformingRow]) -> tuple[Prediction, ...]:
    """One row by the row path, several by the batch path; both give the same bits."""
    if len(conforming) == 1:
        scores = model.scores_row(model.encoder.encode_row(conforming[0].row))
        return (model.answer(scores, _warnings_of(conforming[0])),)
    table = model.scores(model.encoder.encode(frame_of_conforming(model.schema, conforming)))
    return model.answers(table, {i: _warnings_of(item) for i, item in enumerate(conforming) if item.warnings})


def _warnings_of(item: ConformingRow) -> tuple[str, ...]:
    return tuple(fault.message for fault in item.warnings)


def _count(meter: Meter, answers: Answers) -> None:
    """Predictions by class, as the metrics show them (regression has no classes)."""
    version = answers.served.version
    by_class = answers.served.model.task.is_classification
    values = answers.values if by_class else [""] * len(answers.ids)
    classes: Mapping[Any, int] = Counter(values) if len(values) > 1 else dict.fromkeys(values, 1)
    for name, number in classes.items():
        meter.add(("predictions", version.name, str(version.number), str(name)), number)
