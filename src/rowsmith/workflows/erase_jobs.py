"""Batch jobs that hold rows of somebody: results are written anew without them, unfinished work is ended."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from rowsmith.conform.sought import Sought
from rowsmith.errors import RowsmithError, StorageError
from rowsmith.ingestion.sources import read_batches
from rowsmith.model import PREDICTION_COLUMN
from rowsmith.storage.files import flush_folder, writing_to
from rowsmith.workflows.jobs import ENDED, JobStore, Known
from rowsmith.workflows.parts import ID_COLUMN
from rowsmith.workflows.project import Project

OURS = frozenset({ID_COLUMN, PREDICTION_COLUMN, "low", "high"})
END_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class JobFound:
    """`rows` of its result are about those who are sought. An unfinished one is ended instead. `ids` are those of
    predictions, where the result has them."""

    id: str
    rows: int
    is_unfinished: bool
    ids: frozenset[str] = frozenset()


def find(project: Project, store: JobStore, sought: Sought | None, ids: frozenset[str]) -> list[JobFound]:
    """The jobs that hold such rows. Raises StorageError."""
    found = []
    for known in store.list():
        if known.status.state not in ENDED:
            job = _in_unfinished(project, store, known, sought, ids)
        elif known.status.state == "done":
            job = _in_tables(known, [store.result(known.job.id)], sought, ids)
        else:
            continue  # it keeps no rows
        if job.rows or job.is_unfinished:
            found.append(job)
    return found


def erase(store: JobStore, jobs: list[JobFound], sought: Sought | None, ids: frozenset[str]) -> None:
    """Raises StorageError, also for a job that does not end."""
    for job in jobs:
        if job.is_unfinished:
            store.cancel(job.id)
        else:
            _rewrite(store, job, sought, ids)
    _await_end(store, [job.id for job in jobs if job.is_unfinished])


def _in_unfinished(
    project: Project, store: JobStore, known: Known, sought: Sought | None, ids: frozenset[str]
) -> JobFound:
    """Whether the source of a job has such rows. What its parts hold is of the same rows."""
    scored = _in_tables(known, store.scored(known.job.id), sought, ids)
    has_any = scored.rows > 0 or (sought is not None and _source_has(project, store, known, sought))
    return replace(scored, is_unfinished=has_any)


def _source_has(project: Project, store: JobStore, known: Known, sought: Sought) -> bool:
    options = project.recipe.data.model_copy(update={"source": None})
    try:
        return any(
            len(sought.among(batch[sought.column])) > 0
            for batch in read_batches(store.source(known.job), options).batches
            if sought.column in batch.columns
        )
    except RowsmithError:
        return False  # a source that cannot be read: the job says so itself, and keeps nothing


def _in_tables(known: Known, paths: Sequence[Path], sought: Sought | None, ids: frozenset[str]) -> JobFound:
    rows, found = 0, set[str]()
    for path in paths:
        with _reading(path):
            condition = _condition(path, sought, ids)
            if condition is None:
                continue
            chosen = pl.scan_parquet(path).filter(condition)
            rows += int(chosen.select(pl.len()).collect().item())
            if known.job.log and ID_COLUMN in pl.read_parquet_schema(path):
                found |= set(chosen.select(ID_COLUMN).collect()[ID_COLUMN])
    return JobFound(known.job.id, rows, False, frozenset(found))


def _condition(path: Path, sought: Sought | None, ids: frozenset[str]) -> pl.Expr | None:
    """Which rows of a result are meant; None where none can be."""
    columns = pl.read_parquet_schema(path)
    meant: list[pl.Expr] = []
    if sought is not None and (name := _column_of(sought.column, columns)) is not None:
        values = sought.among(pl.scan_parquet(path).select(pl.col(name).unique()).collect()[name])
        if len(values):
            meant.append(pl.col(name).is_in(values.implode()))
    if ids and ID_COLUMN in columns:
        meant.append(pl.col(ID_COLUMN).is_in(list(ids)))
    return pl.any_horizontal(meant).fill_null(False) if meant else None


def _column_of(column: str, columns: Collection[str]) -> str | None:
    """Where a result has a column of the input: one that is called like one of ours goes by another name."""
    names = (f"input_{column}",) if column in OURS else (column,)
    return next((name for name in names if name in columns), None)


def _rewrite(store: JobStore, job: JobFound, sought: Sought | None, ids: frozenset[str]) -> None:
    path = store.result(job.id)
    new = path.with_suffix(".unfinished")
    with _reading(path), writing_to(path):
        condition = _condition(path, sought, ids)
        if condition is None:
            return
        pl.scan_parquet(path).filter(~condition).sink_parquet(new)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(new, path)
        flush_folder(path.parent, deep=False)
    status = store.get(job.id).status
    store.note(job.id, replace(status, rows=max(status.rows - job.rows, 0)))


def _await_end(store: JobStore, ids: list[str]) -> None:
    """Until what was uploaded and scored is gone: by whoever runs jobs, or here where nobody does."""
    deadline = time.monotonic() + END_SECONDS
    while left := [id_ for id_ in ids if store.holds_rows(id_)]:
        with store.alone() as is_alone:
            if is_alone:
                store.settle()
                continue
        if time.monotonic() > deadline:
            raise StorageError(
                "a batch job that holds rows of this person does not end",
                received=", ".join(left),
                next_step="end the server that runs it, and erase again",
            )
        time.sleep(0.2)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Errors of polars as StorageError."""
    try:
        yield
    except pl.exceptions.PolarsError as problem:
        advice = "remove the job's folder, or restore it from a backup"
        raise StorageError("the result of a job cannot be read", where=str(path), next_step=advice) from problem
