"""A small made table with every kind of column, and its schema."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from rowsmith.schema import Column, Parsing, Policies, Schema
from rowsmith.types import ColumnKind

TITLES = ("Senior", "Junior", "Chief", "Deputy", "Assistant")
TRADES = ("bus driver", "Police Officer", "data clerk", "nurse", "garden keeper")
PLACES = ("north", "south", "downtown", "Köln", "東京")
START = datetime(2015, 1, 1)
LENIENT = Policies("accept", "accept", "accept", "accept", "accept", "accept")
SCHEMA = Schema(
    (
        Column("amount", ColumnKind.NUMBER, missing=0.1, minimum=-50, maximum=50, parsing=Parsing(thousands=",")),
        Column("ticks", ColumnKind.INTEGER, missing=0.1),
        Column("member", ColumnKind.BOOLEAN, missing=0.1),
        Column("colour", ColumnKind.CATEGORY, missing=0.1, categories=("red", "green", "blue"), level_count=3),
        Column("job", ColumnKind.CATEGORY, missing=0.1, level_count=300),
        Column("tail", ColumnKind.CATEGORY, missing=0.1, level_count=90),
        Column("hired", ColumnKind.DATETIME, missing=0.1, parsing=Parsing(date_format="%d.%m.%Y")),
        Column("remark", ColumnKind.TEXT, missing=0.1),
        Column("fixed", ColumnKind.NUMBER),
    ),
    policies=LENIENT,
)


def make_table(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """A conforming frame."""
    draw = np.random.default_rng(seed)

    def some(values: Sequence[object]) -> list[object]:
        return [None if draw.random() < 0.1 else value for value in values]

    jobs = [f"{draw.choice(TITLES)} {draw.choice(TRADES)} {draw.choice(PLACES)}" for _ in range(rows)]
    remarks = [" ".join(draw.choice(TITLES + TRADES + PLACES, size=6)) + "!" * draw.integers(3) for _ in range(rows)]
    return pl.DataFrame(
        {
            "amount": pl.Series(some(draw.normal(0, 10, rows).tolist()), dtype=pl.Float64),
            "ticks": pl.Series(some((1.6e9 + draw.integers(0, 9000, rows)).tolist()), dtype=pl.Float64),
            "member": pl.Series(some((draw.random(rows) < 0.3).tolist()), dtype=pl.Boolean),
            "colour": pl.Series(
                some(draw.choice(["red", "green", "blue"], rows, p=[0.6, 0.3, 0.1]).tolist()), dtype=pl.String
            ),
            "job": pl.Series(some(jobs), dtype=pl.String),
            "tail": pl.Series(some([f"N{n}" for n in draw.integers(0, 90, rows)]), dtype=pl.String),
            "hired": pl.Series(
                some([START + timedelta(minutes=int(m)) for m in draw.integers(0, 10**6, rows)]),
                dtype=pl.Datetime("us"),
            ),
            "remark": pl.Series(some(remarks), dtype=pl.String),
            "fixed": pl.Series([1.0] * rows, dtype=pl.Float64),
        }
    )
