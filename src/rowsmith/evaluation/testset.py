"""The sealed test part as the evaluation sees it: encoded and scored once, shared by every figure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from rowsmith.errors import UsageError
from rowsmith.evaluation.intervals import Bootstrap
from rowsmith.evaluation.metrics import metrics_for
from rowsmith.model import TrainedModel
from rowsmith.types import Array, Matrix, Metric, Role, Rows, Scores2D, Vector


@dataclass(frozen=True)
class TestSet:
    """`frame` is as it was read, `conforming` has the features only. `seconds_per_row` is the cost of scoring one."""

    __test__ = False

    model: TrainedModel
    frame: pl.DataFrame
    conforming: pl.DataFrame
    matrix: Matrix
    truth: Array
    scores: Scores2D
    weights: Vector | None
    groups: Array | None
    metric: Metric
    seed: int
    seconds_per_row: float

    @classmethod
    def of(
        cls,
        model: TrainedModel,
        frame: pl.DataFrame,
        truth: Array,
        metric: Metric,
        weights: Vector | None,
        seed: int,
    ) -> TestSet:
        """Raises SchemaError for rows that do not conform, UsageError for lengths that differ."""
        for name, given in (("target", truth), ("weights", weights)):
            if given is not None and len(given) != frame.height:
                raise UsageError(f"{name} and rows differ in number", received=f"{len(given)} and {frame.height}")
        conforming = model.conformer.frame(frame).frame
        matrix = model.encoder.encode(conforming)
        begin = time.perf_counter()
        scores = model.scores(matrix)
        seconds = time.perf_counter() - begin
        return cls(
            model=model,
            frame=frame,
            conforming=conforming,
            matrix=matrix,
            truth=truth,
            scores=scores,
            weights=weights,
            groups=_groups(model, frame),
            metric=metric,
            seed=seed,
            seconds_per_row=seconds / max(frame.height, 1),
        )

    @property
    def rows(self) -> int:
        return len(self.truth)

    @property
    def outputs(self) -> int:
        return int(self.scores.shape[1])

    @cached_property
    def chosen(self) -> Array:
        """Class codes that the model decides for, shape (rows,)."""
        return self.model.choose(self.scores)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric of the task, the main one first."""
        others = [metric for metric in metrics_for(self.model.task) if metric.name != self.metric.name]
        return (self.metric, *others)

    def predicted(self, metric: Metric, scores: Scores2D) -> Array:
        """What the metric needs. All systems decide at the model's threshold."""
        return metric.predicted(scores, self.model.threshold)

    def score(self, metric: Metric, rows: Rows | None = None) -> float:
        """Of the model, on all rows or on some."""
        predicted = self.predicted(metric, self.scores)
        if rows is None:
            return metric.function(self.truth, predicted, self.weights)
        weights = None if self.weights is None else self.weights[rows]
        return metric.function(self.truth[rows], predicted[rows], weights)

    def bootstrap(
        self, rows: Rows | None = None, resamples: int | None = None, max_rows: int | None = None
    ) -> Bootstrap:
        """Over all rows, or over some; positions in it count from the first of those."""
        part: Rows = np.arange(self.rows) if rows is None else rows
        return Bootstrap.over(
            len(part),
            classes=self.outputs,
            weights=None if self.weights is None else self.weights[part],
            groups=None if self.groups is None else self.groups[part],
            resamples=resamples,
            max_rows=max_rows,
            seed=self.seed,
        )


def _groups(model: TrainedModel, frame: pl.DataFrame) -> Array | None:
    """Group codes where the schema has a group column and the rows have more than one group."""
    column = model.schema.only(Role.GROUP)
    if column is None or column.name not in frame.columns:
        return None
    codes = frame[column.name].rank("dense").fill_null(0).to_numpy().astype(np.int64)
    return codes if len(codes) and codes.min() != codes.max() else None
