"""Slices: where in the data the model is worse than it is overall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from rowsmith.evaluation.intervals import plain
from rowsmith.evaluation.segments import Segment, score_with_error, segments_of
from rowsmith.evaluation.testset import TestSet
from rowsmith.types import JsonObject

MIN_ROWS = 30
MAX_COLUMNS = 30
FALSE_DISCOVERIES = 0.05


def slice_scores(test: TestSet, columns: Sequence[str]) -> list[JsonObject]:
    """The main score by level and by decile of the columns named.

    `flagged` slices are worse than all rows together beyond chance: a one-sided z-test on the bootstrap standard
    error, and of all slices tested at most 5 % of those flagged are expected to be false alarms (Benjamini and
    Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x). Slices under 30 rows are listed without a score.
    """
    overall = test.score(test.metric)
    found: list[JsonObject] = []
    for name in columns:
        column = test.model.schema[name]
        segments = segments_of(test.conforming[name], column)
        if len(segments) > 1:
            found += [_slice(test, name, segment, overall) for segment in segments]
    for item, flagged in zip(found, discoveries([item["p_value"] for item in found]), strict=True):
        item["flagged"] = flagged
    return found


def _slice(test: TestSet, column: str, segment: Segment, overall: float) -> JsonObject:
    enough = len(segment.rows) >= MIN_ROWS
    value, error = score_with_error(test, test.metric, segment.rows) if enough else (math.nan, math.nan)
    return {
        "column": column,
        "label": segment.label,
        "low": segment.low,
        "high": segment.high,
        "rows": len(segment.rows),
        "score": plain(value),
        "standard_error": plain(error),
        "p_value": plain(_p_value(test.metric.error(value) - test.metric.error(overall), error)),
    }


def _p_value(worse_by: float, error: float) -> float:
    """The chance of being so much worse, or more, by luck."""
    if not (math.isfinite(worse_by) and error > 0):
        return math.nan
    return NormalDist().cdf(-worse_by / error)


def discoveries(p_values: Sequence[float | None], level: float = FALSE_DISCOVERIES) -> list[bool]:
    """Which tests stand out when all are looked at together (Benjamini and Hochberg); None never does."""
    tested = np.array([math.inf if p is None else p for p in p_values])
    known = np.sort(tested[np.isfinite(tested)])
    passing = known[known <= level * np.arange(1, len(known) + 1) / max(len(known), 1)]
    limit = passing[-1] if len(passing) else -1.0
    return [bool(p <= limit) for p in tested]
