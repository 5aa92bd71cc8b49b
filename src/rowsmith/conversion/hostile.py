"""Hostile rows: what a schema can be asked that no table shows, to compare two forms of a model on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from rowsmith.conform import Conformer
from rowsmith.conform.series import DTYPES, EPOCH
from rowsmith.model import TrainedModel
from rowsmith.schema import Column, Policies, Schema
from rowsmith.types import ColumnKind

ROWS = 2000
STRANGE_NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, -1e-45, 1e-300, 2.0**24 + 1, 2.0**53 + 2, 3.4e38, 3.5e38, -3.5e38, 1e300, -1e300,
    float("inf"), float("-inf"),
)  # fmt: skip
STRANGE_TEXTS = ("", "never seen before", "0", "NaN", "None", "ÄÖÜ ß 漢字 🙂", "a" * 300, "true", "'; --", "\t")
STRANGE_DATES = (
    datetime(1, 1, 1),
    datetime(1582, 10, 15, 23, 59, 59, 999_999),
    datetime(1900, 2, 28),
    datetime(1969, 12, 31, 23, 59, 59, 500_000),
    datetime(1970, 1, 1),
    datetime(2000, 2, 29, 12, 30),
    datetime(2100, 3, 1),
    datetime(9999, 12, 31, 23, 59, 59),
)
ACCEPTING = Policies("accept", "accept", "accept", "accept", "accept", "accept")


def hostile_rows(model: TrainedModel, *, seed: int = 0) -> pl.DataFrame:
    """Conforming rows (see `Conformer`): each column's odd values by themselves, and all of them mixed at random.

    Odd are missing, unseen, infinite, huge and tiny values, levels in another case, dates at the ends of the calendar.
    """
    schema = replace(model.schema, policies=ACCEPTING)
    rng = np.random.default_rng(seed)
    pools = {column.name: _values(column, rng) for column in schema.features}
    drawn = {name: [pool[i] for i in rng.integers(0, len(pool), ROWS)] for name, pool in pools.items()}
    for number, (name, pool) in enumerate(pools.items()):
        # Its own odd values one after another, above rows that are plain otherwise.
        for place, value in enumerate(pool[: ROWS // (2 * len(pools))]):
            row = number * (ROWS // (2 * len(pools))) + place
            for other, others in pools.items():
                drawn[other][row] = value if other == name else others[-1]
    return conforming(schema, drawn)


def conforming(schema: Schema, columns: dict[str, list[Any]]) -> pl.DataFrame:
    """Values by column as rows that a model's encoder takes."""
    frame = pl.DataFrame(
        [pl.Series(c.name, columns[c.name], dtype=DTYPES[c.kind], strict=False) for c in schema.features]
    )
    return Conformer(schema).frame(frame).frame


def _values(column: Column, rng: np.random.Generator) -> list[Any]:
    """The odd ones first, a plain one last."""
    if column.kind is ColumnKind.BOOLEAN:
        return [None, True, False]
    if column.kind in (ColumnKind.CATEGORY, ColumnKind.TEXT):
        known = list(column.categories[:50])
        return [None, *STRANGE_TEXTS, *(text.swapcase() for text in known[:10]), *known, str(column.typical or "a")]
    if column.kind is ColumnKind.DATETIME:
        return [None, *STRANGE_DATES, *_dates(column, rng)]
    low = column.minimum if column.minimum is not None else 0.0
    high = column.maximum if column.maximum is not None else 1.0
    ends = [low, high, np.nextafter(low, -np.inf), np.nextafter(high, np.inf), float(np.float32(low))]
    near = rng.uniform(low - (high - low) / 2, high + (high - low) / 2, 100)
    if column.kind is ColumnKind.INTEGER:
        near = np.round(near)
    return [None, *STRANGE_NUMBERS, *map(float, ends), *map(float, near)]


def _dates(column: Column, rng: np.random.Generator) -> list[datetime]:
    """Within three years of those of training, and within the calendar."""
    low, high = column.minimum or 0.0, column.maximum or 1e9
    moments = np.clip(rng.uniform(low - 1e8, high + 1e8, 50), -62e9, 253e9)
    return [EPOCH + timedelta(seconds=float(moment)) for moment in moments]
