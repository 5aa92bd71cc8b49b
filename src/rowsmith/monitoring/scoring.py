"""Scoring: the scores of one window after the other, measured where labels have come and estimated for all rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from rowsmith.monitoring.answers import predicted_for
from rowsmith.monitoring.estimate import Outlook
from rowsmith.monitoring.live_scores import WindowScore, estimated_score, live_score, with_verdicts
from rowsmith.monitoring.observations import is_known
from rowsmith.monitoring.reference import Reference, plausible_truths
from rowsmith.monitoring.resampling import Bootstrap
from rowsmith.schema import Schema
from rowsmith.types import Array, Metric, Rows


class Scorer:
    """Prepared once for all rows; `window` answers for some of them.

    Fewer than `min_rows` labelled rows are not scored, and fewer than `min_rows` rows are not estimated.
    """

    def __init__(
        self,
        reference: Reference,
        answers: pl.DataFrame,
        truth: Array | None,
        schema: Schema,
        metrics: Sequence[Metric],
        *,
        min_rows: int,
        seed: int,
    ) -> None:
        self._reference = reference
        self._metrics = [metric for metric in metrics if schema.task in metric.tasks]
        self._predicted = [predicted_for(metric, answers, schema.labels) for metric in self._metrics]
        self._answered = _answered(self._predicted, answers.height)
        self._truth = truth
        self._plausible = plausible_truths(answers, schema, reference.residuals)
        self._min_rows = min_rows
        self._rng = np.random.default_rng(seed)

    def window(self, rows: Rows) -> tuple[WindowScore, ...]:
        """Live scores first, then the estimated ones, each in the order of the metrics."""
        rows = rows[self._answered[rows]]
        return (*with_verdicts(self._live(rows)), *with_verdicts(self._estimated(rows)))

    def _live(self, rows: Rows) -> list[WindowScore]:
        if self._truth is None:
            return []
        rows = rows[is_known(self._truth[rows])]
        if len(rows) < self._min_rows:
            return []
        truth, bootstrap = self._truth[rows], Bootstrap(len(rows), self._rng)
        scores = [
            live_score(metric, truth, predicted[rows], self._reference.score(metric.name), bootstrap)
            for metric, predicted in zip(self._metrics, self._predicted, strict=True)
        ]
        return [score for score in scores if score is not None]

    def _estimated(self, rows: Rows) -> list[WindowScore]:
        if self._plausible is None or len(rows) < self._min_rows:
            return []
        outlook = Outlook(self._plausible.rows(rows), self._rng)
        scores = [
            estimated_score(metric, predicted[rows], outlook, self._reference.score(metric.name))
            for metric, predicted in zip(self._metrics, self._predicted, strict=True)
        ]
        return [score for score in scores if score is not None]


def _answered(predicted: Sequence[Array], rows: int) -> Array:
    """Rows that have an answer in every form that a metric asks for."""
    answered = np.ones(rows, dtype=np.bool_)
    for values in predicted:
        if values.dtype.kind == "i":
            answered &= values >= 0
        else:
            answered &= np.isfinite(values) if values.ndim == 1 else np.isfinite(values).all(axis=1)
    return answered
