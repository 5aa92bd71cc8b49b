"""The different texts of a column, and which of them stand for "missing" where the others are numbers or dates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from rowsmith.schema import Parsing

# Compared without regard to case. They count as missing only in a column whose other values are numbers or dates;
# in a category "?" or "none" is a level like any other.
NULL_SPELLINGS = frozenset(
    {
        "?",
        "na",
        "n/a",
        "n.a.",
        "#n/a",
        "<na>",
        "nan",
        "nat",
        "null",
        "(null)",
        "none",
        "nil",
        "-",
        "--",
        "---",
        ".",
        "..",
    }
    | {"missing", "unknown", "not available", "not applicable", "#value!", "#div/0!", "#null!", "#ref!", "\\n"}
)
# Words nobody listed count as missing too, if they are this few and this rare ("tbd" among prices).
MAX_OTHER_NULLS = 3
MAX_SHARE_OF_OTHER_NULLS = 0.05


@dataclass(frozen=True)
class Spellings:
    """`values` are stripped and not empty, most frequent first; `rows` have one."""

    values: tuple[str, ...]
    counts: tuple[int, ...]
    rows: int

    @classmethod
    def of(cls, series: pl.Series) -> Spellings:
        counted = series.rename("value").drop_nulls().str.strip_chars().value_counts()
        counted = counted.filter(pl.col("value") != "").sort(["count", "value"], descending=[True, False])
        counts = tuple(counted["count"].to_list())
        return cls(tuple(counted["value"].to_list()), counts, sum(counts))

    @property
    def nulls(self) -> tuple[str, ...]:
        return tuple(value for value in self.values if value.casefold() in NULL_SPELLINGS)

    def without(self, nulls: Sequence[str]) -> Spellings:
        gone = frozenset(nulls)
        kept = [(value, count) for value, count in zip(self.values, self.counts, strict=True) if value not in gone]
        return Spellings(tuple(v for v, _ in kept), tuple(c for _, c in kept), sum(c for _, c in kept))


def fits(spellings: Spellings, parsing: Parsing, parse: Callable[[str, Parsing], object]) -> Parsing | None:
    """The parsing, with words that count as missing added, if `parse` reads every other spelling; else None."""
    refused: list[str] = []
    for value in spellings.values:
        try:
            parse(value, parsing)
        except ValueError:
            if any(char.isdigit() for char in value) or len(refused) == MAX_OTHER_NULLS:
                return None
            refused.append(value)
    if len(refused) == len(spellings.values):
        return None
    rows = sum(count for value, count in zip(spellings.values, spellings.counts, strict=True) if value in refused)
    if rows > MAX_SHARE_OF_OTHER_NULLS * spellings.rows:
        return None
    return replace(parsing, nulls=(*parsing.nulls, *refused)) if refused else parsing
