"""Fairness: the same figures for each group of a sensitive column, and how far apart the groups are.

The rates of groups come from fairlearn's `MetricFrame`. A group under 30 rows is listed and marked, but it takes
no part in differences and ratios, where a handful of rows would decide; nor does a rate of under 30 rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from rowsmith.conform import Conformer
from rowsmith.evaluation.intervals import effective_rows, plain, wilson
from rowsmith.evaluation.segments import Segment, score_with_error, segments_of
from rowsmith.evaluation.testset import TestSet
from rowsmith.schema import NUMERIC_KINDS, Column, Policies, Schema
from rowsmith.types import Array, ColumnKind, Interval, JsonObject, Role, Rows, Task, Vector

MIN_ROWS = 30
MAX_GROUPS = 20
BINS = 4
Z = 1.959964
GROUPED_AS_THEY_ARE = NUMERIC_KINDS | {ColumnKind.DATETIME, ColumnKind.BOOLEAN, ColumnKind.CATEGORY}

LENIENT = Policies("accept", "accept", "accept", "accept", "accept", "accept")

MEANINGS: Mapping[str, str] = {
    "score": "How far the main score of the best-served group is from that of the worst-served one.",
    "demographic_parity": "How much more often one group is answered with the event than another. A difference of 0, "
    "or a ratio of 1, means equally often. Whether it should be equal is a question about the world, not the model.",
    "equal_opportunity": "Among those to whom the event really happens: how much more often it is found in one group "
    "than in another (true positive rate).",
    "equalized_odds": "The larger of two gaps: in how often the event is found where it happens (true positive rate), "
    "and in how often it is announced where it does not (false positive rate). 0 means that errors fall alike.",
    "accuracy": "How much more often one group is answered rightly than another.",
    "mean_error": "How far apart the groups are in the mean of true minus predicted: the model answers too low for "
    "the one, compared with the other.",
    "mean_absolute_error": "How much farther off the answers for one group are than for another.",
}
"""What each gap says, in a sentence or two."""

BASES = {"true_positive_rate": 1, "false_positive_rate": 0}
"""Rates that are shares of the rows whose true class is this one."""
MEANS = frozenset({"mean_error", "mean_absolute_error"})

Rate = Callable[..., float]


def fairness_by_group(test: TestSet) -> list[JsonObject]:
    """For every column with the role `sensitive`: figures by group, and the gaps between the groups.

    Numbers and dates are cut into quarters, of levels the 20 most frequent stand alone. A group has its `label`,
    `rows`, whether it is `small`, the main `score` and `figures`, each with an interval. A gap has a
    `difference` (largest minus smallest), a `ratio` (smallest to largest) and the groups at its two ends.
    """
    columns = [column for column in test.model.schema.with_role(Role.SENSITIVE) if column.name in test.frame.columns]
    return [item for column in columns if (item := _of_column(test, column)) is not None]


def _of_column(test: TestSet, column: Column) -> JsonObject | None:
    column = column if column.kind in GROUPED_AS_THEY_ARE else replace(column, kind=ColumnKind.CATEGORY)
    segments = segments_of(_values(test, column), column, bins=BINS, max_levels=MAX_GROUPS)
    if len(segments) < 2:
        return None
    groups = [_group(test, segment) for segment in segments]
    codes = np.zeros(test.rows, dtype=np.int64)
    for code, segment in enumerate(segments):
        codes[segment.rows] = code
    for name, by_group in _rates(test, codes).items():
        for code, segment in enumerate(segments):
            groups[code]["figures"][name] = _with_interval(test, name, by_group.get(code, math.nan), segment)
    return {
        "column": column.name,
        "binned": any(segment.low is not None for segment in segments),
        "groups": groups,
        "gaps": _gaps(test, groups),
        "min_rows": MIN_ROWS,
    }


def _values(test: TestSet, column: Column) -> pl.Series:
    """As the model sees it; a column that the model does not see is brought into shape on its own."""
    if column.name in test.conforming.columns:
        return test.conforming[column.name]
    alone = Schema((replace(column, roles=()),), policies=LENIENT)
    return Conformer(alone).frame(test.frame.select(column.name)).frame[column.name]


def _group(test: TestSet, segment: Segment) -> JsonObject:
    small = len(segment.rows) < MIN_ROWS
    value, error = (math.nan, math.nan) if small else score_with_error(test, test.metric, segment.rows)
    return {
        "label": segment.label,
        "rows": len(segment.rows),
        "small": small,
        "score": {"value": plain(value), "low": plain(value - Z * error), "high": plain(value + Z * error)},
        "figures": {},
    }


def _rates(test: TestSet, codes: Array) -> dict[str, dict[int, float]]:
    """Name of a rate to its value by group code; a group without weight has none."""
    from fairlearn.metrics import MetricFrame

    rates = _rates_of(test.model.task)
    weights = np.ones(test.rows) if test.weights is None else test.weights
    predicted = test.scores[:, 0] if test.model.task is Task.REGRESSION else test.chosen
    columns = (codes, test.truth, predicted, weights)
    if test.model.task is not Task.REGRESSION:
        columns = _cells(*columns)
    codes, truth, predicted, weights = (column[columns[3] > 0] for column in columns)
    if len(codes) == 0:
        return {name: {} for name in rates}
    params = {name: {"sample_weight": weights} for name in rates}
    frame = MetricFrame(metrics=rates, y_true=truth, y_pred=predicted, sensitive_features=codes, sample_params=params)
    table: dict[str, dict[int, float]] = frame.by_group.to_dict()
    return table


def _cells(codes: Array, truth: Array, chosen: Array, weights: Vector) -> tuple[Array, Array, Array, Vector]:
    """Rows that are alike in group, truth and answer as one weighted row: the same rates from a few dozen rows."""
    rows = np.column_stack([codes, truth, chosen])
    cells, where = np.unique(rows, axis=0, return_inverse=True)
    total = np.bincount(where.ravel(), weights=weights, minlength=len(cells)).astype(np.float64)
    return cells[:, 0], cells[:, 1], cells[:, 2], total


def _rates_of(task: Task) -> dict[str, Rate]:
    from fairlearn import metrics as fl

    if task is Task.REGRESSION:
        return {"mean_error": _mean_error, "mean_absolute_error": _mean_absolute_error}
    if task is Task.MULTICLASS:
        return {"accuracy": _accuracy}
    return {
        "selection_rate": fl.selection_rate,
        "true_positive_rate": _where_truth_is(1, fl.true_positive_rate),
        "false_positive_rate": _where_truth_is(0, fl.false_positive_rate),
        "accuracy": _accuracy,
    }


def _where_truth_is(code: int, rate: Rate) -> Rate:
    """The rate, or NaN in a group where there is no such row to take it over."""

    def guarded(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        if not (np.asarray(y_true) == code).any():
            return math.nan
        return float(rate(y_true, y_pred, pos_label=1, sample_weight=sample_weight))

    return guarded


def _accuracy(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
    return float(np.average(np.asarray(y_true) == np.asarray(y_pred), weights=sample_weight))


def _mean_error(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
    return float(np.average(np.asarray(y_true) - np.asarray(y_pred), weights=sample_weight))


def _mean_absolute_error(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
    return float(np.average(np.abs(np.asarray(y_true) - np.asarray(y_pred)), weights=sample_weight))


def _with_interval(test: TestSet, name: str, value: float, segment: Segment) -> JsonObject:
    """Wilson's interval for a share, a normal one for a mean of errors."""
    rows = segment.rows
    if name in BASES:
        rows = rows[test.truth[rows] == BASES[name]]
    count = effective_rows(None if test.weights is None else test.weights[rows], len(rows))
    interval = _mean_interval(test, name, value, rows, count) if name in MEANS else wilson(value, count)
    return {
        "value": plain(value),
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "rows": len(rows),
    }


