"""Prediction of a whole source: batch by batch in bounded memory, to Parquet or CSV."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from rowsmith.errors import Fault, SourceError, StorageError, UsageError
from rowsmith.ingestion.sources import read_batches
from rowsmith.model import PREDICTION_COLUMN
from rowsmith.monitoring.log import LogEntry, PredictionLog, new_ids
from rowsmith.recipe import DataSection
from rowsmith.types import JsonObject, OnProgress, Progress, no_progress
from rowsmith.workflows.deploy import Deployed

WRITERS = (".parquet", ".csv")
ID_COLUMN = "id"
MAX_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class Scored:
    """What a batch prediction did. `warnings` are the first few departures from the schema that policies let pass."""

    out: Path
    rows: int
    seconds: float
    warnings: tuple[Fault, ...]


def predict_source(
    deployed: Deployed,
    source: Any,
    out: Path,
    *,
    options: DataSection | None = None,
    keep_inputs: bool = False,
    log: PredictionLog | None = None,
    on_progress: OnProgress = no_progress,
) -> Scored:
    """Score every row of a source, in order, into `out` (.parquet or .csv); nothing is left there on failure.

    The columns are `id` (where a log is given, so that outcomes can be joined later), the input columns (where
    asked), `prediction`, and `probability_<label>` or `low` and `high`. Memory does not grow with the source.
    Raises UsageError, SourceError, SchemaError, StorageError.
    """
    if out.suffix not in WRITERS:
        raise UsageError("predictions are written as Parquet or CSV", received=str(out), allowed=", ".join(WRITERS))
    begin = time.monotonic()
    warnings: list[Fault] = []
    rows = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        reading = read_batches(source, options or DataSection())
        for number, batch in enumerate(_never_empty(reading.batches)):
            table, seen = _score_batch(deployed, batch, keep_inputs, log)
            table.write_parquet(folder / f"{number:08d}.parquet")
            rows += table.height
            warnings += seen[: MAX_WARNINGS - len(warnings)]
            on_progress(Progress("predict", f"{rows:,} rows scored"))
        _join(folder, out)
    except OSError as problem:
        raise StorageError(f"cannot write the predictions: {problem.strerror}", where=str(out)) from problem
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Scored(out, rows, time.monotonic() - begin, tuple(warnings))


def _never_empty(batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    count = 0
    for batch in batches:
        count += 1
        yield batch
    if count == 0:
        raise SourceError("there are no rows to predict")


def _score_batch(
    deployed: Deployed, batch: pl.DataFrame, keep_inputs: bool, log: PredictionLog | None
) -> tuple[pl.DataFrame, tuple[Fault, ...]]:
    begin = time.monotonic()
    model = deployed.model
    conforming = deployed.frame(batch)
    answers = model.answer_frame(model.scores(model.encoder.encode(conforming.frame)))
    columns: list[pl.DataFrame] = [answers]
    if keep_inputs:
        columns.insert(0, batch.drop([name for name in batch.columns if name in {*answers.columns, ID_COLUMN}]))
    if log is not None:
        ids = new_ids(batch.height)
        latency_ms = (time.monotonic() - begin) * 1000
        log.append(log_entries(deployed, ids, conforming.frame, answers, source="batch", latency_ms=latency_ms))
        columns.insert(0, pl.DataFrame({ID_COLUMN: ids}))
    return pl.concat(columns, how="horizontal"), conforming.warnings


def log_entries(
    deployed: Deployed,
    ids: list[str],
    inputs: pl.DataFrame,
    answers: pl.DataFrame,
    *,
    source: Literal["api", "page", "batch"],
    latency_ms: float,
) -> list[LogEntry]:
    """What the prediction log keeps of a batch: its conforming rows and the answers, in order."""
    now = datetime.now(UTC)
    version = deployed.version
    return [
        LogEntry(id_, version.name, version.number, now, row, answer, latency_ms, source)
        for id_, row, answer in zip(ids, inputs.to_dicts(), answer_dicts(answers, deployed.model.labels), strict=True)
    ]


def answer_dicts(answers: pl.DataFrame, labels: tuple[str, ...]) -> list[JsonObject]:
    """Each row of `TrainedModel.answer_frame` as `Prediction.to_dict` would give it."""
    predictions = answers[PREDICTION_COLUMN].to_list()
    if labels:
        rows = answers.drop(PREDICTION_COLUMN).rows()
        return [
            {"prediction": value, "probabilities": dict(zip(labels, row, strict=True))}
            for value, row in zip(predictions, rows, strict=True)
        ]
    if "low" not in answers.columns:
        return [{"prediction": value} for value in predictions]
    ends = answers.select("low", "high").rows()
    return [{"prediction": value, "interval": list(end)} for value, end in zip(predictions, ends, strict=True)]


def _join(folder: Path, out: Path) -> None:
    """The parts as one file that appears in one step."""
    parts = pl.scan_parquet(folder / "*.parquet")
    whole = folder / f"whole{out.suffix}"
    if out.suffix == ".csv":
        parts.sink_csv(whole)
    else:
        parts.sink_parquet(whole, compression="zstd")
    whole.replace(out)
