"""Evaluation: everything that is said about a model on the sealed test part, as plain data."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from rowsmith.evaluation.classification import classification_charts
from rowsmith.evaluation.dependence import COLUMNS, partial_dependence
from rowsmith.evaluation.explain import background
from rowsmith.evaluation.fairness import fairness_by_group
from rowsmith.evaluation.importance import permutation_importance
from rowsmith.evaluation.intervals import CONFIDENCE, Bootstrap, percentile_interval, plain, statistic
from rowsmith.evaluation.regression import regression_charts
from rowsmith.evaluation.slices import MAX_COLUMNS, slice_scores
from rowsmith.evaluation.summary import summarise
from rowsmith.evaluation.testset import TestSet
from rowsmith.model import TrainedModel
from rowsmith.types import (
    Array,
    Interval,
    JsonObject,
    Metric,
    OnProgress,
    Progress,
    Scores2D,
    Task,
    Vector,
    no_progress,
)

FORMAT = 1
MODEL = "model"
SECONDS = 4.0
IMPORTANCE_SHARE = 0.65
FEW_GROUPS = 10


@dataclass(frozen=True)
class Evaluation:
    """JSON through and through: a figure that is not defined is None, `from_dict` undoes `to_dict` exactly.

    - `metrics`: name, title and direction of every metric of the task; `metric` is the main one.
    - `scores`: system ("model", "dummy", "linear") to metric to `value`, `low`, `high`.
    - `against`: baseline to how much better the model is on the main metric (`improvement`, positive is better,
      with `low`, `high` and `worse_probability`, all over the same resamples).
    - `charts`: see classification.py and regression.py; `slices`, `importance`, `partial_dependence`, `fairness`:
      see the functions of those files.
    - `explain_background`: what an `Explainer` needs.
    - `notes`: what a reader should know about how the figures came about, as sentences.
    - `summary`: all of it in sentences (see summary.py).
    """

    task: str
    target: str
    labels: list[str]
    metric: str
    threshold: float
    rows: int
    weighted: bool
    confidence: float
    resamples: int
    seed: int
    metrics: list[JsonObject]
    scores: dict[str, dict[str, JsonObject]]
    against: dict[str, JsonObject]
    charts: JsonObject
    slices: list[JsonObject]
    importance: list[JsonObject]
    partial_dependence: list[JsonObject]
    fairness: list[JsonObject]
    explain_background: JsonObject
    notes: list[str]
    summary: JsonObject = field(default_factory=dict)

    def score_of(self, metric: str | None = None, system: str = MODEL) -> float:
        """A figure of the test part (the main one when none is named); NaN where it is not defined."""
        value = self.scores[system][metric or self.metric]["value"]
        return math.nan if value is None else float(value)

    def interval_of(self, metric: str | None = None, system: str = MODEL) -> Interval | None:
        item = self.scores[system][metric or self.metric]
        return None if item["low"] is None else Interval(item["low"], item["high"])

    def to_dict(self) -> JsonObject:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, data: JsonObject) -> Evaluation:
        return cls(**{key: value for key, value in data.items() if key != "format"})


def evaluate(
    model: TrainedModel,
    frame: pl.DataFrame,
    target: Array,
    metric: Metric,
    *,
    baselines: Mapping[str, Scores2D],
    weights: Vector | None = None,
    seed: int = 0,
    seconds: float | None = SECONDS,
    on_progress: OnProgress = no_progress,
) -> Evaluation:
    """Everything about the model on rows that it has not learned from.

    Args:
        frame: rows as they were read, with the schema's columns; it may be empty (no figure is defined then).
        target: class codes or numbers, shape (rows,).
        baselines: name to the scores of a simple model on the same rows.
        weights: how much a row counts in scores, curves and rates; shape (rows,).
        seconds: limit for importance and partial dependence, whose samples shrink to keep it. With None they take
            what they take, and the result depends on nothing but the arguments.

    Raises SchemaError for rows that do not conform, UsageError for lengths that differ.
    """
    on_progress(Progress("evaluate", "scoring the test rows", 0.0))
    test = TestSet.of(model, frame, target, metric, weights, seed)
    begin = time.monotonic()
    deadlines = (None, None) if seconds is None else (begin + IMPORTANCE_SHARE * seconds, begin + seconds)
    on_progress(Progress("evaluate", "what the model relies on", 0.1))
    importance = permutation_importance(test, deadline=deadlines[0]) if test.rows else []
    ranked = [item["column"] for item in importance]
    on_progress(Progress("evaluate", "how the answers depend on the columns", 0.4))
    dependence = partial_dependence(test, ranked[:COLUMNS], deadline=deadlines[1])
    on_progress(Progress("evaluate", "intervals", 0.6))
    bootstrap = test.bootstrap()
    scores, against = _scores(test, bootstrap, {MODEL: test.scores, **baselines})
    on_progress(Progress("evaluate", "slices and groups", 0.8))
    slices = slice_scores(test, ranked[:MAX_COLUMNS])
    fairness = fairness_by_group(test) if test.rows else []
    evaluation = Evaluation(
        task=model.task.value,
        target=model.schema.target.name if model.schema.target else "",
        labels=list(model.labels),
        metric=metric.name,
        threshold=model.threshold,
        rows=test.rows,
        weighted=weights is not None,
        confidence=CONFIDENCE,
        resamples=bootstrap.resamples,
        seed=seed,
        metrics=[_described(item) for item in test.metrics],
        scores=scores,
        against=against,
        charts=_charts(test),
        slices=slices,
        importance=importance,
        partial_dependence=dependence,
        fairness=fairness,
        explain_background=background(test, ranked),
        notes=_notes(test, bootstrap, importance),
    )
    on_progress(Progress("evaluate", "done", 1.0))
    return replace(evaluation, summary=summarise(evaluation.to_dict()))


def _described(metric: Metric) -> JsonObject:
    return {"name": metric.name, "title": metric.title, "greater_is_better": metric.greater_is_better}


def _charts(test: TestSet) -> JsonObject:
    if test.rows == 0:
        return {}
    return regression_charts(test) if test.model.task is Task.REGRESSION else classification_charts(test)


def _scores(
    test: TestSet, bootstrap: Bootstrap, systems: Mapping[str, Scores2D]
) -> tuple[dict[str, dict[str, JsonObject]], dict[str, JsonObject]]:
    """Every metric of every system, and the model against each other system, over the same resamples."""
    rows = bootstrap.rows
    pairs = [(system, metric) for system in systems for metric in test.metrics]
    asked = [
        statistic(metric, test.truth[rows], test.predicted(metric, systems[system][rows])) for system, metric in pairs
    ]
    values = {
        (system, metric.name): metric.function(test.truth, test.predicted(metric, systems[system]), test.weights)
        for system, metric in pairs
    }
    deviations = dict(zip(values, bootstrap.ask(asked).T, strict=True))
    scores: dict[str, dict[str, JsonObject]] = {system: {} for system in systems}
    for (system, name), value in values.items():
        interval = percentile_interval(value, deviations[system, name])
        scores[system][name] = {"value": plain(value), **_ends(interval)}
    main = test.metric.name
    against = {
        system: _improvement(
            test.metric.error(values[system, main]) - test.metric.error(values[MODEL, main]),
            test.metric.error(1.0) * (deviations[system, main] - deviations[MODEL, main]),
        )
        for system in systems
        if system != MODEL
    }
    return scores, against


def _improvement(value: float, deviations: Vector) -> JsonObject:
    defined = deviations[np.isfinite(deviations)]
    worse = float(np.mean(value + defined < 0)) if len(defined) and math.isfinite(value) else math.nan
    return {
        "improvement": plain(value),
        **_ends(percentile_interval(value, deviations)),
        "worse_probability": plain(worse),
    }


def _ends(interval: Interval | None) -> dict[str, Any]:
    return {"low": interval.low if interval else None, "high": interval.high if interval else None}


def _notes(test: TestSet, bootstrap: Bootstrap, importance: list[JsonObject]) -> list[str]:
    if test.rows == 0:
        return ["No rows were sealed for a test, so nothing is known about how good the model is."]
    notes: list[str] = []
    if bootstrap.scale < 1:
        notes.append(f"Intervals were computed on {len(bootstrap.rows):,} of the {test.rows:,} test rows and scaled.")
    if test.groups is not None:
        count = len(np.unique(test.groups))
        notes.append("Intervals draw whole groups of rows, so rows of one group do not count as independent.")
        if count < FEW_GROUPS:
            notes.append(f"The test part has only {count} groups: the intervals are rough.")
    if test.weights is not None:
        notes.append("Scores, curves and rates count each row by its weight; tables of counts count rows.")
    missed = sum(item["drop"] is None for item in importance)
    if missed:
        notes.append(f"Time ran out before the importance of {missed} of {len(importance)} columns was measured.")
    return notes
