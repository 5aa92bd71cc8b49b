"""Partial dependence: what the model answers on average when one column is set to one value in every row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from rowsmith.evaluation.importance import columns_of_features
from rowsmith.evaluation.segments import EPOCH, as_numbers, show_number
from rowsmith.evaluation.testset import TestSet
from rowsmith.schema import NUMERIC_KINDS, Column
from rowsmith.types import Array, ColumnKind, JsonObject

COLUMNS = 6
POINTS = 13
LEVELS = 8
MAX_ROWS = 500
MIN_ROWS = 50


def partial_dependence(test: TestSet, columns: Sequence[str], *, deadline: float | None = None) -> list[JsonObject]:
    """The mean answer along each column: numbers and dates over a grid of quantiles, categories by level.

    `points` have a `label`, the `value` (numbers, seconds since 1970, or None), the `share` of rows near it, and
    `answers`: the mean probability of each class, or the mean number. Text has no grid and is left out. Source:
    Friedman 2001, doi:10.1214/aos/1013203451. It shows what the model does, not what the world does: combinations
    that never occur are averaged too.
    """
    described = [test.model.schema[name] for name in columns if test.model.schema[name].kind is not ColumnKind.TEXT]
    rows = _sample(test, len(described), deadline)
    found: list[JsonObject] = []
    for column in described:
        if len(rows) == 0 or (deadline is not None and time.monotonic() > deadline):
            break
        points = _along(test, column, test.matrix[rows])
        if len(points) > 1:
            found.append({"column": column.name, "kind": column.kind.value, "rows": len(rows), "points": points})
    return found


def _sample(test: TestSet, columns: int, deadline: float | None) -> Array:
    size = MAX_ROWS
    if deadline is not None and test.seconds_per_row > 0:
        affordable = (deadline - time.monotonic()) / (test.seconds_per_row * POINTS * max(columns, 1))
        size = int(np.clip(affordable, MIN_ROWS, MAX_ROWS))
    random = np.random.default_rng([test.seed, 4])
    return np.arange(test.rows) if test.rows <= size else np.sort(random.choice(test.rows, size, replace=False))


def _along(test: TestSet, column: Column, matrix: Array) -> list[JsonObject]:
    grid = _grid(test, column)
    if len(grid) < 2:
        return []
    positions = columns_of_features(test.model.encoder.features).get(column.name)
    if positions is None:
        return []
    # A column is encoded from its own values alone, so one encoded row gives them for every row.
    row = {name: values[0] for name, values in test.conforming[:1].to_dict(as_series=False).items()}
    stacked = np.tile(matrix, (len(grid), 1))
    for place, (_, value, _) in enumerate(grid):
        vector = test.model.encoder.encode_row({**row, column.name: value})
        stacked[place * len(matrix) : (place + 1) * len(matrix), positions] = vector[positions]
    answers = test.model.scores(stacked).reshape(len(grid), len(matrix), -1).mean(axis=1)
    return [
        {"label": label, "value": _as_json(value, column), "share": share, "answers": answers[place].tolist()}
        for place, (label, value, share) in enumerate(grid)
    ]


def _as_json(value: Any, column: Column) -> float | None:
    if isinstance(value, float):
        return value
    return (value.replace(tzinfo=EPOCH.tzinfo) - EPOCH).total_seconds() if column.kind is ColumnKind.DATETIME else None


def _grid(test: TestSet, column: Column) -> list[tuple[str, Any, float]]:
    """Label, value of a conforming row, and share of the rows."""
    values = test.conforming[column.name]
    if column.kind in NUMERIC_KINDS or column.kind is ColumnKind.DATETIME:
        return _quantile_grid(as_numbers(values), column)
    counts = values.rename("level").drop_nulls().value_counts(sort=True).rows()
    levels = sorted(counts, key=lambda pair: (-pair[1], str(pair[0])))[:LEVELS]
    shown = {True: "true", False: "false"} if column.kind is ColumnKind.BOOLEAN else {}
    return [(shown.get(level, str(level)), level, count / len(values)) for level, count in levels]


def _quantile_grid(numbers: Array, column: Column) -> list[tuple[str, Any, float]]:
    known = numbers[np.isfinite(numbers)]
    if len(known) == 0:
        return []
    # The outermost hundredths are left out: the model saw next to nothing there.
    grid = np.unique(np.quantile(known, np.linspace(0.01, 0.99, POINTS), method="nearest"))
    if len(grid) < POINTS / 2:
        # One value is so frequent that it fills the quantiles: the other values count once each.
        spread = np.quantile(np.unique(known), np.linspace(0.01, 0.99, POINTS - 1), method="nearest")
        grid = np.unique(np.append(spread, grid))
    edges = (grid[1:] + grid[:-1]) / 2
    shares = np.bincount(np.searchsorted(edges, known), minlength=len(grid)) / len(numbers)
    is_date = column.kind is ColumnKind.DATETIME
    return [
        (
            show_number(float(value), column.kind),
            (EPOCH + timedelta(seconds=float(value))).replace(tzinfo=None) if is_date else float(value),
            float(share),
        )
        for value, share in zip(grid, shares, strict=True)
    ]
