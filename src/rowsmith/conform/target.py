"""The target as the numbers that learners take."""

from __future__ import annotations

import sys

import numpy as np
import polars as pl

from rowsmith.conform.faults import Faults
from rowsmith.conform.rule import Rule
from rowsmith.errors import RecipeError
from rowsmith.schema import Column, Policies, Schema
from rowsmith.types import Array, ColumnKind


def encode_target(series: pl.Series, schema: Schema) -> Array:
    """Class codes into `schema.labels` (int64), or numbers (float64) where there are none, shape (rows,).

    Labels are compared by `canonical_text`. Raises SchemaError for a row with no value, with an unknown label, or with
    what is no finite number; RecipeError where the schema has no target.
    """
    rule = _rule(schema)
    faults = Faults(Policies(missing_value="error", unseen_category="error", out_of_range="error"))
    values, wrong = rule.series(series)
    if wrong is not None:
        faults.add_rows("wrong_type", rule, wrong, series)
    missing = values.is_null() if wrong is None else values.is_null() & ~wrong
    faults.add_rows("missing_value", rule, missing, series)
    departing = rule.departing(values)
    if departing is not None:
        faults.add_rows(rule.departure_code, rule, departing, series)
    faults.raise_errors()
    if not schema.labels:
        return values.to_numpy()
    codes = pl.Series(range(len(schema.labels)), dtype=pl.Int64)
    return values.replace_strict(pl.Series(schema.labels), codes, return_dtype=pl.Int64).to_numpy().astype(np.int64)


def _rule(schema: Schema) -> Rule:
    target = schema.target
    if target is None:
        raise RecipeError("the schema has no target", next_step="give one column the role target")
    if schema.labels:
        return Rule(
            Column(
                target.name,
                ColumnKind.CATEGORY,
                categories=schema.labels,
                level_count=len(schema.labels),
                parsing=target.parsing,
            )
        )
    largest = sys.float_info.max
    return Rule(Column(target.name, ColumnKind.NUMBER, minimum=-largest, maximum=largest, parsing=target.parsing))
