"""Raw facts: what must be known of all rows of a column before its kind is, however few of them are held for a look."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import polars as pl

from rowsmith.conform.plain import without_nulls
from rowsmith.ingestion.hashes import Sketch, hashes_of

UNIQUE = 0.999
"""Of a sketch that is no longer exact, so much counts as no value coming twice."""


class RawFacts(Protocol):
    """Of a column of a plain type."""

    @property
    def rows(self) -> int: ...
    @property
    def missing(self) -> int: ...
    @property
    def low(self) -> Any:
        """The least value, None where there is none; of text nobody asks."""

    @property
    def high(self) -> Any: ...
    @property
    def different(self) -> int:
        """How many different values there are; None is not one."""

    @property
    def counts_up(self) -> bool:
        """Whether each value is the one before it and 1."""


class SeriesFacts:
    """Of a column that is held as a whole. What is dear is counted when somebody asks."""

    def __init__(self, series: pl.Series) -> None:
        self._series = series

    @property
    def rows(self) -> int:
        return len(self._series)

    @property
    def missing(self) -> int:
        return self._series.null_count()

    @cached_property
    def low(self) -> Any:
        return self._series.min()

    @cached_property
    def high(self) -> Any:
        return self._series.max()

    @cached_property
    def different(self) -> int:
        return without_nulls(self._series).n_unique()

    @cached_property
    def counts_up(self) -> bool:
        return bool((self._series.diff().drop_nulls() == 1).all())


class TalliedFacts:
    """Of a column that goes by in batches."""

    def __init__(self, columns: int) -> None:
        """One of so many columns that go by at the same time."""
        self.rows = self.missing = 0
        self.low: Any = None
        self.high: Any = None
        self.counts_up = True
        self._sketch = Sketch(columns)
        self._last: Any = None

    def see(self, series: pl.Series) -> None:
        present = without_nulls(series)
        self._sketch.add(hashes_of(present.to_frame()))
        if series.dtype.is_numeric() and len(present):
            low, high = present.min(), present.max()
            self.low = low if self.low is None else min(self.low, low)
            self.high = high if self.high is None else max(self.high, high)
        if self.counts_up and series.dtype.is_integer():
            follows = self._last is None or not len(present) or present[0] == self._last + 1
            self.counts_up = follows and bool((present.diff().drop_nulls() == 1).all())
            self._last = present[-1] if len(present) else self._last
        self.rows += len(series)
        self.missing += series.null_count()

    @property
    def different(self) -> int:
        if self._sketch.is_exact:
            return self._sketch.different
        uniqueness = self._sketch.uniqueness
        return round((self.rows - self.missing) * (1.0 if uniqueness >= UNIQUE else uniqueness))
