"""Rate limits: a bucket for each key, which all worker processes of a server share.

A bucket holds as many requests as its key may make in a minute, and fills at that rate. It is kept as one number, the
time at which it would be full again (the generic cell rate algorithm, ITU-T I.371), in a memory-mapped file.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where one process serves
    fcntl = None  # type: ignore[assignment]

WINDOW_SECONDS = 60.0
SLOT = struct.Struct("<d")
SLOTS = 8192
"""Keys with numbers that far apart share a bucket, which makes their limit stricter, never looser."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may go on, how many more may follow at once, and in how many seconds that is different."""

    allowed: bool
    remaining: int
    reset_seconds: float


class RateLimiter:
    """Buckets in `folder`, or those of this process alone."""

    def __init__(self, folder: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._handle = -1
        if folder is None:
            self._map = mmap.mmap(-1, SLOT.size * SLOTS)
            return
        self._handle = os.open(folder / "rates", os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._handle, SLOT.size * SLOTS)
        self._map = mmap.mmap(self._handle, SLOT.size * SLOTS)

    def take(self, number: int, rate: int, now: float | None = None) -> Verdict:
        """One request of the key `number`, which may make `rate` a minute. `now` is that of time.monotonic."""
        now = time.monotonic() if now is None else now
        offset = SLOT.size * (number % SLOTS)
        cost = WINDOW_SECONDS / rate
        with self._alone(offset):
            full_at = max(SLOT.unpack_from(self._map, offset)[0], now)
            allowed = full_at + cost - now <= WINDOW_SECONDS * (1 + 1e-9)
            if allowed:
                full_at += cost
                SLOT.pack_into(self._map, offset, full_at)
        free = max(WINDOW_SECONDS - (full_at - now), 0.0)
        reset = full_at - now if allowed else max(cost - free, 0.0)
        return Verdict(allowed, int(free / cost + 1e-6), reset)

    def close(self) -> None:
        self._map.close()
        if self._handle >= 0:
            os.close(self._handle)

    @contextmanager
    def _alone(self, offset: int) -> Iterator[None]:
        with self._lock:
            if self._handle < 0 or fcntl is None:
                yield
                return
            fcntl.lockf(self._handle, fcntl.LOCK_EX, SLOT.size, offset)
            try:
                yield
            finally:
                fcntl.lockf(self._handle, fcntl.LOCK_UN, SLOT.size, offset)
