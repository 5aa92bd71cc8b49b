"""Levels of a category that are the same word, spelled differently."""

from __future__ import annotations

import unicodedata
from collections import defaultdict

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted
from rowsmith.ingestion.facts import count_levels
from rowsmith.types import ColumnKind, Role, Severity

MAX_SHOWN = 3


def check_a_level_has_one_spelling(examined: Examined) -> Outcome:
    """Levels that differ in case, in blanks, or in how an accent is encoded. (Outer blanks never count.)"""
    columns = [c for c in examined.columns if c.kind is ColumnKind.CATEGORY and Role.SUBJECT_ID not in c.roles]
    if not columns:
        return NotApplicable("no column is a category")
    seen = []
    for column in columns:
        levels = count_levels(examined.values(column))
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
            )
        )
    return seen


def _folded(level: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", level).casefold().replace("_", " ").replace("-", " ").split())


CHECK = Check("category_spellings", "Levels spelled differently", Severity.WARNING, check_a_level_has_one_spelling)
