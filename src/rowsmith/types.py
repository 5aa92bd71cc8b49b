"""Frozen values that every room shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
JsonObject: TypeAlias = dict[str, Any]
Array: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = npt.NDArray[np.float32]
"""Encoded features, shape (rows, features), C order; missing is NaN."""
Vector: TypeAlias = npt.NDArray[np.float64]
Scores2D: TypeAlias = npt.NDArray[np.float64]
"""What a learner answers: class probabilities (rows, classes), or numbers (rows, 1)."""
Rows: TypeAlias = npt.NDArray[np.int64]
"""Row positions."""


class Task(StrEnum):
    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def is_classification(self) -> bool:
        return self is not Task.REGRESSION


class ColumnKind(StrEnum):
    """What the values of a column are, whatever type they were stored in."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    TEXT = "text"
    DATETIME = "datetime"
    IDENTIFIER = "identifier"
    CONSTANT = "constant"


class Role(StrEnum):
    """What a column is for. A column without a role is a feature; `sensitive` and `time` ones stay features."""

    TARGET = "target"
    IGNORED = "ignored"
    TIME = "time"
    GROUP = "group"
    WEIGHT = "weight"
    SENSITIVE = "sensitive"
    SUBJECT_ID = "subject_id"


class Severity(StrEnum):
    """An error stops training; a warning is shown and kept; information is kept."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the encoded matrix. `source` is the table column it comes from.

    `levels` is 0 for a number. For a category the values are codes 0..levels-1 (0 is "other": rare or unseen),
    and NaN is missing.
    """

    name: str
    source: str
    levels: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw: plain data, rendered elsewhere."""

    code: str
    severity: Severity
    title: str
    message: str
    columns: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    advice: str = ""

    def to_dict(self) -> JsonObject:
        return {**asdict(self), "severity": self.severity.value, "columns": list(self.columns)}

    @classmethod
    def from_dict(cls, data: JsonObject) -> Finding:
        return cls(**{**data, "severity": Severity(data["severity"]), "columns": tuple(data["columns"])})


@dataclass(frozen=True, slots=True)
class Metric:
    """One measure of quality.

    `function(truth, predicted, weights)` returns a float. `truth` holds class codes 0..k-1 (int64) or
    numbers (float64), shape (rows,). `predicted` is, by `needs`: `probabilities` (rows, classes),
    `labels` (rows,) of class codes, or `values` (rows,). `weights` is None or shape (rows,).
    For binary tasks class 1 is the event. A score that is not defined (one class only, no rows) is NaN.
    `prepare(truth, predicted)`, where there is one, returns a function of the weights that gives the same
    score faster when it is asked many times (the bootstrap).
    """

    name: str
    title: str
    tasks: frozenset[Task]
    needs: Literal["probabilities", "labels", "values"]
    greater_is_better: bool
    function: Callable[[Array, Array, Vector | None], float]
    source: str = ""
    prepare: Callable[[Array, Array], Callable[[Vector], float]] | None = None

    def predicted(self, scores: Scores2D, threshold: float = 0.5) -> Array:
        """What `function` needs, from what a model answers; `threshold` is that of the event of a binary task."""
        if self.needs == "probabilities":
            return scores
        if self.needs == "values":
            return scores[:, 0]
        codes = scores[:, 1] >= threshold if scores.shape[1] == 2 else scores.argmax(axis=1)
        return codes.astype(np.int64)

    def error(self, score: float) -> float:
        """The score turned so that lower is better (used to compare, never to print)."""
        return -score if self.greater_is_better else score

    def is_better(self, score: float, than: float) -> bool:
        return self.error(score) < self.error(than)


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed range: a confidence interval of a figure, or a prediction interval, in the figure's own unit."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Score:
    """A figure with its interval (bootstrap percentile, level 0.95 unless told)."""

    metric: str
    value: float
    interval: Interval | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one row.

    `value` is the label (as text) or the number. Classification fills `probabilities` (label to
    probability, they sum to 1), regression fills `interval`. `warnings` says what was odd about the row
    (an unseen category, a number outside the range of training).
    """

    value: str | float
    probabilities: Mapping[str, float] | None = None
    interval: Interval | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> JsonObject:
        answer: JsonObject = {"prediction": self.value}
        if self.probabilities is not None:
            answer["probabilities"] = dict(self.probabilities)
        if self.interval is not None:
            answer["interval"] = [self.interval.low, self.interval.high]
        if self.warnings:
            answer["warnings"] = list(self.warnings)
        return answer


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a long piece of work. `fraction` and `seconds_left` are None where nobody knows."""

    stage: str
    message: str = ""
    fraction: float | None = None
    best_score: float | None = None
    seconds_left: float | None = None


OnProgress: TypeAlias = Callable[[Progress], None]


def no_progress(progress: Progress) -> None:
    """The callback that ships for callers who do not watch."""
