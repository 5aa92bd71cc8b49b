"""Hashes of rows or values: how many are different, and how many repeat another, in bounded memory.

`Hashes` is exact: beyond what memory shall hold, sorted runs go to a temporary file, cut by their first bits, and are
counted one stretch of the hashes after the other. `Sketch` keeps a share of the hashes only (those below a bound that
is halved whenever they become too many), and so estimates; up to `SKETCHED` different ones (fewer in a table of many
columns) it is exact.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from typing import IO

import numpy as np
import polars as pl

from rowsmith.types import Array

HELD = 1 << 20
"""Hashes in memory, of 8 bytes each, before they are written out."""
STRETCH_BITS = 8
STRETCHES = 1 << STRETCH_BITS
SKETCHED = 1 << 16
LEAST_SKETCHED = 1 << 10
MOST_OF_ALL = 1 << 22
"""Of the sketches of all columns of a table together."""
HASH_BYTES = 8
SEED = 0


def hashes_of(rows: pl.DataFrame) -> Array:
    """One number for each row, the same in every batch; shape (rows,), uint64."""
    if not rows.width:
        return np.zeros(rows.height, dtype=np.uint64)
    return rows.hash_rows(seed=SEED).to_numpy()


class Hashes:
    """Takes hashes in, and tells how many of them repeat another."""

    def __init__(self, *, held: int | None = None) -> None:
        self.total = 0
        self._most = held or HELD
        self._held: list[Array] = []
        self._held_count = 0
        self._file: IO[bytes] | None = None
        self._runs: list[Array] = []

    def add(self, hashes: Array) -> None:
        self.total += len(hashes)
        self._held.append(hashes)
        self._held_count += len(hashes)
        if self._held_count >= self._most:
            self._write_out()

    @property
    def repeats(self) -> int:
        """All but one of those that are equal."""
        return self.total - sum(len(different) for different, _ in self.stretches())

    def repeated(self) -> Array:
        """The hashes that are there more than once."""
        found = [different[counts > 1] for different, counts in self.stretches()]
        return np.concatenate(found) if found else np.empty(0, dtype=np.uint64)

    def stretches(self) -> Iterator[tuple[Array, Array]]:
        """The different hashes with their counts, a stretch at a time, in order; all at once where memory holds them.

        The stretches are the same for all that have been written out.
        """
        if self._file is None:
            yield np.unique(self._in_memory(), return_counts=True)
            return
        self._write_out()
        for stretch in range(STRETCHES):
            yield np.unique(np.concatenate(list(self._pieces(stretch))), return_counts=True)

    def write_out(self) -> None:
        """To the file with what is held, so that two of them can be gone through side by side."""
        self._write_out()

    def _in_memory(self) -> Array:
        return np.concatenate(self._held) if self._held else np.empty(0, dtype=np.uint64)

    def _write_out(self) -> None:
        if self._file is None:
            # It has no name, so that nothing is left of it, however the program ends.
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
            weakref.finalize(self, self._file.close)
        run = np.sort(self._in_memory())
        bounds = np.arange(1, STRETCHES, dtype=np.uint64) << np.uint64(64 - STRETCH_BITS)
        places = np.concatenate([[0], np.searchsorted(run, bounds), [len(run)]])
        self._file.seek(0, 2)
        self._runs.append(places + self._file.tell() // HASH_BYTES)
        run.tofile(self._file)
        self._held, self._held_count = [], 0

    def _pieces(self, stretch: int) -> Iterator[Array]:
        assert self._file is not None
        for places in self._runs:
            begin, end = int(places[stretch]), int(places[stretch + 1])
            self._file.seek(begin * HASH_BYTES)
            yield np.frombuffer(self._file.read((end - begin) * HASH_BYTES), dtype=np.uint64)


def apart(before: Hashes, after: Hashes) -> tuple[int, int]:
    """How many hashes only the first holds, and only the second; equal ones count as often as they are there."""
    before.write_out()
    after.write_out()
    gone = come = 0
    for (old, old_counts), (new, new_counts) in zip(before.stretches(), after.stretches(), strict=True):
        every = np.union1d(old, new)
        gap = np.zeros(len(every), dtype=np.int64)
        gap[np.searchsorted(every, old)] += old_counts
        gap[np.searchsorted(every, new)] -= new_counts
        gone += int(gap[gap > 0].sum())
        come -= int(gap[gap < 0].sum())
    return gone, come


class Sketch:
    """How many different values there are: exact if few, then within about half a percent (Bar-Yossef et al. 2002,
    doi:10.1007/3-540-45726-7_1). Of the values that it keeps it knows each row, wherever it is.
    """

    def __init__(self, columns: int = 1) -> None:
        """`columns` of a table share the memory."""
        self._most = max(min(MOST_OF_ALL // max(columns, 1), SKETCHED), LEAST_SKETCHED)
        self._halvings = 0
        self._hashes = np.empty(0, dtype=np.uint64)
        self._counts = np.empty(0, dtype=np.int64)

    def add(self, hashes: Array) -> None:
        kept = hashes if not self._halvings else hashes[hashes < self._bound]
        different, counts = np.unique(kept, return_counts=True)
        every = np.concatenate([self._hashes, different])
        self._hashes, places = np.unique(every, return_inverse=True)
        weights = np.concatenate([self._counts, counts])
        self._counts = np.bincount(places, weights=weights, minlength=len(self._hashes)).astype(np.int64)
        while len(self._hashes) > self._most:
            self._halvings += 1
            below = self._hashes < self._bound
            self._hashes, self._counts = self._hashes[below], self._counts[below]

    @property
    def is_exact(self) -> bool:
        return not self._halvings

    @property
    def different(self) -> int:
        return len(self._hashes) << self._halvings

    @property
    def uniqueness(self) -> float:
        """Different values for each one that is there: 1 where none comes twice."""
        rows = int(self._counts.sum())
        return len(self._hashes) / rows if rows else 0.0

    @property
    def _bound(self) -> np.uint64:
        return np.uint64(1 << (64 - self._halvings))
