"""Schema inference: kinds, roles, parsings and facts of a table as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from rowsmith.conform.plain import final_type, plain_series, plain_type
from rowsmith.errors import RecipeError
from rowsmith.ingestion.facts import describe
from rowsmith.ingestion.kinds import Reading, find_kind, reading_as
from rowsmith.ingestion.raw_facts import RawFacts
from rowsmith.ingestion.roles import roles_of_columns
from rowsmith.ingestion.task import Target, settle_target
from rowsmith.recipe import Recipe
from rowsmith.schema import NUMERIC_KINDS, Column, Policies, Schema
from rowsmith.types import ColumnKind, Role

TIME_KINDS = NUMERIC_KINDS | {ColumnKind.DATETIME}


def infer_schema(
    frame: pl.DataFrame,
    recipe: Recipe,
    written: Schema | None = None,
    *,
    raw: Mapping[str, RawFacts] | None = None,
) -> Schema:
    """The schema of a table: see `kinds` for the kinds, `roles` for the roles, `task` for the task and labels.

    `written` is an earlier schema of the same table that a person may have edited: its kinds, parsing, roles and
    policies hold where the recipe does not say otherwise, and all facts are taken afresh. `raw` is what is known of
    all rows where the frame holds only some (see `infer_table`). Without a target in the recipe the schema has no
    task. Raises RecipeError for a recipe that does not fit the table, DataError for a target
    that nothing can be learnt from, SchemaError for values that are not what the recipe says.
    """
    roles = roles_of_columns(frame.columns, recipe)
    before = {column.name: column for column in written or ()}
    target: Target | None = None
    columns: list[Column] = []
    for series in map(_plain, frame.iter_columns()):
        kind = recipe.columns.kinds.get(series.name)
        facts = None if raw is None else raw[series.name]
        if Role.TARGET in roles[series.name]:
            target = settle_target(series, recipe.target, kind, facts=facts)
            columns.append(target.column)
        else:
            columns.append(_column(series, roles[series.name], kind, before.get(series.name), facts))
    schema = Schema(
        columns=tuple(_with_some_feature(columns, frame, recipe)),
        task=target.task if target else None,
        labels=target.labels if target else (),
        policies=_policies(recipe, written),
    )
    check_roles(schema)
    return schema


def _policies(recipe: Recipe, written: Schema | None) -> Policies:
    """What the recipe states, else what the file says."""
    if written is None:
        return Policies(**recipe.policies.model_dump())
    policies: Policies = replace(written.policies, **recipe.policies.model_dump(exclude_unset=True))
    return policies


def _column(
    series: pl.Series,
    roles: tuple[Role, ...],
    kind: ColumnKind | None,
    before: Column | None,
    facts: RawFacts | None,
) -> Column:
    if before is not None:
        roles = tuple(dict.fromkeys([*roles, *(role for role in before.roles if role is not Role.TARGET)]))
        # That a column was constant is a fact of those rows, and no word about others.
        if kind is None and before.kind is not ColumnKind.CONSTANT and Role.TARGET not in before.roles:
            return describe(series, Reading(before.kind, before.parsing), roles)
    # Time goes on like a counter, and sensitive groups are never told by an identifier.
    may_identify = not {Role.TIME, Role.SENSITIVE, Role.WEIGHT}.intersection(roles)
    reading = reading_as(kind, series) if kind else find_kind(series, may_identify=may_identify, facts=facts)
    if Role.TIME in roles and kind is None and reading.kind not in TIME_KINDS:
        reading = _time_reading(series, reading)
    if Role.WEIGHT in roles and reading.kind is ColumnKind.CONSTANT and series.dtype.is_numeric():
        reading = Reading(ColumnKind.NUMBER)  # rows that all count the same
    return describe(series, reading, roles)


def _time_reading(series: pl.Series, reading: Reading) -> Reading:
    as_date = reading_as(ColumnKind.DATETIME, series)
    return as_date if as_date.parsing.date_format else reading


def _plain(series: pl.Series) -> pl.Series:
    """One column at a time: all of them as plain types may be a second table in memory."""
    return plain_series(series, final_type(plain_type(series.dtype)))


def _with_some_feature(columns: list[Column], frame: pl.DataFrame, recipe: Recipe) -> list[Column]:
    """A counter that is all there is to learn from is a number after all."""
    if any(column.is_feature for column in columns):
        return columns
    return [
        _described_as_number(_plain(frame[column.name]), column.roles)
        if column.kind is ColumnKind.IDENTIFIER and not column.roles and column.name not in recipe.columns.kinds
        else column
        for column in columns
    ]


def _described_as_number(series: pl.Series, roles: tuple[Role, ...]) -> Column:
    return describe(series, find_kind(series, may_identify=False), roles)


def check_roles(schema: Schema) -> None:
    """Raises RecipeError for columns that cannot have their roles, and where there is nothing to learn from."""
    time, weight = schema.only(Role.TIME), schema.only(Role.WEIGHT)
    if time is not None and time.kind not in TIME_KINDS:
        raise RecipeError(
            f'the column "{time.name}" is not of dates or numbers, so rows cannot be ordered by it',
            where="columns.time",
            received=f"kind {time.kind}",
        )
    if weight is not None and weight.kind not in NUMERIC_KINDS:
        raise RecipeError(
            f'the column "{weight.name}" is not of numbers', where="columns.weight", received=f"kind {weight.kind}"
        )
    if weight is not None and (weight.minimum is None or weight.minimum < 0 or weight.maximum == 0):
        raise RecipeError(
            f'the column "{weight.name}" has weights below 0, or nothing but 0',
            where="columns.weight",
            received=f"{weight.minimum} to {weight.maximum}",
        )
    if schema.target is not None and not schema.features:
        raise RecipeError(
            "there is no column to learn from",
            received=", ".join(f"{column.name} ({column.kind})" for column in schema if column != schema.target),
            next_step="ignore fewer columns, or give one another kind under [columns.kinds]",
        )
