"""Metrics: one record each. A new one is a record in a file of this folder and a line in `METRICS`."""

from __future__ import annotations

from rowsmith.errors import RecipeError
from rowsmith.evaluation.metrics.labels import (
    ACCURACY,
    BALANCED_ACCURACY,
    F1,
    MACRO_F1,
    MACRO_PRECISION,
    MACRO_RECALL,
    MCC,
    PRECISION,
    RECALL,
)
from rowsmith.evaluation.metrics.numbers import MAE, MAPE, MEDIAN_AE, R2, RMSE, RMSLE
from rowsmith.evaluation.metrics.probabilities import BRIER, LOG_LOSS
from rowsmith.evaluation.metrics.ranking import AVERAGE_PRECISION, ROC_AUC
from rowsmith.types import Metric, Task

__all__ = ["METRICS", "default_metric", "get_metric", "metrics_for"]

METRICS: tuple[Metric, ...] = (
    ROC_AUC,
    AVERAGE_PRECISION,
    LOG_LOSS,
    BRIER,
    ACCURACY,
    BALANCED_ACCURACY,
    F1,
    PRECISION,
    RECALL,
    MACRO_F1,
    MACRO_PRECISION,
    MACRO_RECALL,
    MCC,
    RMSE,
    MAE,
    MEDIAN_AE,
    R2,
    RMSLE,
    MAPE,
)
"""A name is unique within a task: `f1` is one record for two classes and another for more."""

_DEFAULTS = {Task.BINARY: ROC_AUC, Task.MULTICLASS: LOG_LOSS, Task.REGRESSION: RMSE}


def get_metric(name: str, task: Task | None = None) -> Metric:
    """The record of a name; of that task where one is given, else the first of the name.

    Raises RecipeError for an unknown name, or one that does not suit the task.
    """
    named = [metric for metric in METRICS if metric.name == name]
    suited = [metric for metric in named if task is None or task in metric.tasks]
    if suited:
        return suited[0]
    raise RecipeError(
        f"the metric {name} is not for a {task} task" if named else "there is no metric of this name",
        received=repr(name),
        allowed=", ".join(dict.fromkeys(metric.name for metric in (metrics_for(task) if task else METRICS))),
    )


def default_metric(task: Task) -> Metric:
    """What is optimised when nobody says: roc_auc (binary), log_loss (multiclass), rmse (regression)."""
    return _DEFAULTS[task]


def metrics_for(task: Task) -> tuple[Metric, ...]:
    """Every metric that suits a task, in the order of `METRICS`."""
    return tuple(metric for metric in METRICS if task in metric.tasks)
