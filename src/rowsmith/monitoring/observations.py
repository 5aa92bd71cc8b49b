"""Observations: rows that were scored, in one shape, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from rowsmith.conform.rule import Rule
from rowsmith.errors import UsageError
from rowsmith.model import PREDICTION_COLUMN
from rowsmith.monitoring.answers import codes, probability_columns, require_answers
from rowsmith.monitoring.windows import naive_utc
from rowsmith.schema import Column, Parsing, Schema
from rowsmith.types import Array, ColumnKind, Role

if TYPE_CHECKING:  # a scored file can be watched without a database
    from rowsmith.monitoring.log import Window


@dataclass(frozen=True, slots=True)
class Observations:
    """All have one entry a row, in the same order; what is None is not known.

    `rows` has the feature columns with raw values of any type (a column that is absent counts as missing), `answers`
    the columns of `TrainedModel.answer_frame`, `times` when each row was asked about, `truth` the raw true outcomes,
    null where none has come, and `latency_ms` how long the answer took. `failures` has rows of its own: `time`, and
    in `errors` how many requests were refused or failed from then on until the next.
    """

    rows: pl.DataFrame
    answers: pl.DataFrame
    times: pl.Series | None = None
    truth: pl.Series | None = None
    latency_ms: pl.Series | None = None
    failures: pl.DataFrame | None = None

    def __len__(self) -> int:
        return self.answers.height

    def __post_init__(self) -> None:
        # A frame without columns has no height of its own.
        rows = self.rows if self.rows.width else None
        parts = (rows, self.answers, self.times, self.truth, self.latency_ms)
        if len({len(part) for part in parts if part is not None}) > 1:
            raise ValueError("rows, answers, times, truth and latencies differ in length")


def from_log(window: Window, schema: Schema, counts: pl.DataFrame | None = None) -> Observations:
    """What the prediction log holds: `PredictionLog.window(...)` and, for the errors, `PredictionLog.counts(...)`.

    The stretches of `counts` are taken to lie inside the windows that the rows will be cut into: count by the hour.
    Raises SchemaError where the logged answers are not those of a model with this schema.
    """
    answers = window.answers if len(window) else _no_answers(schema)
    failures = None
    if counts is not None:
        failures = counts.select(pl.col("start").alias("time"), "errors").filter(pl.col("errors") > 0)
    return Observations(
        rows=window.inputs if len(window) else pl.DataFrame(),
        answers=plain_answers(answers, schema),
        times=naive_utc(window.entries["time"]),
        truth=window.entries["label"],
        latency_ms=window.entries["latency_ms"],
        failures=failures,
    )


def from_table(table: pl.DataFrame, answers: pl.DataFrame, schema: Schema, *, time: str | None = None) -> Observations:
    """A scored file: its rows and the model's answers to them.

    `time` names the column that windows are cut by; the column with the role time when absent, one window when there
    is none. True outcomes are taken from the target's column where the file has it. Raises UsageError for a time column
    that is not there or holds no dates, SchemaError for answers that lack columns.
    """
    declared = schema.only(Role.TIME)
    name = time or (declared.name if declared and declared.name in table.columns else None)
    target = schema.target
    return Observations(
        rows=table,
        answers=plain_answers(answers, schema),
        times=_times(table, name, schema) if name else None,
        truth=table[target.name] if target and target.name in table.columns else None,
    )


def plain_answers(answers: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The columns that answers must have, labels as text again (a CSV file makes numbers of "0" and "1")."""
    require_answers(answers, schema.labels)
    given = Rule(Column(PREDICTION_COLUMN, _kind_of_outcome(schema))).series(answers[PREDICTION_COLUMN])[0]
    return answers.select(given, *probability_columns(schema.labels))


def true_outcomes(observations: Observations, schema: Schema) -> Array | None:
    """Class codes (int64; -1 for no outcome or an unknown label) or numbers (float64; NaN for none), shape (rows,)."""
    truth, target = observations.truth, schema.target
    if truth is None:
        return None
    parsing = target.parsing if target else Parsing()
    values, _ = Rule(Column(truth.name, _kind_of_outcome(schema), parsing=parsing)).series(truth)
    if schema.labels:
        return codes(values, schema.labels)
    numbers = values.fill_null(np.nan).to_numpy()
    return np.where(np.isfinite(numbers), numbers, np.nan)


def is_known(truth: Array) -> Array:
    """Mask of the rows whose outcome has come, shape (rows,)."""
    mask: Array = truth >= 0 if truth.dtype.kind == "i" else np.isfinite(truth)
    return mask


def _kind_of_outcome(schema: Schema) -> ColumnKind:
    return ColumnKind.CATEGORY if schema.labels else ColumnKind.NUMBER


def _times(table: pl.DataFrame, name: str, schema: Schema) -> pl.Series:
    if name not in table.columns:
        raise UsageError(f'there is no column "{name}" to cut windows by', allowed=", ".join(table.columns))
    parsing = next((column.parsing for column in schema if column.name == name), Parsing())
    values, _ = Rule(Column(name, ColumnKind.DATETIME, parsing=parsing)).series(table[name])
    if table.height and values.null_count() == len(values):
        raise UsageError(f'the column "{name}" holds no dates, so no windows', received=str(table[name].dtype))
    return naive_utc(values)


def _no_answers(schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys([PREDICTION_COLUMN, *probability_columns(schema.labels)], pl.Null))
