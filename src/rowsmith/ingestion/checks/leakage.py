"""Features that give the target away.

A warning says that one column alone tells the target almost perfectly. An error says that it practically is the
target: every level of few goes with one label, one threshold parts the labels of a large table, or the numbers rise
and fall with the target in every row.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from rowsmith.conform import encode_target
from rowsmith.errors import SchemaError
from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, listed
from rowsmith.ingestion.checks.single_feature import bins_of, class_score, number_score, rank_correlation
from rowsmith.types import Array, ColumnKind, Rows, Severity, Vector

SUSPICIOUS = 0.98
CERTAIN = 0.9999
MIN_ROWS = 50
# Small tables part their classes by chance or by nature.
MIN_ROWS_TO_BE_SURE = 100
MIN_ROWS_FOR_THRESHOLDS = 1000
MAX_LEVELS = 20
MIN_PURITY = 0.999
ADVICE = (
    "Ask whether it is known before the prediction is needed. If not, put it into [columns] ignore; "
    'if it is, accept this with [checks] ignore = ["target_leakage"].'
)


def check_no_column_gives_the_target_away(examined: Examined) -> Outcome:
    target = examined.schema.target
    if target is None:
        return NotApplicable("there is no target")
    sample = examined.labelled.sample
    if sample.frame.height < MIN_ROWS or not sample.features:
        return NotApplicable("there are too few rows to tell")
    try:
        truth = encode_target(sample.frame[target.name], sample.schema)
    except SchemaError:
        return NotApplicable("the target does not fit the schema")
    certain: dict[str, float] = {}
    suspicious: dict[str, float] = {}
    for column in sample.features:
        values = _comparable(sample.values(column), column.kind)
        score, is_target = _judge(values, truth, examined)
        if is_target:
            certain[column.name] = score
        elif score >= SUSPICIOUS:
            suspicious[column.name] = score
    return [
        Observation(message, tuple(found), {"score": found}, ADVICE, severity, of_held=True)
        for found, severity, message in (
            (certain, Severity.ERROR, f'{listed(list(certain))} practically is the target "{target.name}"'),
            (suspicious, Severity.WARNING, f'{listed(list(suspicious))} alone tells "{target.name}" almost perfectly'),
        )
        if found
    ]


def _comparable(values: pl.Series, kind: ColumnKind) -> pl.Series:
    """Dates as numbers, so that they are cut into quantiles too."""
    return values.to_physical().cast(pl.Float64) if kind is ColumnKind.DATETIME else values


def _judge(values: pl.Series, truth: Array, examined: Examined) -> tuple[float, bool]:
    """The score of one column, and whether it practically is the target."""
    seed, classes = examined.recipe.train.seed, len(examined.schema.labels)
    bins = bins_of(values)
    if not classes:
        score = number_score(bins, values, truth, seed)
        return score, len(truth) >= MIN_ROWS_TO_BE_SURE and _is_the_number(values, truth)
    score = class_score(bins, truth, classes, seed)
    if score < SUSPICIOUS:
        return score, False
    return score, _levels_are_labels(values, truth) or _thresholds_part(values, truth)


def _is_the_number(values: pl.Series, truth: Vector) -> bool:
    return rank_correlation(values, truth) >= CERTAIN and len(np.unique(truth)) > MAX_LEVELS


def _levels_are_labels(values: pl.Series, truth: Rows) -> bool:
    """Few levels, and each of them goes with one label."""
    if len(truth) < MIN_ROWS_TO_BE_SURE or values.n_unique() > max(MAX_LEVELS, 2 * len(np.unique(truth))):
        return False
    table = pl.DataFrame({"level": values, "label": truth}).group_by("level", "label").len()
    purest = table.group_by("level").agg(pl.col("len").max())["len"].sum()
    return int(purest) >= MIN_PURITY * len(truth)


def _thresholds_part(values: pl.Series, truth: Rows) -> bool:
    """In order of the column each label is one unbroken run."""
    if not values.dtype.is_float() or len(truth) < MIN_ROWS_FOR_THRESHOLDS:
        return False
    known = values.is_finite().fill_null(False).to_numpy()
    if np.count_nonzero(known) < MIN_PURITY * len(known):
        return False
    order = np.lexsort((truth[known], values.to_numpy()[known]))
    changes = int(np.count_nonzero(np.diff(truth[known][order])))
    return changes == len(np.unique(truth[known])) - 1


CHECK = Check(
    "target_leakage", "A column gives the target away", Severity.WARNING, check_no_column_gives_the_target_away
)
