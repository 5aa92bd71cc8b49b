"""Permutation importance: how much the score suffers when the values of one column are shuffled among the rows."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

from rowsmith.evaluation.intervals import plain
from rowsmith.evaluation.testset import TestSet
from rowsmith.types import Array, Feature, JsonObject, Rows

MAX_ROWS = 2_000
MIN_ROWS = 200
REPEATS = 5
CALL_ROWS = 4_096


def permutation_importance(test: TestSet, *, deadline: float | None = None) -> list[JsonObject]:
    """The drop of the main score per source column, most important first.

    The encoded features of a column are shuffled together, 5 times, each time on a new sample of at most 2,000
    rows. `drop` is the mean (positive: the model needs the column), `standard_deviation` its spread over the
    repeats. With a deadline (on the clock of `time.monotonic`) samples shrink and repeats are left out until it
    is kept; a column that was never reached has no drop. Source: Fisher, Rudin and Dominici 2019,
    arXiv:1801.01489 (model reliance); Breiman 2001, doi:10.1023/A:1010933404324.
    """
    random = np.random.default_rng([test.seed, 3])
    columns = columns_of_features(test.model.encoder.features)
    size = _sample_size(test, len(columns), deadline)
    drops: dict[str, list[float]] = {name: [] for name in columns}
    names = list(columns)
    # Several columns share a call of the model, since a call has a price of its own.
    together = max(CALL_ROWS // max(size, 1), 1)
    for _ in range(REPEATS):
        rows = np.arange(test.rows) if size == test.rows else np.sort(random.choice(test.rows, size, replace=False))
        whole = test.metric.error(test.score(test.metric, rows))
        for first in range(0, len(names), together):
            if deadline is not None and time.monotonic() > deadline:
                return _summary(drops, size)
            some = names[first : first + together]
            errors = _errors_without(test, rows, [columns[name] for name in some], random)
            for name, error in zip(some, errors, strict=True):
                drops[name].append(error - whole)
    return _summary(drops, size)


def _errors_without(test: TestSet, rows: Rows, shuffled: Sequence[Array], random: np.random.Generator) -> list[float]:
    """The main error on the rows with each set of features shuffled in its turn."""
    matrix = test.matrix[rows]
    stacked = np.tile(matrix, (len(shuffled), 1))
    parts = stacked.reshape(len(shuffled), len(rows), -1)
    for part, positions in zip(parts, shuffled, strict=True):
        part[:, positions] = matrix[random.permutation(len(rows))][:, positions]
    answers = test.model.scores(stacked).reshape(len(shuffled), len(rows), -1)
    weights = None if test.weights is None else test.weights[rows]
    truth, metric = test.truth[rows], test.metric
    return [metric.error(metric.function(truth, test.predicted(metric, scores), weights)) for scores in answers]


def columns_of_features(features: Sequence[Feature]) -> dict[str, Array]:
    """Positions in the encoded matrix, by source column."""
    found: dict[str, list[int]] = {}
    for position, feature in enumerate(features):
        found.setdefault(feature.source, []).append(position)
    return {name: np.array(positions) for name, positions in found.items()}


def _sample_size(test: TestSet, columns: int, deadline: float | None) -> int:
    """As many rows as the time allows for all repeats, between 200 and 2,000."""
    size = MAX_ROWS
    if deadline is not None and test.seconds_per_row > 0:
        affordable = (deadline - time.monotonic()) / (test.seconds_per_row * REPEATS * max(columns, 1))
        size = int(np.clip(affordable, MIN_ROWS, MAX_ROWS))
    return min(size, test.rows)


def _summary(drops: dict[str, list[float]], rows: int) -> list[JsonObject]:
    items: list[JsonObject] = [
        {
            "column": name,
            "drop": plain(float(np.mean(values))) if values else None,
            "standard_deviation": plain(float(np.std(values, ddof=1))) if len(values) > 1 else None,
            "repeats": len(values),
            "rows": rows,
        }
        for name, values in drops.items()
    ]
    return sorted(items, key=lambda item: -math.inf if item["drop"] is None else item["drop"], reverse=True)
