"""Losses of single rows: what a sequential test compares. A score like ROC AUC belongs to many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from rowsmith.monitoring.answers import probabilities, values
from rowsmith.types import Array, Task, Vector

Loss: TypeAlias = Literal["log_loss", "brier", "squared_error", "absolute_error"]
TITLES: dict[Loss, str] = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "squared_error": "squared error",
    "absolute_error": "absolute error",
}
TINY = float(np.finfo(np.float64).eps)
SQUARED = frozenset({"rmse", "r2"})


def loss_for(task: Task, metric: str) -> Loss:
    """The loss that stands for the metric a version was chosen by; lower is better."""
    if task.is_classification:
        return "log_loss" if metric == "log_loss" else "brier"
    return "squared_error" if metric in SQUARED else "absolute_error"


def row_losses(loss: Loss, truth: Array, answers: pl.DataFrame, labels: Sequence[str]) -> Vector:
    """Shape (rows,); NaN where there was no answer or the outcome is none that the answer could have given.

    `truth` is class codes (-1 for none) or numbers; `answers` has the columns of `TrainedModel.answer_frame`. The Brier
    score is summed over the classes and halved, so that it lies between 0 and 1 for any number of them.
    """
    if loss in ("squared_error", "absolute_error"):
        distances = np.abs(values(answers) - truth)
        numbers: Vector = distances**2 if loss == "squared_error" else distances
        return numbers
    shares = probabilities(answers, labels)
    known = truth >= 0
    chosen = np.take_along_axis(shares, np.where(known, truth, 0)[:, None], axis=1)[:, 0]
    if loss == "log_loss":
        losses = -np.log(np.clip(chosen, TINY, 1 - TINY))
    else:
        losses = (np.einsum("ij,ij->i", shares, shares) - 2 * chosen + 1) / 2
    found: Vector = np.where(known, losses, np.nan)
    return found