def _mean_interval(test: TestSet, name: str, value: float, rows: Rows, count: float) -> Interval | None:
    if len(rows) < 2 or count <= 0:
        return None
    residuals = test.truth[rows] - test.scores[rows, 0]
    spread = float(np.std(residuals if name == "mean_error" else np.abs(residuals), ddof=1))
    half = Z * spread / math.sqrt(count)
    return Interval(value - half, value + half)


def _gaps(test: TestSet, groups: list[JsonObject]) -> list[JsonObject]:
    """Between the groups that are not small."""
    large = [group for group in groups if not group["small"]]
    found = [_gap("score", {group["label"]: group["score"]["value"] for group in large})]

    def rate(name: str, title: str) -> JsonObject | None:
        figures = {group["label"]: group["figures"][name] for group in large}
        return _gap(title, {label: item["value"] for label, item in figures.items() if item["rows"] >= MIN_ROWS})

    if test.model.task is Task.REGRESSION:
        found += [rate("mean_error", "mean_error"), rate("mean_absolute_error", "mean_absolute_error")]
        return [gap | {"ratio": None} if gap["name"] == "mean_error" else gap for gap in found if gap]
    if test.model.task is Task.BINARY:
        opportunity = rate("true_positive_rate", "equal_opportunity")
        alarms = rate("false_positive_rate", "equalized_odds")
        found += [rate("selection_rate", "demographic_parity"), opportunity, _odds(opportunity, alarms)]
    return [gap for gap in (*found, rate("accuracy", "accuracy")) if gap]


def _gap(name: str, values: Mapping[str, float | None]) -> JsonObject | None:
    """None where fewer than two groups have the figure. A ratio needs figures above 0."""
    known = {label: value for label, value in values.items() if value is not None}
    if len(known) < 2:
        return None
    highest, lowest = max(known, key=lambda label: known[label]), min(known, key=lambda label: known[label])
    high, low = known[highest], known[lowest]
    return {
        "name": name,
        "difference": high - low,
        "ratio": low / high if low >= 0 and high > 0 else None,
        "highest": highest,
        "lowest": lowest,
        "meaning": MEANINGS[name],
    }


def _odds(opportunity: JsonObject | None, alarms: JsonObject | None) -> JsonObject | None:
    """The worse of the two gaps, as in fairlearn's `equalized_odds_difference` and `equalized_odds_ratio`."""
    if opportunity is None or alarms is None:
        return None
    worse = max(opportunity, alarms, key=lambda gap: gap["difference"])
    ratios = [gap["ratio"] for gap in (opportunity, alarms) if gap["ratio"] is not None]
    return {
        **worse,
        "name": "equalized_odds",
        "ratio": min(ratios) if ratios else None,
        "meaning": MEANINGS["equalized_odds"],
    }
