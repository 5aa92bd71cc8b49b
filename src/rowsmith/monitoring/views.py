"""Views: what is watched of a column. One thing for most kinds; of a text its length and how familiar its words are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import polars as pl

from rowsmith.types import ColumnKind

Aspect: TypeAlias = Literal["value", "length", "known_words", "label", "probability", "confidence"]
LEVEL_KINDS = frozenset({ColumnKind.CATEGORY, ColumnKind.BOOLEAN})
WORD = r"\w+"
MAX_WORDS = 300
MIN_ROWS_OF_WORD = 5
"""A word is kept only if this many rows hold it: a sketch repeats nothing that belongs to one row alone."""


def aspects_of(kind: ColumnKind) -> tuple[Aspect, ...]:
    return ("length", "known_words") if kind is ColumnKind.TEXT else ("value",)


def is_ordered(kind: ColumnKind) -> bool:
    return kind not in LEVEL_KINDS


def view(values: pl.Series, kind: ColumnKind, aspect: Aspect, words: Sequence[str] = ()) -> pl.Series:
    """A conforming column as numbers (dates in seconds since 1970) or, for levels, as text; null stays null."""
    if aspect == "length":
        return values.str.len_chars().cast(pl.Float64)
    if aspect == "known_words":
        return _known_share(values, words)
    if kind is ColumnKind.DATETIME:
        return values.dt.timestamp("us").cast(pl.Float64) / 1e6
    if kind is ColumnKind.BOOLEAN:
        return values.cast(pl.String)
    return values


def vocabulary(texts: pl.Series) -> tuple[str, ...]:
    """The words that most rows hold, most frequent first."""
    words = _tokens(texts).list.unique().explode().drop_nulls()
    counted = words.alias("word").value_counts(name="rows").filter(pl.col("rows") >= MIN_ROWS_OF_WORD)
    ordered = counted.sort(["rows", "word"], descending=[True, False])
    return tuple(ordered["word"].head(MAX_WORDS).to_list())


def _known_share(texts: pl.Series, words: Sequence[str]) -> pl.Series:
    """The share of a text's words that are in the vocabulary; null for a text without words."""
    known = _tokens(texts).list.eval(pl.element().is_in(list(words)))
    return known.list.mean().cast(pl.Float64)


def _tokens(texts: pl.Series) -> pl.Series:
    return texts.str.to_lowercase().str.extract_all(WORD)
