"""Parts: the scored batches of a source, each in files of its own, so that work that was cut off goes on where it was.

    00000000.inputs     the conforming rows, for the log
    00000000.answers    ids and answers, for the log
    00000000.warnings   departures from the schema that policies let pass (JSON), where there are any
    00000000.parquet    what the result holds; written last: where it is, the batch is done

Ids are given when a batch is scored and stay with it: to log a part again changes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from rowsmith.conform import ConformingFrame
from rowsmith.errors import Fault, SchemaError, SourceError
from rowsmith.monitoring.log import LogEntry, PredictionLog, Role
from rowsmith.monitoring.log_table import LogTable, ids_of, new_table_id, place_of
from rowsmith.workflows.deploy import Deployed

ID_COLUMN = "id"
MAX_WARNINGS = 20
ROWS_A_LOG = 10_000
"""So many rows of a batch are one entry of the log."""
DONE, INPUTS, ANSWERS, WARNINGS = ".parquet", ".inputs", ".answers", ".warnings"
PATTERN = f"{'[0-9]' * 8}{DONE}"


@dataclass(frozen=True)
class Parts:
    """The parts of one source in a folder. With `with_ids` they can be logged."""

    folder: Path
    deployed: Deployed
    keep_inputs: bool
    with_ids: bool

    def score(self, batches: Iterable[pl.DataFrame], where: str, on_part: Callable[[int], None]) -> int:
        """Score what is not scored yet; answers the number of rows, which `on_part` is told after each part.

        The batches must be those of before, in their order. Raises SourceError (there are none), SchemaError.
        """
        rows = 0
        for number, batch in enumerate(batches):
            if not self._path(number, DONE).is_file():
                self._score(number, batch, rows, where)
            rows += batch.height
            on_part(rows)
        if rows == 0:
            raise SourceError("there are no rows to predict")
        return rows

    def keep(self, log: PredictionLog, role: Role) -> None:
        """Log the rows once all of them are scored: a source that is refused in its middle leaves none in the log."""
        for path in sorted(self.folder.glob(f"*{ANSWERS}")):
            inputs, answers = pl.read_parquet(path.with_suffix(INPUTS)), pl.read_parquet(path)
            for some_inputs, some in zip(inputs.iter_slices(ROWS_A_LOG), answers.iter_slices(ROWS_A_LOG), strict=True):
                log.append_tables([_to_log(self.deployed, role, some_inputs, some)])

    def join(self, suffix: str) -> Path:
        """The parts as one file in the same folder, .parquet or .csv."""
        parts = pl.scan_parquet(self.folder / PATTERN)
        whole = self.folder / f"whole{suffix}"
        if suffix == ".csv":
            parts.sink_csv(whole)
        else:
            parts.sink_parquet(whole)
        return whole

    def warnings(self) -> tuple[Fault, ...]:
        """The first few."""
        found: list[Fault] = []
        for path in sorted(self.folder.glob(f"*{WARNINGS}")):
            found += [Fault(**fault) for fault in json.loads(path.read_text(encoding="utf-8"))]
            if len(found) >= MAX_WARNINGS:
                break
        return tuple(found[:MAX_WARNINGS])

    def _path(self, number: int, kind: str) -> Path:
        return self.folder / f"{number:08d}{kind}"

    def _score(self, number: int, batch: pl.DataFrame, first_row: int, where: str) -> None:
        scored = _score_batch(self.deployed, batch, first_row, where)
        ids = _new_ids(batch.height) if self.with_ids else None
        if ids is not None:
            scored.conforming.frame.write_parquet(self._path(number, INPUTS))
            pl.DataFrame({ID_COLUMN: ids}).hstack(scored.answers).write_parquet(self._path(number, ANSWERS))
        if scored.conforming.warnings:
            warnings = [asdict(fault) for fault in scored.conforming.warnings[:MAX_WARNINGS]]
            self._path(number, WARNINGS).write_text(json.dumps(warnings), encoding="utf-8")
        self._write(number, _output(scored, batch, ids, keep_inputs=self.keep_inputs))

    def _write(self, number: int, table: pl.DataFrame) -> None:
        unfinished = self._path(number, ".unfinished")
        table.write_parquet(unfinished)
        os.replace(unfinished, self._path(number, DONE))


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


def _new_ids(rows: int) -> list[str]:
    """Growing ones; so many rows at a time are a table of the log."""
    tables = sorted(new_table_id() for _ in range(0, rows, ROWS_A_LOG))
    return [id_ for i, table in enumerate(tables) for id_ in ids_of(table, min(rows - i * ROWS_A_LOG, ROWS_A_LOG))]


def _to_log(deployed: Deployed, role: Role, inputs: pl.DataFrame, answers: pl.DataFrame) -> LogTable:
    """What the log keeps of a batch: its conforming rows and the answers, in order. Nobody waited for one of its rows,
    so there is no latency."""
    version = deployed.version
    place = place_of(answers[ID_COLUMN][0])
    assert place is not None  # `_new_ids` made it
    common = LogEntry(place[0], version.name, version.number, datetime.now(UTC), source="batch", role=role)
    return LogTable(common, inputs, answers.drop(ID_COLUMN))
