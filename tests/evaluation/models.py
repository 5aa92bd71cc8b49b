"""Small real models for the tests: learners that satisfy the protocols without any training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from rowsmith.conform import encode_target
from rowsmith.model import Member, TrainedModel
from rowsmith.recipe import Recipe
from rowsmith.schema import Column, Schema
from rowsmith.state import State
from rowsmith.types import Array, ColumnKind, Feature, Interval, Matrix, Role, Scores2D, Task, Vector

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class PlainEncoder:
    """Numbers and booleans as they are, dates as days, categories as codes from 1 (0 is other), missing as NaN."""

    schema: Schema

    @property
    def features(self) -> tuple[Feature, ...]:
        return tuple(
            Feature(column.name, column.name, len(column.categories) + 1 if column.categories else 0)
            for column in self.schema.features
        )

    def encode(self, frame: pl.DataFrame) -> Matrix:
        rows = [self.encode_row(row) for row in frame.iter_rows(named=True)]
        return np.array(rows, dtype=np.float32).reshape(frame.height, len(self.features))

    def encode_row(self, row: Mapping[str, Any]) -> Matrix:
        return np.array([self._value(column, row[column.name]) for column in self.schema.features], dtype=np.float32)

    @staticmethod
    def _value(column: Column, value: Any) -> float:
        if value is None:
            return float("nan")
        if column.kind is ColumnKind.CATEGORY:
            return column.categories.index(value) + 1 if value in column.categories else 0
        if column.kind is ColumnKind.DATETIME:
            return float(value.timestamp() / 86400)
        return float(len(value)) if column.kind is ColumnKind.TEXT else float(value)

    def to_state(self) -> State:
        return State("plain_encoder")


@dataclass(frozen=True)
class Formula:
    """Softmax, or the plain sum, of a linear form of the features (a missing one counts as 0)."""

    family: ClassVar[str] = "formula"
    weights: Array
    classes: int

    def predict(self, matrix: Matrix) -> Scores2D:
        values = np.nan_to_num(matrix.astype(np.float64)) @ self.weights
        if self.classes == 0:
            return values
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        probabilities: Scores2D = powers / powers.sum(axis=1, keepdims=True)
        return probabilities

    @property
    def row_us(self) -> float:
        return 1.0

    def predict_row(self, vector: Matrix) -> Vector:
        row: Vector = self.predict(vector[None, :])[0]
        return row

    def to_state(self) -> State:
        return State("formula")


@dataclass(frozen=True)
class World:
    """A model, rows that it has not seen, and the truth about them."""

    model: TrainedModel
    frame: pl.DataFrame
    target: Array
    baselines: dict[str, Scores2D]


def table(rows: int, seed: int = 0) -> pl.DataFrame:
    """`x` matters most, then `colour`; `noise` is nothing; `sex` and `age` are people's."""
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    days = random.integers(0, 700, rows)
    return pl.DataFrame(
        {
            "x": pl.Series(x).set(pl.Series(random.random(rows) < 0.05), None),
            "colour": random.choice(COLOURS, rows, p=[0.5, 0.3, 0.2]),
            "noise": random.normal(size=rows),
            "old": random.random(rows) < 0.4,
            "seen": pl.Series(days).cast(pl.Int64) * 86_400_000_000,
            "sex": random.choice(["female", "male"], rows),
            "age": random.integers(18, 90, rows).astype(np.float64),
            "patient": random.integers(0, max(rows // 5, 1), rows),
        }
    ).with_columns(pl.col("seen").cast(pl.Datetime("us")))


def world(task: Task, rows: int = 600, seed: int = 0, *, grouped: bool = False, sensitive: bool = True) -> World:
    """A model whose formula is nearly that of the truth."""
    frame = table(rows, seed)
    weights = _weights(task)
    schema = _schema(task, grouped, sensitive)
    encoder = PlainEncoder(schema)
    random = np.random.default_rng(seed + 1)
    classes = weights.shape[1] if task is not Task.REGRESSION else 0
    names = [column.name for column in schema.features]
    truth = Formula(weights, classes).predict(encoder.encode(frame.select(names)))
    if classes:
        drawn = (truth.cumsum(axis=1) < random.random(rows)[:, None]).sum(axis=1)
        labels = np.array(schema.labels)[np.minimum(drawn, classes - 1)]
        frame = frame.with_columns(pl.Series("y", labels.tolist(), dtype=pl.String))
    else:
        frame = frame.with_columns(pl.Series("y", truth[:, 0] + random.normal(size=rows)))
    target = encode_target(frame["y"], schema)
    members = (Member(0.5, Formula(weights, classes)), Member(0.5, Formula(weights * 0.8, classes)))
    recipe = Recipe.from_dict({"target": {"column": "y"}})
    interval = Interval(-1.7, 1.7) if task is Task.REGRESSION else None
    model = TrainedModel(schema, recipe, task, encoder, members, threshold=0.4, interval_width=interval)
    return World(model, frame, target, _baselines(target, classes, frame))


def _weights(task: Task) -> Array:
    """By feature (x, colour, noise, old, seen, sex, age) and class."""
    form = np.array([2.0, -0.7, 0.0, 0.5, 0.0, 0.0, 0.01])
    if task is Task.REGRESSION:
        return form[:, None]
    if task is Task.BINARY:
        return np.column_stack([np.zeros(7), form])
    return np.column_stack([np.zeros(7), form, -form])


def _schema(task: Task, grouped: bool, sensitive: bool) -> Schema:
    roles = (Role.SENSITIVE,) if sensitive else ()
    labels = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}[task]
    target_kind = ColumnKind.NUMBER if task is Task.REGRESSION else ColumnKind.CATEGORY
    return Schema(
        (
            Column("x", ColumnKind.NUMBER, missing=0.05, minimum=-9, maximum=9, typical=0.0),
            Column("colour", ColumnKind.CATEGORY, categories=COLOURS, level_count=3, typical="red"),
            Column("noise", ColumnKind.NUMBER, minimum=-9, maximum=9, typical=0.0),
            Column("old", ColumnKind.BOOLEAN, typical=False),
            Column("seen", ColumnKind.DATETIME, minimum=0, maximum=1e9),
            Column("sex", ColumnKind.CATEGORY, roles, categories=("female", "male"), level_count=2, typical="male"),
            Column("age", ColumnKind.INTEGER, roles, minimum=18, maximum=90, typical=50.0),
            Column("patient", ColumnKind.INTEGER, (Role.GROUP if grouped else Role.IGNORED,)),
            Column("y", target_kind, (Role.TARGET,), categories=labels, level_count=len(labels)),
        ),
        task,
        labels,
    )


def _baselines(target: Array, classes: int, frame: pl.DataFrame) -> dict[str, Scores2D]:
    rows = len(target)
    if not classes:
        mean = np.full((rows, 1), target.mean() if rows else 0.0)
        return {"dummy": mean, "linear": mean + frame["x"].fill_null(0.0).to_numpy()[:, None]}
    shares = np.bincount(target, minlength=classes) / max(rows, 1)
    dummy = np.tile(shares, (rows, 1))
    tilted = dummy * np.exp(np.outer(frame["x"].fill_null(0.0).to_numpy(), np.arange(classes) * 0.5))
    return {"dummy": dummy, "linear": tilted / tilted.sum(axis=1, keepdims=True)}
