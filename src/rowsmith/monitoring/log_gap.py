"""Gap: what the prediction log could not keep while an owner chose that predictions go on all the same.

After a failure the log is left alone for a second, so that a database that is away does not slow every answer down.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from rowsmith.errors import StorageError

PAUSE_SECONDS = 1.0

logger = logging.getLogger("rowsmith.monitoring")


@dataclass(frozen=True, slots=True)
class Hole:
    """So many answers of this process are not in the log, from the first to the last of them."""

    first: datetime
    last: datetime
    answers: int


class Gap:
    """Counts for one process. `count` is told of every entry that is not kept."""

    def __init__(self, count: Callable[[int], None]) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._hole: Hole | None = None
        self._retry_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the last attempt to keep something failed."""
        return self._hole is not None

    def may_try(self) -> bool:
        return time.monotonic() >= self._retry_at

    def widen(self, entries: int, problem: StorageError | None = None) -> None:
        """Entries were given up; `problem` is why, where it was tried."""
        now = datetime.now(UTC)
        with self._lock:
            if problem is not None:
                self._retry_at = time.monotonic() + PAUSE_SECONDS
            if self._hole is None:
                logger.error("predictions go on and are not kept: %s", problem)
            before = self._hole or Hole(now, now, 0)
            self._hole = Hole(before.first, now, before.answers + entries)
        self._count(entries)

    def close(self) -> Hole | None:
        """The hole that ends now, for whoever writes it down; None where there is none."""
        with self._lock:
            hole, self._hole = self._hole, None
            self._retry_at = 0.0
        if hole is not None:
            logger.warning("predictions are kept again; %d are not in the log", hole.answers)
        return hole
