"""Group commit: many threads that each wait for a durable write share the cost of one.

While one thread writes, the items of the others gather; the next one to get its turn writes them all at once. With a
disk that confirms in a fraction of a millisecond this multiplies what several threads get done, and a thread that is
alone pays nothing for it (DeWitt et al. 1984, doi:10.1145/602259.602261).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rowsmith.errors import StorageError

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Batch(Generic[T]):
    items: Sequence[T]
    done: bool = False
    problem: StorageError | None = None


class GroupCommit(Generic[T]):
    """`write` makes items durable, all or none, or raises StorageError; it is called by one thread at a time."""

    def __init__(self, write: Callable[[list[T]], None]) -> None:
        self._write = write
        self._waiting: list[_Batch[T]] = []
        self._changed = threading.Condition()
        self._busy = False

    def add(self, items: Sequence[T]) -> None:
        """Returns when the items are durable. Raises StorageError: the write that held them failed."""
        batch = _Batch(items)
        with self._changed:
            self._waiting.append(batch)
            while self._busy and not batch.done:
                self._changed.wait()
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
