"""Prediction of a whole source: batch by batch in bounded memory, to Parquet or CSV."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from rowsmith.conform import ConformingFrame
from rowsmith.errors import Fault, SchemaError, SourceError, StorageError, UsageError
from rowsmith.ingestion.sources import read_batches
from rowsmith.model import PREDICTION_COLUMN
from rowsmith.monitoring.log import LogEntry, PredictionLog, Role, new_ids
from rowsmith.recipe_data import DataSection
from rowsmith.storage.files import writing_to
from rowsmith.types import JsonObject, OnProgress, Progress, no_progress
from rowsmith.workflows.deploy import Deployed

WRITERS = (".parquet", ".csv")
ID_COLUMN = "id"
MAX_WARNINGS = 20
# What the log will keep of a part, beside the part itself.
INPUTS = ".inputs"
ANSWERS = ".answers"


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
    role: Role = "champion",
    on_progress: OnProgress = no_progress,
) -> Scored:
    """Score every row of a source, in order, into `out` (.parquet or .csv); nothing is left there on failure.

    The columns are `id` (where a log is given, so that outcomes can be joined later), the input columns (where
    asked; one that is called like another of these becomes `input_<name>`), `prediction`, and `probability_<label>`
    or `low` and `high`. Memory does not grow with the source. The log gets all of the rows, answered
    in `role`, or, on failure, none.
    Raises UsageError, SourceError, SchemaError, StorageError.
    """
    _require_writable(out, source)
    begin = time.monotonic()
    warnings: list[Fault] = []
    batches = rows = 0
    with _parts_beside(out) as folder:
        reading = read_batches(source, options or DataSection())
        for number, batch in enumerate(_never_empty(reading.batches)):
            scored = _score_batch(deployed, batch, rows, reading.description)
            ids = new_ids(batch.height) if log is not None else None
            _output(scored, batch, ids, keep_inputs=keep_inputs).write_parquet(folder / f"{number:08d}.parquet")
            if ids is not None:
                scored.conforming.frame.write_parquet(folder / f"{number:08d}{INPUTS}")
                pl.DataFrame({ID_COLUMN: ids}).hstack(scored.answers).write_parquet(folder / f"{number:08d}{ANSWERS}")
            batches += 1
            rows += batch.height
            warnings += scored.conforming.warnings[: MAX_WARNINGS - len(warnings)]
            on_progress(Progress("predict", f"{rows:,} rows scored"))
        whole = _join(folder, out)
        if log is not None:
            _keep(deployed, log, role, folder, batches)
        whole.replace(out)
    return Scored(out, rows, time.monotonic() - begin, tuple(warnings))


def _require_writable(out: Path, source: Any) -> None:
    if out.suffix.lower() not in WRITERS:
        raise UsageError("predictions are written as Parquet or CSV", received=str(out), allowed=", ".join(WRITERS))
    if out.is_dir():
        raise UsageError("this is a folder, and predictions are written to a file", where=str(out))
    if isinstance(source, str | Path) and out.exists() and Path(source).exists() and out.samefile(source):
        raise UsageError(
            "the predictions would replace the table that they are made from",
            where=str(out),
            next_step="write them to another file; keep_inputs (--keep-inputs) has the columns of the table in it",
        )


@contextmanager
def _parts_beside(out: Path) -> Iterator[Path]:
    """A folder on the disk of `out`, gone at the end. Raises StorageError for what cannot be written."""
    folder: Path | None = None
    try:
        with writing_to(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
            yield folder
    except pl.exceptions.ComputeError as problem:
        raise StorageError(f"cannot write the predictions: {problem}", where=str(out)) from problem
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _never_empty(batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    count = 0
    for batch in batches:
        count += 1
        yield batch
    if count == 0:
        raise SourceError("there are no rows to predict")


@dataclass(frozen=True, slots=True)
class _ScoredBatch:
    conforming: ConformingFrame
    answers: pl.DataFrame


def _score_batch(deployed: Deployed, batch: pl.DataFrame, first_row: int, where: str) -> _ScoredBatch:
    """Rows are counted over the whole source in what is said about them."""
    try:
        conforming = deployed.frame(batch, first_row=first_row)
    except SchemaError as problem:
        raise SchemaError(problem.faults, where=problem.where or where, next_step=problem.next_step) from problem
    model = deployed.model
    return _ScoredBatch(conforming, model.answer_frame(model.scores(model.encoder.encode(conforming.frame))))


def _output(scored: _ScoredBatch, batch: pl.DataFrame, ids: list[str] | None, *, keep_inputs: bool) -> pl.DataFrame:
    """The columns that are written. One of the input that is called like one of ours goes by `input_<name>`."""
    ours = [ID_COLUMN, *scored.answers.columns] if ids is not None else scored.answers.columns
    columns = [] if ids is None else [pl.DataFrame({ID_COLUMN: ids})]
    if keep_inputs:
        taken = {*ours, *batch.columns}
        names = {name: _free_name(f"input_{name}", taken) for name in batch.columns if name in ours}
        columns.append(batch.rename(names))
    return pl.concat([*columns, scored.answers], how="horizontal")


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"input_{name}"
    return name


def _keep(deployed: Deployed, log: PredictionLog, role: Role, folder: Path, batches: int) -> None:
    """Log the rows once all of them are scored: a source that is refused in its middle leaves none in the log."""
    for number in range(batches):
        inputs = pl.read_parquet(folder / f"{number:08d}{INPUTS}")
        answers = pl.read_parquet(folder / f"{number:08d}{ANSWERS}")
        log.append(_log_entries(deployed, role, inputs, answers))


def _log_entries(deployed: Deployed, role: Role, inputs: pl.DataFrame, answers: pl.DataFrame) -> list[LogEntry]:
    """What the log keeps of a batch: its conforming rows and the answers, in order. Nobody waited for one of its rows,
    so there is no latency."""
    now = datetime.now(UTC)
    version = deployed.version
    given = answer_dicts(answers.drop(ID_COLUMN), deployed.model.labels)
    return [
        LogEntry(id_, version.name, version.number, now, row, answer, source="batch", role=role)
        for id_, row, answer in zip(answers[ID_COLUMN], inputs.to_dicts(), given, strict=True)
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


def _join(folder: Path, out: Path) -> Path:
    """The parts as one file in the same folder."""
    parts = pl.scan_parquet(folder / f"{'[0-9]' * 8}.parquet")
    whole = folder / f"whole{out.suffix}"
    if out.suffix.lower() == ".csv":
        parts.sink_csv(whole)
    else:
        parts.sink_parquet(whole, compression="zstd")
    return whole
