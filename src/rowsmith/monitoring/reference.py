"""Reference: what the model's world looked like when it was tested. Small, plain, and kept with the version."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from rowsmith.conform import canonical_text
from rowsmith.errors import ArtifactError
from rowsmith.model import PREDICTION_COLUMN
from rowsmith.monitoring.answers import codes, predicted_for, probabilities, require_answers, values
from rowsmith.monitoring.estimate import Outlook, Plausible, Residuals, fit_residuals
from rowsmith.monitoring.resampling import Bootstrap, percentile_interval, score
from rowsmith.monitoring.sketch import MAX_EDGES, Sketch, level_sketch, ordered_sketch
from rowsmith.monitoring.views import Aspect, aspects_of, is_ordered, view, vocabulary
from rowsmith.schema import Column, Schema
from rowsmith.types import Array, ColumnKind, Interval, JsonObject, Metric, Score, Task

FORMAT = 1
MIN_EDGES = 20
ALL_EDGES = 8000
"""Edges over all features together: a table of many columns has coarser sketches, so that the file stays small."""
CALIBRATION_BINS = 10


@dataclass(frozen=True, slots=True)
class Watched:
    """One thing that is watched of one column: its sketch, and for a text the words that count as known.

    `column` is "prediction" for the model's answers.
    """

    column: str
    kind: ColumnKind
    aspect: Aspect
    sketch: Sketch
    words: tuple[str, ...] = ()

    def to_dict(self) -> JsonObject:
        item: JsonObject = {"column": self.column, "kind": self.kind.value, "aspect": self.aspect}
        if self.words:
            item["words"] = list(self.words)
        return {**item, "sketch": self.sketch.to_dict()}

    @classmethod
    def from_dict(cls, data: JsonObject) -> Watched:
        return cls(
            column=data["column"],
            kind=ColumnKind(data["kind"]),
            aspect=data["aspect"],
            sketch=Sketch.from_dict(data["sketch"]),
            words=tuple(data.get("words", ())),
        )


@dataclass(frozen=True, slots=True)
class ReferenceScore:
    """A score on the reference rows, and what the estimate without labels would have said there.

    `deviation` is the bootstrap's standard deviation of the value.
    """

    score: Score
    deviation: float
    estimated: float | None

    def to_dict(self) -> JsonObject:
        interval = self.score.interval
        return {
            "metric": self.score.metric,
            "value": self.score.value,
            "interval": [interval.low, interval.high] if interval else None,
            "rows": self.score.rows,
            "deviation": self.deviation,
            "estimated": self.estimated,
        }

    @classmethod
    def from_dict(cls, data: JsonObject) -> ReferenceScore:
        interval = Interval(*data["interval"]) if data["interval"] else None
        return cls(Score(data["metric"], data["value"], interval, data["rows"]), data["deviation"], data["estimated"])


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often the predicted label was true. Each bin: the mean probability it was given, the share true, rows."""

    bins: tuple[tuple[float, float, int], ...]

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al. 2015): the mean gap between the two, 0 to 1."""
        rows = sum(count for _, _, count in self.bins)
        return sum(abs(said - seen) * count for said, seen, count in self.bins) / rows if rows else 0.0


@dataclass(frozen=True, slots=True)
class Reference:
    """Sketches of the features, of the model's answers and of the target, and what scoring without labels needs."""

    rows: int
    task: Task
    features: tuple[Watched, ...]
    answers: tuple[Watched, ...]
    target: tuple[Watched, ...] = ()
    scores: tuple[ReferenceScore, ...] = ()
    calibration: Calibration | None = None
    residuals: Residuals | None = None

    def score(self, metric: str) -> ReferenceScore | None:
        return next((item for item in self.scores if item.score.metric == metric), None)

    def to_dict(self) -> JsonObject:
        return {
            "format": FORMAT,
            "rows": self.rows,
            "task": self.task.value,
            "features": [watched.to_dict() for watched in self.features],
            "answers": [watched.to_dict() for watched in self.answers],
            "target": [watched.to_dict() for watched in self.target],
            "scores": [item.to_dict() for item in self.scores],
            "calibration": [list(bin) for bin in self.calibration.bins] if self.calibration else None,
            "residuals": self.residuals.to_dict() if self.residuals else None,
        }

    @classmethod
    def from_dict(cls, data: JsonObject) -> Reference:
        """Raises ArtifactError for JSON that is no reference, or one of another format."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            received = data.get("format") if isinstance(data, dict) else type(data).__name__
            raise ArtifactError(
                "this monitoring reference has a format that this release does not know",
                received=f"format {received!r}",
                allowed=f"format {FORMAT}",
            )
        try:
            return cls._read(data)
        except (KeyError, TypeError, ValueError) as problem:
            raise ArtifactError(f"this monitoring reference is damaged: {problem!r}") from problem

    @classmethod
    def _read(cls, data: JsonObject) -> Reference:
        def watched(key: str) -> tuple[Watched, ...]:
            return tuple(Watched.from_dict(item) for item in data[key])

        bins = data["calibration"]
        return cls(
            rows=data["rows"],
            task=Task(data["task"]),
            features=watched("features"),
            answers=watched("answers"),
            target=watched("target"),
            scores=tuple(ReferenceScore.from_dict(item) for item in data["scores"]),
            calibration=Calibration(tuple((p, seen, count) for p, seen, count in bins)) if bins else None,
            residuals=Residuals.from_dict(data["residuals"]) if data["residuals"] else None,
        )


def build_reference(
    frame: pl.DataFrame,
    answers: pl.DataFrame,
    schema: Schema,
    *,
    truth: Array | None = None,
    metrics: Sequence[Metric] = (),
    seed: int = 0,
) -> Reference:
    """The reference of rows that the model did not learn from: the sealed test part, or out-of-fold answers.

    `frame` is a conforming frame, `answers` are the columns of `TrainedModel.answer_frame` for the same rows in the
    same order. `truth` holds class codes or numbers (see `encode_target`), shape (rows,); with it the reference knows
    the target's distribution, the scores of `metrics`, and what scores without labels are estimated from.
    Raises SchemaError for answers without the columns that the schema's task asks for.
    """
    if schema.task is None:
        raise ValueError("a reference needs a schema with a task")
    require_answers(answers, schema.labels)
    edges = max(MIN_EDGES, min(MAX_EDGES, ALL_EDGES // max(len(schema.features), 1)))
    features = tuple(
        watched for column in schema.features for watched in _watch_feature(column, frame[column.name], edges)
    )
    residuals = None
    if truth is not None and schema.task is Task.REGRESSION:
        residuals = fit_residuals(values(answers), np.asarray(truth, dtype=np.float64))
    scores: tuple[ReferenceScore, ...] = ()
    if truth is not None and len(truth):
        scores = tuple(_scores(metrics, answers, truth, schema, residuals, np.random.default_rng(seed)))
    return Reference(
        rows=frame.height,
        task=schema.task,
        features=features,
        answers=tuple(_watch(*item) for item in looks_at_answers(answers, schema)),
        target=() if truth is None else tuple(_watch(*item) for item in looks_at_target(truth, schema)),
        scores=scores,
        calibration=_calibration(answers, truth, schema) if truth is not None else None,
        residuals=residuals,
    )


Look = tuple[str, ColumnKind, Aspect, pl.Series, Sequence[str]]
"""Column, kind, aspect, values, and the levels that are known."""


def looks_at_answers(answers: pl.DataFrame, schema: Schema) -> list[Look]:
    """What is watched of the answers: the number, or the label and the probability of the event (or of the label)."""
    if schema.task is Task.REGRESSION:
        return [(PREDICTION_COLUMN, ColumnKind.NUMBER, "value", answers[PREDICTION_COLUMN].cast(pl.Float64), ())]
    chances = probabilities(answers, schema.labels)
    aspect: Aspect = "probability" if schema.task is Task.BINARY else "confidence"
    numbers = pl.Series(chances[:, 1] if schema.task is Task.BINARY else chances.max(axis=1)).fill_nan(None)
    return [
        (PREDICTION_COLUMN, ColumnKind.CATEGORY, "label", answers[PREDICTION_COLUMN].cast(pl.String), schema.labels),
        (PREDICTION_COLUMN, ColumnKind.NUMBER, aspect, numbers, ()),
    ]


def looks_at_target(truth: Array, schema: Schema) -> list[Look]:
    """The true answers as labels or numbers; -1 and NaN are missing."""
    target = schema.target
    name = target.name if target else "target"
    if schema.task is Task.REGRESSION:
        return [(name, ColumnKind.NUMBER, "value", pl.Series(truth).cast(pl.Float64).fill_nan(None), ())]
    texts = np.array([*schema.labels, None], dtype=object)[truth]
    return [(name, ColumnKind.CATEGORY, "label", pl.Series(texts.tolist(), dtype=pl.String), schema.labels)]


def known_levels(column: Column) -> tuple[str, ...]:
    """The levels that do not count as unseen, in the spelling of a conforming frame."""
    if column.kind is ColumnKind.BOOLEAN:
        return ("false", "true")
    return tuple(canonical_text(level) for level in column.categories)


def _watch_feature(column: Column, series: pl.Series, edges: int) -> list[Watched]:
    words = vocabulary(series) if column.kind is ColumnKind.TEXT else ()
    found: list[Watched] = []
    for aspect in aspects_of(column.kind):
        kept = words if aspect == "known_words" else ()
        looked = view(series, column.kind, aspect, kept)
        if aspect == "known_words":  # what is missing is already seen in the length
            looked = looked.drop_nulls()
        found.append(_watch(column.name, column.kind, aspect, looked, known_levels(column), words=kept, edges=edges))
    return found


def _watch(
    column: str,
    kind: ColumnKind,
    aspect: Aspect,
    series: pl.Series,
    known: Sequence[str],
    words: tuple[str, ...] = (),
    edges: int = MAX_EDGES,
) -> Watched:
    sketch = ordered_sketch(series, edges) if is_ordered(kind) else level_sketch(series, known)
    return Watched(column, kind, aspect, sketch, words)


def _scores(
    metrics: Sequence[Metric],
    answers: pl.DataFrame,
    truth: Array,
    schema: Schema,
    residuals: Residuals | None,
    rng: np.random.Generator,
) -> Iterator[ReferenceScore]:
    bootstrap = Bootstrap(len(truth), rng)
    plausible = plausible_truths(answers, schema, residuals)
    outlook = Outlook(plausible, rng) if plausible else None
    for metric in metrics:
        predicted = predicted_for(metric, answers, schema.labels)
        value = score(metric, truth, predicted)
        if not math.isfinite(value):
            continue
        deviations = bootstrap.deviations(metric, truth, predicted)
        estimated = outlook.expected(metric, predicted) if outlook else math.nan
        yield ReferenceScore(
            Score(metric.name, value, percentile_interval(value, deviations), len(truth)),
            deviation=float(deviations.std()) if len(deviations) else 0.0,
            estimated=estimated if math.isfinite(estimated) else None,
        )


def plausible_truths(answers: pl.DataFrame, schema: Schema, residuals: Residuals | None) -> Plausible | None:
    """None where nothing is known about the errors of a regression."""
    if schema.task is not Task.REGRESSION:
        return Plausible.of_classes(probabilities(answers, schema.labels))
    return Plausible.of_numbers(values(answers), residuals) if residuals else None


def _calibration(answers: pl.DataFrame, truth: Array, schema: Schema) -> Calibration | None:
    if schema.task is Task.REGRESSION or not len(truth):
        return None
    given = codes(answers[PREDICTION_COLUMN], schema.labels)
    said = np.take_along_axis(probabilities(answers, schema.labels), given[:, None], axis=1)[:, 0]
    right = given == truth
    order = np.array_split(np.argsort(said, kind="stable"), CALIBRATION_BINS)
    bins: list[Any] = [(float(said[rows].mean()), float(right[rows].mean()), len(rows)) for rows in order if len(rows)]
    return Calibration(tuple(bins))
