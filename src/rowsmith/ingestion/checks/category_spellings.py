"""Levels of a category that are the same word, spelled differently."""

from __future__ import annotations

import unicodedata
from collections import defaultdict

import polars as pl

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted
from rowsmith.ingestion.facts import LevelCounts, count_levels
from rowsmith.schema import Column
from rowsmith.types import ColumnKind, Role, Severity

MAX_SHOWN = 3


def check_a_level_has_one_spelling(examined: Examined) -> Outcome:
    """Levels that differ in case, in blanks, or in how an accent is encoded. (Outer blanks never count.)"""
    columns = _categories(examined)
    if not columns:
        return NotApplicable("no column is a category")
    seen = []
    counted_levels = examined.tally(Levels)
    for column in columns:
        levels, is_complete = counted_levels.of(column.name)
        variants: dict[str, list[str]] = defaultdict(list)
        for level in levels["level"].to_list():
            variants[_folded(level)].append(level)
        alike = [spellings for spellings in variants.values() if len(spellings) > 1]
        if not alike:
            continue
        shown = "; ".join(
            " = ".join(f'"{level}"' for level in spellings[:MAX_SHOWN]) for spellings in alike[:MAX_SHOWN]
        )
        rows = dict(levels.iter_rows())
        minor = sum(rows[level] for spellings in alike for level in spellings[1:])
        seen.append(
            Observation(
                f'"{column.name}" spells {counted(len(alike), "level")} in more than one way: {shown}',
                (column.name,),
                {"levels": len(alike), "rows": minor},
                "Give each level one spelling where the table is made: the model takes them for different things.",
                of_held=not is_complete,
            )
        )
    return seen


class Levels:
    """The levels of categories with their rows; of a column that has very many, those of the rows that are held."""

    def __init__(self, examined: Examined) -> None:
        self._columns = _categories(examined)
        self._held = examined
        self._counts = {column.name: LevelCounts(len(self._columns)) for column in self._columns}

    def see(self, part: Examined) -> None:
        for column in self._columns:
            self._counts[column.name].see(part.values(column))

    def of(self, name: str) -> tuple[pl.DataFrame, bool]:
        """Columns `level` and `rows`, most frequent first; and whether these are all."""
        counts = self._counts[name].levels
        if counts is not None:
            return counts, True
        return count_levels(self._held.values(self._held.schema[name])), False


def _categories(examined: Examined) -> list[Column]:
    return [c for c in examined.columns if c.kind is ColumnKind.CATEGORY and Role.SUBJECT_ID not in c.roles]


def _folded(level: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", level).casefold().replace("_", " ").replace("-", " ").split())


CHECK = Check(
    "category_spellings", "Levels spelled differently", Severity.WARNING, check_a_level_has_one_spelling, (Levels,)
)
