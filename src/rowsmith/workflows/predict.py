"""Prediction of a whole source: batch by batch in bounded memory, to Parquet or CSV."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rowsmith.errors import Fault, StorageError, UsageError
from rowsmith.ingestion.sources import read_batches
from rowsmith.monitoring.log import PredictionLog, Role
from rowsmith.recipe_data import DataSection
from rowsmith.storage.files import writing_to
from rowsmith.types import OnProgress, Progress, no_progress
from rowsmith.workflows.deploy import Deployed
from rowsmith.workflows.parts import Parts

WRITERS = (".parquet", ".csv")


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
    with _parts_beside(out) as folder:
        parts = Parts(folder, deployed, keep_inputs=keep_inputs, with_ids=log is not None)
        reading = read_batches(source, options or DataSection())
        rows = parts.score(
            reading.batches,
            reading.description,
            lambda rows: on_progress(Progress("predict", f"{rows:,} rows scored")),
        )
        warnings, whole = parts.warnings(), parts.join(out.suffix.lower())
        if log is not None:
            parts.keep(log, role)
        whole.replace(out)
    return Scored(out, rows, time.monotonic() - begin, warnings)


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
