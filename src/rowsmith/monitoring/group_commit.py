"""Group commit: many threads that each wait for a durable write share the cost of one.

While one thread writes, the items of the others gather; the first of them then writes them all at once. With a disk
that confirms in a fraction of a millisecond this multiplies what several threads get done, and a thread that is alone
pays nothing for it (DeWitt et al. 1984, doi:10.1145/602259.602261). Each thread waits on a lock of its own, so that a
write wakes those whose items it held and the one that writes next, and nobody else.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

from rowsmith.errors import StorageError

T = TypeVar("T")
Problem: TypeAlias = StorageError | OSError

LONGEST_WAIT = 3600.0


class _Batch(Generic[T]):
    """Items that wait. `turn` is let go of when they are done, or when their thread is to write."""

    __slots__ = ("done", "items", "leads", "problem", "turn")

    def __init__(self, items: Sequence[T]) -> None:
        self.items = items
        self.done = self.leads = False
        self.problem: Problem | None = None
        self.turn = threading.Lock()
        self.turn.acquire()


class GroupCommit(Generic[T]):
    """`write` makes items durable, all or none, or raises StorageError or OSError. One thread at a time calls it."""

    def __init__(self, write: Callable[[list[T]], None], *, patience: float = math.inf) -> None:
        """`patience` is how many seconds items wait for their turn before they are taken back."""
        self._write = write
        self._patience = min(patience, LONGEST_WAIT)
        self._waiting: list[_Batch[T]] = []
        self._changing = threading.Lock()
        self._busy = False

    def add(self, items: Sequence[T]) -> None:
        """Returns when the items are durable.

        Raises what the write that held them raised, or StorageError: their turn did not come in time, and none is
        kept.
        """
        batch = _Batch(items)
        with self._changing:
            self._waiting.append(batch)
            if not self._busy:
                self._busy = batch.leads = True
        if not batch.leads and not batch.turn.acquire(timeout=self._patience):
            self._take_back(batch)
        if not batch.done:
            self._lead()
        if batch.problem is not None:
            raise batch.problem

    def _take_back(self, batch: _Batch[T]) -> None:
        """Unless they are being written, or are to be written by this very thread."""
        with self._changing:
            if batch in self._waiting and not batch.leads:
                self._waiting.remove(batch)
                raise StorageError("the log is written more slowly than predictions come", next_step="try again")
        batch.turn.acquire()

    def _lead(self) -> None:
        with self._changing:
            group, self._waiting = self._waiting, []
        problem: Problem | None = StorageError("the write was interrupted", next_step="try again")
        try:
            self._write([item for batch in group for item in batch.items])
            problem = None
        except (StorageError, OSError) as failure:
            problem = failure
        finally:
            with self._changing:
                following = self._waiting[0] if self._waiting else None
                self._busy = following is not None
                if following is not None:
                    following.leads = True
            if following is not None:
                following.turn.release()
            for batch in group:
                batch.problem, batch.done = problem, True
                if not batch.leads:
                    batch.turn.release()
