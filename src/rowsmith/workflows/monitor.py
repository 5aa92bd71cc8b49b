"""Watching a version: what it was asked, against what it was trained on; and the outcomes that came back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from rowsmith.conform import encode_target
from rowsmith.errors import DataError, SchemaError, UsageError
from rowsmith.evaluation.metrics import metrics_for
from rowsmith.ingestion.sources import read_frame
from rowsmith.model import PREDICTION_COLUMN
from rowsmith.monitoring.alerts import Alert, Delivery, deliver, open_sink
from rowsmith.monitoring.log import LabelResult, Role
from rowsmith.monitoring.observations import Observations, from_log, from_table
from rowsmith.monitoring.reference import Reference
from rowsmith.monitoring.report import MonitorReport
from rowsmith.monitoring.report import monitor as monitor_observations
from rowsmith.schema import Schema
from rowsmith.storage.files import write_atomically
from rowsmith.types import OnProgress, Progress, no_progress
from rowsmith.workflows.deploy import Deployed, deploy
from rowsmith.workflows.project import Project
from rowsmith.workflows.run import REFERENCE_FILE

# The rows that one look takes from the log, the latest ones: more would not change the verdict.
MAX_ROWS = 200_000
# What was last told, so that the same news are not told at every run.
ALERTS_FILE = "alerts.json"


def monitor(
    project: Project,
    source: Any = None,
    *,
    ref: str | int = "champion",
    time: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    role: Role | None = None,
    on_progress: OnProgress = no_progress,
) -> MonitorReport:
    """What a version has seen since it was trained: volume, errors, latency, drift, scores, and a verdict.

    Args:
        source: a file (or any other source) of rows to judge instead of the prediction log. Its predictions are taken
            where it has them (the output of `rowsmith predict --keep-inputs`), else made here; true outcomes are
            taken from the target column.
        ref: a version number, `champion` or `latest`.
        time: the column that a file is cut into windows by.
        start, end: of the stretch of the log, UTC.
        role: whose rows of the log: `shadow` for the answers that nobody was given; all others when None.

    Raises NotFoundError, SourceError, SchemaError, UsageError.
    """
    if start is not None and end is not None and end <= start:
        raise UsageError(
            "the stretch to look at ends before it begins",
            received=f"from {start.isoformat()} until {end.isoformat()}",
            allowed="an end after the beginning",
        )
    version = project.version(ref)
    folder = project.registry.folder(version)
    reference = Reference.from_dict(json.loads((folder / REFERENCE_FILE).read_text(encoding="utf-8")))
    deployed = deploy(project, version)
    on_progress(Progress("monitor", f"{version.name} version {version.number}"))
    schema = deployed.model.schema
    if source is None:
        observations = _logged(project, deployed, start, end, role)
        # What the log holds of these is no value, so there is nothing to compare.
        schema = schema.without(project.recipe.columns.personal)
    else:
        observations = _from_source(project, deployed, source, time)
    assert schema.task is not None
    return monitor_observations(
        reference,
        observations,
        schema,
        metrics=metrics_for(schema.task),
        options=project.recipe.monitor,
        seed=deployed.model.recipe.train.seed,
    )


def alert(project: Project, report: MonitorReport, targets: Sequence[str]) -> Delivery:
    """Tell each of the targets (see `open_sink`) what is new in a report; the store remembers what was told.

    Raises SettingsError for a target that is none. A target that cannot be reached is one of the delivery's failures.
    """
    sinks = [open_sink(target) for target in targets]
    path = project.store / ALERTS_FILE
    state = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    now = datetime.now(UTC)
    delivery = deliver(Alert(project.recipe.name, report.created, report.verdict), sinks, state, now)
    if delivery.state != state:
        write_atomically(path, json.dumps(delivery.state, ensure_ascii=False, indent=1))
    return delivery


def label(
    project: Project, source: Any, *, id_column: str = "id", label_column: str = "label", actor: str = ""
) -> LabelResult:
    """Join true outcomes to predictions by id.

    Raises SourceError, DataError for a table without the two columns, SchemaError for outcomes that the latest
    version could never have predicted (a label it does not know, text instead of a number); nothing is kept then.
    """
    frame = read_frame(source, project.recipe.data)
    absent = [name for name in (id_column, label_column) if name not in frame.columns]
    if absent:
        raise DataError(
            f'there is no column "{absent[0]}"',
            where=str(source),
            received=", ".join(frame.columns),
            next_step="a prediction's id and its label, one row each; name the two columns with --id and --label",
        )
    model = deploy(project, project.version("latest")).model
    require_outcomes(frame[label_column], model.schema, where=str(source))
    pairs = frame.select(pl.col(id_column).cast(pl.String).alias("id"), pl.col(label_column).alias("label"))
    return project.log.label(pairs, actor=actor)


def require_outcomes(given: pl.Series, schema: Schema, *, where: str) -> None:
    """Outcomes are values of the target; rows without one are passed over. Raises SchemaError."""
    known = np.flatnonzero(given.is_not_null().to_numpy())
    try:
        encode_target(given.gather(known), schema)
    except SchemaError as problem:
        faults = [fault if fault.row is None else replace(fault, row=int(known[fault.row])) for fault in problem.faults]
        raise SchemaError(
            [fault for fault in faults if fault.code != "missing_value"] or faults,
            where=where,
            next_step=f'mend these outcomes, or leave them out; "{given.name}" holds what came true',
        ) from problem


def _logged(
    project: Project, deployed: Deployed, start: datetime | None, end: datetime | None, role: Role | None
) -> Observations:
    version = deployed.version
    schema = deployed.model.schema
    window = project.log.window(
        version.name,
        start,
        end,
        version=version.number,
        role=role,
        columns=[column.name for column in schema.features],
        limit=MAX_ROWS,
    )
    counts = None
    if len(window):
        first = start or window.entries["time"].min()
        last = end or datetime.now(UTC)
        assert isinstance(first, datetime)
        counts = project.log.counts(version.name, first, last, timedelta(hours=1), version=version.number, role=role)
    return from_log(window, schema, counts)


def _from_source(project: Project, deployed: Deployed, source: Any, time: str | None) -> Observations:
    table = read_frame(source, project.recipe.data)
    model = deployed.model
    if PREDICTION_COLUMN in table.columns:
        return from_table(table, table, model.schema, time=time)
    conforming = deployed.frame(table)
    answers = model.answer_frame(model.scores(model.encoder.encode(conforming.frame)))
    return from_table(table, answers, model.schema, time=time)
