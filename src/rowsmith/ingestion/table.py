"""Table: rows that are gone through in batches, as often as it takes; and the rows of it that are held for a look."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from rowsmith.ingestion.snapshot import Snapshot, SnapshotStore
from rowsmith.types import Array, Rows

BATCH_ROWS = 1 << 17
BATCH_CELLS = 1 << 21
LEAST_BATCH_ROWS = 1 << 10
HELD_BYTES = 64_000_000
"""A table of no more than this is looked at as a whole."""
LEAST_ROWS = 100
SAMPLE_ROWS = 200_000
"""Of a larger one so many rows at the most are held."""


@dataclass(frozen=True)
class Table:
    """`again` begins with the first batch, each time it is called."""

    rows: int
    again: Callable[[], Iterable[pl.DataFrame]]

    @classmethod
    def of_frame(cls, frame: pl.DataFrame) -> Table:
        return cls(frame.height, lambda: [frame])

    @classmethod
    def of_snapshot(cls, store: SnapshotStore, snapshot: Snapshot) -> Table:
        return cls(snapshot.rows, lambda: store.batches(snapshot))

    @property
    def columns(self) -> list[str]:
        """Their names; only the first batch is looked at."""
        return next(iter(self.again())).columns

    def mapped(self, function: Callable[[pl.DataFrame], pl.DataFrame]) -> Table:
        """With other columns, which depend on nothing but their own row."""
        return Table(self.rows, lambda: (function(batch) for _, batch in self.batches()))

    def batches(self) -> Iterator[tuple[int, pl.DataFrame]]:
        """Batches of at most `BATCH_ROWS` (fewer of a wide table), with the number of their first row; one at least,
        if it is empty."""
        start = 0
        for batch in self.again():
            rows = min(BATCH_ROWS, max(BATCH_CELLS // max(batch.width, 1), LEAST_BATCH_ROWS))
            for piece in batch.iter_slices(rows) if batch.height else [batch]:
                yield start, piece
                start += piece.height


@dataclass(frozen=True)
class Held:
    """Rows in their order; `positions` are their numbers in the table, None where these are all of them."""

    frame: pl.DataFrame
    positions: Rows | None
    of: int

    @property
    def is_whole(self) -> bool:
        return self.positions is None

    def row(self, place: int) -> int:
        """The number in the table of a row that is held."""
        return place if self.positions is None else int(self.positions[place])

    def with_rows(self, positions: Rows, rows: pl.DataFrame) -> Held:
        """With some more rows, each of which is there once and in its place."""
        assert self.positions is not None
        different, places = np.unique(np.concatenate([self.positions, positions]), return_index=True)
        return Held(pl.concat([self.frame, rows])[places], different, self.of)


def priorities(start: int, rows: int, seed: int) -> Array:
    """A number for each row by its place in the table, as if drawn at random; shape (rows,), uint64 (SplitMix64)."""
    first = (start + (seed + 1) * 0xD1B54A32D192ED03) % 2**64
    mixed = (np.arange(rows, dtype=np.uint64) + np.uint64(first)) * _odd(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _odd(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _odd(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def chosen_rows(table: Table, wanted: int, seed: int) -> pl.DataFrame:
    """About `wanted` rows in their order, evenly from all over the table, the same for the same seed."""
    if wanted >= table.rows:
        return pl.concat(batch for _, batch in table.batches())
    bound = np.uint64(int(wanted / table.rows * 2**64))
    chosen = [
        copied(batch.filter(pl.Series(priorities(start, batch.height, seed) < bound)))
        for start, batch in table.batches()
    ]
    return pl.concat(chosen)


def copied(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows in memory of their own: a few out of many may otherwise keep the texts of all of them alive."""
    file = io.BytesIO()
    frame.write_ipc(file, compat_level=pl.CompatLevel.oldest())
    file.seek(0)
    return pl.read_ipc(file)


class Holding:
    """Holds the rows that go by, as long as they are few; then a sample of them, thinned out as often as it takes."""

    def __init__(self, seed: int, *, held_bytes: int | None = None, sample_rows: int | None = None) -> None:
        self._seed = seed
        self._held_bytes, self._sample_rows = held_bytes or HELD_BYTES, sample_rows or SAMPLE_ROWS
        self._halvings = 0
        self._frames: list[pl.DataFrame] = []
        self._positions: list[Rows] = []
        self._rows = 0
        self._bytes = self._kept = 0

    @property
    def is_whole(self) -> bool:
        return not self._halvings

    def see(self, start: int, batch: pl.DataFrame) -> None:
        self._rows += batch.height
        positions = np.arange(start, start + batch.height)
        if self._halvings:
            batch, positions = self._thinned(batch, positions)
        self._hold(batch, positions)
        while self._is_too_much():
            self._halve()

    def _is_too_much(self) -> bool:
        """A few rows are held however long their texts are."""
        if self._kept <= LEAST_ROWS:
            return False
        return self._bytes > self._held_bytes or (bool(self._halvings) and self._kept > self._sample_rows)

    def held(self) -> Held:
        frame = pl.concat(self._frames).rechunk()
        return Held(frame, np.concatenate(self._positions) if self._halvings else None, self._rows)

    def _hold(self, frame: pl.DataFrame, positions: Rows) -> None:
        if self._halvings:
            frame = copied(frame)
        self._frames.append(frame)
        self._positions.append(positions)
        self._bytes += int(frame.estimated_size())
        self._kept += frame.height

    def _halve(self) -> None:
        self._halvings += 1
        before = list(zip(self._frames, self._positions, strict=True))
        self._frames, self._positions, self._bytes, self._kept = [], [], 0, 0
        for frame, positions in before:
            self._hold(*self._thinned(frame, positions))

    def _thinned(self, frame: pl.DataFrame, positions: Rows) -> tuple[pl.DataFrame, Rows]:
        if not len(positions):
            return frame, positions
        first = int(positions[0])
        every = priorities(first, int(positions[-1]) - first + 1, self._seed)
        kept = every[positions - first] < np.uint64(1 << (64 - self._halvings))
        return frame.filter(pl.Series(kept)), positions[kept]


def _odd(number: int) -> np.uint64:
    return np.uint64(number)
