"""The task that a target sets, and the order of its labels.

Without a word from the recipe: text, booleans and a target of two different values are classes; integers are classes
when they are at most `MAX_INTEGER_CLASSES` different ones with, on average, at least `MIN_ROWS_PER_CLASS` rows each;
all other numbers are a regression.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import polars as pl

from rowsmith.conform.parsing import converter
from rowsmith.conform.plain import type_name
from rowsmith.conform.series import conform_series
from rowsmith.errors import DataError, RecipeError
from rowsmith.ingestion.facts import count_levels, describe
from rowsmith.ingestion.kinds import Reading, find_kind, reading_as
from rowsmith.ingestion.raw_facts import RawFacts
from rowsmith.recipe import TargetSection
from rowsmith.schema import MAX_CATEGORIES, NUMERIC_KINDS, Column, Parsing
from rowsmith.types import ColumnKind, Role, Task

MAX_INTEGER_CLASSES = 20
MIN_ROWS_PER_CLASS = 5
MAX_SHOWN = 10
MIN_ROWS_PER_TEXT_CLASS = 2
ROWS_LOOKED_AT = 10_000


@dataclass(frozen=True)
class Target:
    """`labels` are empty for a regression."""

    column: Column
    task: Task
    labels: tuple[str, ...] = ()


def settle_target(
    series: pl.Series, section: TargetSection, kind: ColumnKind | None = None, *, facts: RawFacts | None = None
) -> Target:
    """`kind` is one that the recipe asks for; `facts` are those of all rows, where the series holds only some of them.

    Raises DataError for a target that nothing can be learnt from, RecipeError for a task that it does not set,
    SchemaError for a regression over what are no numbers.
    """
    reading = reading_as(kind, series) if kind else find_kind(series, may_identify=False, facts=facts)
    if section.task in (None, Task.REGRESSION) and _has_many_numbers(series, reading):
        return _regression(series, reading, section)
    levels = _levels(series, reading.parsing)
    _require_values(series.name, levels)
    task = section.task or _infer_task(series, reading, levels, facts)
    if task is Task.REGRESSION:
        return _regression(series, reading, section)
    labels = ordered_labels(levels, task, section.positive, series.name)
    counted = levels["level"].to_list()
    column = Column(
        series.name,
        ColumnKind.CATEGORY,
        (Role.TARGET,),
        missing=1 - int(levels["rows"].sum()) / len(series),
        categories=tuple(counted[:MAX_CATEGORIES]),
        level_count=len(counted),
        stored=type_name(series.dtype),
        parsing=Parsing(nulls=reading.parsing.nulls),
    )
    return Target(column, task, labels)


def _has_many_numbers(series: pl.Series, reading: Reading) -> bool:
    """Whether these are numbers, and more different ones than could be classes. Their spellings then do not matter:
    to write each of millions out as text takes longer than to learn from them."""
    if reading.kind not in NUMERIC_KINDS or not series.dtype.is_numeric():
        return False
    some = series.gather_every(max(len(series) // ROWS_LOOKED_AT, 1))
    return any(values.drop_nulls().n_unique() > MAX_INTEGER_CLASSES for values in (some, series))


def _regression(series: pl.Series, reading: Reading, section: TargetSection) -> Target:
    if section.positive is not None:
        raise _positive_needs_binary(Task.REGRESSION)
    return Target(_regression_column(series, reading), Task.REGRESSION)


def _levels(series: pl.Series, parsing: Parsing) -> pl.DataFrame:
    as_label = converter(ColumnKind.CATEGORY, Parsing(nulls=parsing.nulls))
    values, _ = conform_series(series, ColumnKind.CATEGORY, as_label)
    return count_levels(values)


def _require_values(name: str, levels: pl.DataFrame) -> None:
    if not levels.height:
        raise DataError(f'the target "{name}" has no value in any row', next_step="name another target column")
    if levels.height == 1:
        raise DataError(
            f'the target "{name}" has the same value in every row',
            received=f'"{levels["level"][0]}" {levels["rows"][0]} times',
            next_step="there is nothing to learn from it; name another target column, or add rows with other outcomes",
        )


def _infer_task(series: pl.Series, reading: Reading, levels: pl.DataFrame, facts: RawFacts | None) -> Task:
    if reading.kind is ColumnKind.DATETIME:
        raise DataError(
            f'the target "{series.name}" holds dates',
            next_step="predict a number made from it (days until it, say), or name another target column",
        )
    if levels.height == 2:
        return Task.BINARY
    different, rows = levels.height, int(levels["rows"].sum())
    if facts is not None:
        different, rows = max(different, facts.different), facts.rows - facts.missing
    if reading.kind in NUMERIC_KINDS:
        few = different <= MAX_INTEGER_CLASSES and different * MIN_ROWS_PER_CLASS <= rows
        return Task.MULTICLASS if few and _are_integers(levels) else Task.REGRESSION
    if different > MAX_INTEGER_CLASSES and different * MIN_ROWS_PER_TEXT_CLASS > rows:
        raise DataError(
            f'the target "{series.name}" looks like free text or an identifier',
            received=f"{different} different values in {rows} rows",
            next_step='name another target column, or set task = "multiclass" under [target] if these are classes',
        )
    return Task.MULTICLASS


def _are_integers(levels: pl.DataFrame) -> bool:
    return bool(levels["level"].str.contains(r"^[+-]?\d+$").all())


def _regression_column(series: pl.Series, reading: Reading) -> Column:
    if reading.kind not in NUMERIC_KINDS:
        reading = reading_as(ColumnKind.NUMBER, series)
    return replace(describe(series, reading), roles=(Role.TARGET,))


def ordered_labels(levels: pl.DataFrame, task: Task, positive: str | None, name: str) -> tuple[str, ...]:
    """Sorted, numbers by value; of two the event last: the one that is named, else the rarer one.

    `levels` has columns `level` and `rows`. Raises RecipeError for a task that they do not set.
    """
    rows = dict(levels.iter_rows())
    labels = _sorted(rows)
    if task is Task.BINARY and len(labels) != 2:
        raise RecipeError(
            f'the target "{name}" has {len(labels)} different values, and a binary task has two',
            where="target.task",
            received=", ".join(labels[:MAX_SHOWN]) + (", ..." if len(labels) > MAX_SHOWN else ""),
            next_step='set task = "multiclass", or leave the task out',
        )
    if task is not Task.BINARY:
        if positive is not None:
            raise _positive_needs_binary(task)
        return tuple(labels)
    if positive is not None and positive not in rows:
        raise RecipeError(
            f'the target "{name}" has no label "{positive}"', where="target.positive", allowed=", ".join(labels)
        )
    # min() takes the first of equals; the event of a tie is the last in order.
    event = positive if positive is not None else min(reversed(labels), key=rows.__getitem__)
    return (*(label for label in labels if label != event), event)


def _sorted(labels: Iterable[str]) -> list[str]:
    try:
        return sorted(labels, key=lambda label: (float(label), label))
    except ValueError:
        return sorted(labels)


def _positive_needs_binary(task: Task) -> RecipeError:
    return RecipeError("only a binary target has a positive label", where="target.positive", received=f"a {task} task")
