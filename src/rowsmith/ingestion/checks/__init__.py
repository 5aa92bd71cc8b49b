"""Checks of the data. A new one is a file with a `CHECK`, and a line in `CHECKS`; see `record.Check`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from rowsmith.ingestion.checks import (
    broken_encoding,
    category_spellings,
    constant,
    duplicate_rows,
    few_rows,
    identifier,
    leakage,
    missing_patterns,
    missing_target,
    missing_time,
    missing_values,
    near_duplicates,
    nearly_constant,
    odd_dates,
    personal_data,
    rare_classes,
    row_order,
    sentinel_values,
    text_numbers,
)
from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable
from rowsmith.ingestion.table import Table
from rowsmith.recipe import Recipe
from rowsmith.schema import Schema
from rowsmith.types import Finding, Severity

__all__ = ["CHECKS", "Check", "Examined", "NotApplicable", "run_checks"]

CHECKS: tuple[Check, ...] = (
    few_rows.CHECK,
    leakage.CHECK,
    missing_target.CHECK,
    rare_classes.CHECK,
    duplicate_rows.CHECK,
    near_duplicates.CHECK,
    row_order.CHECK,
    identifier.CHECK,
    personal_data.CHECK,
    missing_values.CHECK,
    missing_patterns.CHECK,
    missing_time.CHECK,
    sentinel_values.CHECK,
    odd_dates.CHECK,
    category_spellings.CHECK,
    broken_encoding.CHECK,
    constant.CHECK,
    nearly_constant.CHECK,
    text_numbers.CHECK,
)
ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)


def run_checks(
    frame: pl.DataFrame,
    schema: Schema,
    recipe: Recipe,
    checks: Sequence[Check] = CHECKS,
    *,
    table: Table | None = None,
) -> tuple[Finding, ...]:
    """What the checks saw, errors first. Findings that the recipe accepts ([checks] ignore) are information.

    `table` is what the frame holds only some rows of.
    """
    examined = Examined(frame, schema, recipe, table)
    examined.count({kind for check in checks for kind in check.tallies})
    findings = [finding for check in checks for finding in check.findings(examined)]
    accepted = frozenset(recipe.checks.ignore)
    settled = [
        replace(finding, severity=Severity.INFO, title=f"{finding.title} (accepted)")
        if finding.code in accepted and finding.severity is not Severity.INFO
        else finding
        for finding in findings
    ]
    return tuple(sorted(settled, key=lambda finding: ORDER.index(finding.severity)))
