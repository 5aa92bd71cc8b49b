"""Answers: the columns of `TrainedModel.answer_frame` as the arrays that metrics take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from rowsmith.errors import Fault, SchemaError
from rowsmith.model import PREDICTION_COLUMN
from rowsmith.types import Array, Metric, Rows, Scores2D, Vector


def probability_columns(labels: Sequence[str]) -> list[str]:
    return [f"probability_{label}" for label in labels]


def require_answers(answers: pl.DataFrame, labels: Sequence[str]) -> None:
    """Raises SchemaError that names each column of an answer that is not there."""
    needed = [PREDICTION_COLUMN, *probability_columns(labels)]
    faults = [
        Fault(
            "missing_column", name, f'the predictions have no column "{name}"; they have: {", ".join(answers.columns)}'
        )
        for name in needed
        if name not in answers.columns
    ]
    if faults:
        raise SchemaError(faults, next_step="score the rows with the same model that the reference was made with")


def probabilities(answers: pl.DataFrame, labels: Sequence[str]) -> Scores2D:
    """Shape (rows, classes); a row without an answer is NaN."""
    columns = [answers[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in probability_columns(labels)]
    return np.ascontiguousarray(np.column_stack(columns))


def values(answers: pl.DataFrame) -> Vector:
    """The predicted numbers, shape (rows,); a row without an answer is NaN."""
    numbers: Vector = answers[PREDICTION_COLUMN].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return numbers


def codes(labels_of_rows: pl.Series, labels: Sequence[str]) -> Rows:
    """Label texts as positions in `labels`, shape (rows,); -1 for none or an unknown one."""
    enum = labels_of_rows.cast(pl.Enum(list(labels)), strict=False)
    positions: Rows = enum.to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
    return positions


def predicted_for(metric: Metric, answers: pl.DataFrame, labels: Sequence[str]) -> Array:
    """What the metric needs of the answers. The label is the one that was given, whatever the threshold was."""
    if metric.needs == "probabilities":
        return probabilities(answers, labels)
    return codes(answers[PREDICTION_COLUMN], labels) if metric.needs == "labels" else values(answers)
