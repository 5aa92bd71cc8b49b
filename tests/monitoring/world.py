"""A table with every kind of column, and answers to it from a model that knows the truth's probabilities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from rowsmith.conform import Conformer, encode_target
from rowsmith.monitoring.reference import Reference, build_reference
from rowsmith.schema import Column, Policies, Schema
from rowsmith.types import Array, ColumnKind, Metric, Role, Task

LENIENT = Policies("accept", "accept", "accept", "accept", "accept", "accept")
CITIES = ("Bergen", "Oslo", "Tromsø", "Voss")
WORDS = ("late", "early", "train", "bus", "fine", "again", "never", "always")
START = datetime(2024, 1, 1)


@dataclass(frozen=True)
class World:
    """Where rows come from. `shift` moves the feature `load`, and with it the chance of the event."""

    schema: Schema
    seed: int = 0
    shift: float = 0.0

    def rows(self, count: int, *, seed: int = 0, start: datetime = START, days: int = 10) -> pl.DataFrame:
        rng = np.random.default_rng([self.seed, seed])
        load = rng.normal(size=count) + self.shift
        table = pl.DataFrame(
            {
                "load": load,
                "doors": rng.integers(1, 6, count),
                "city": pl.Series(rng.choice(CITIES, count, p=[0.4, 0.3, 0.2, 0.1])),
                "night": rng.random(count) < 0.3,
                "note": pl.Series([" ".join(rng.choice(WORDS, 6)) for _ in range(count)]),
                "when": pl.Series([start + timedelta(days=float(day)) for day in rng.random(count) * days]),
            }
        )
        if self.schema.task is Task.REGRESSION:
            return table.with_columns(outcome=pl.Series(10 + 3 * load + rng.normal(size=count) * (1 + np.abs(load))))
        event = rng.random(count) < chance(load)
        return table.with_columns(outcome=pl.Series(np.where(event, "yes", "no")))

    def answers(self, table: pl.DataFrame) -> pl.DataFrame:
        load = table["load"].cast(pl.Float64).fill_null(0.0).to_numpy()
        if self.schema.task is Task.REGRESSION:
            return pl.DataFrame({"prediction": 10 + 3 * load})
        probability = chance(load)
        said = pl.Series(np.where(probability >= 0.5, "yes", "no"))
        return pl.DataFrame({"prediction": said, "probability_no": 1 - probability, "probability_yes": probability})

    def conforming(self, table: pl.DataFrame) -> pl.DataFrame:
        return Conformer(self.schema).frame(table).frame

    def truth(self, table: pl.DataFrame) -> Array:
        return encode_target(table["outcome"], self.schema)

    def reference(self, count: int = 4000, *, seed: int = 99, metrics: tuple[Metric, ...] = ()) -> Reference:
        table = self.rows(count, seed=seed)
        answers, truth = self.answers(table), self.truth(table)
        return build_reference(self.conforming(table), answers, self.schema, truth=truth, metrics=metrics)

    def shifted(self, by: float) -> World:
        return replace(self, shift=by)


def chance(load: Array) -> Array:
    probability: Array = 1 / (1 + np.exp(-2 * load))
    return probability


def schema_of(task: Task, labels: tuple[str, ...]) -> Schema:
    kind = ColumnKind.CATEGORY if labels else ColumnKind.NUMBER
    columns = (
        Column("load", ColumnKind.NUMBER),
        Column("doors", ColumnKind.INTEGER, minimum=1, maximum=5),
        Column("city", ColumnKind.CATEGORY, categories=CITIES, level_count=len(CITIES)),
        Column("night", ColumnKind.BOOLEAN),
        Column("note", ColumnKind.TEXT),
        Column("when", ColumnKind.DATETIME, (Role.TIME,)),
        Column("outcome", kind, (Role.TARGET,), categories=labels, level_count=len(labels)),
    )
    return Schema(columns, task, labels, LENIENT)
