"""Group commit: many threads that each wait for a durable write share the cost of one.

While one thread writes, the items of the others gather; the next one to get its turn writes them all at once. With a
disk that confirms in a fraction of a millisecond this multiplies what several threads get done, and a thread that is
alone pays nothing for it (DeWitt et al. 1984, doi:10.1145/602259.602261).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rowsmith.errors import StorageError

T = TypeVar("T")

LONGEST_WAIT = 3600.0


@dataclass(slots=True, eq=False)
class _Batch(Generic[T]):
    items: Sequence[T]
    done: bool = False
    problem: StorageError | None = None


class GroupCommit(Generic[T]):
    """`write` makes items durable, all or none, or raises StorageError; it is called by one thread at a time."""

    def __init__(self, write: Callable[[list[T]], None], *, patience: float = math.inf) -> None:
        """`patience` is how many seconds items wait for their turn before they are taken back."""
        self._write = write
        self._patience = patience
        self._waiting: list[_Batch[T]] = []
        self._changed = threading.Condition()
        self._busy = False

    def add(self, items: Sequence[T]) -> None:
        """Returns when the items are durable.

        Raises StorageError: the write that held them failed, or their turn did not come in time (and none is kept).
        """
        batch = _Batch(items)
        deadline = time.monotonic() + self._patience
        with self._changed:
            self._waiting.append(batch)
            while self._busy and not batch.done:
                left = deadline - time.monotonic()
                self._changed.wait(min(max(left, 0.0), LONGEST_WAIT))
                if left <= 0 and batch in self._waiting:
                    self._waiting.remove(batch)
                    raise StorageError("the log is written more slowly than predictions come", next_step="try again")
            group: list[_Batch[T]] = []
            if not batch.done:
                group, self._waiting, self._busy = self._waiting, [], True
        if group:
            self._lead(group)
        if batch.problem is not None:
            raise batch.problem

    def _lead(self, group: list[_Batch[T]]) -> None:
        problem: StorageError | None = StorageError("the write was interrupted", next_step="try again")
        try:
            self._write([item for batch in group for item in batch.items])
            problem = None
        except StorageError as failure:
            problem = failure
        finally:
            with self._changed:
                for batch in group:
                    batch.problem, batch.done = problem, True
                self._busy = False
                self._changed.notify_all()
