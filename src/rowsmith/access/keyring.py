"""Keyring: the keys in force, in memory, so that a request is checked in microseconds.

A thread of its own looks at the database a few times a second; a key that was revoked is refused within a second, and
one that was just made is known within a second. What is looked up is the hash of what was sent: how long that takes
says nothing about the keys that exist.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from rowsmith.access.keys import Key, KeyStore, digest_of
from rowsmith.errors import RowsmithError

POLL_SECONDS = 0.3
NOTE_SECONDS = 5.0

logger = logging.getLogger("rowsmith.access")


class Keyring:
    """`open_store` opens the keys when they are first needed; it is called again after it failed."""

    def __init__(self, open_store: Callable[[], KeyStore]) -> None:
        self._open_store = open_store
        self._store: KeyStore | None = None
        self._revision: tuple[int, int] | None = None
        self._of_digest: dict[bytes, Key] = {}
        self._of_number: dict[int, Key] = {}
        self._used: dict[int, float] = {}
        self._noted_at = 0.0
        self._failing = False
        self._refreshing = threading.Lock()
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def is_known(self) -> bool:
        """Whether the keys were ever read. Until then nobody can be told from a stranger."""
        self._start()
        return self._revision is not None

    def find(self, secret: str) -> Key | None:
        """The key in force that has this secret, or None."""
        self._start()
        return self._in_force(self._of_digest.get(digest_of(secret)))

    def numbered(self, number: int) -> Key | None:
        """The key in force with this number, or None."""
        self._start()
        return self._in_force(self._of_number.get(number))

    def refresh(self) -> None:
        """Look at the database once. While it cannot be read, the keys that are known stay in force."""
        with self._refreshing:
            try:
                self._follow()
                self._failing = False
            except RowsmithError as problem:
                if not self._failing:
                    logger.error("the keys cannot be read: %s", problem)
                self._failing = True

    def close(self) -> None:
        """Stop watching, and write down the last uses."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
            self._noted_at = 0.0
            self.refresh()

    def _in_force(self, key: Key | None) -> Key | None:
        if key is None:
            return None
        if key.expires is not None and time.time() >= key.expires.timestamp():
            return None
        self._used[key.number] = time.time()
        return key

    def _start(self) -> None:
        if self._watcher is not None:
            return
        with self._starting:
            if self._watcher is None:
                self.refresh()
                watcher = threading.Thread(target=self._watch, name="rowsmith-keys", daemon=True)
                watcher.start()
                self._watcher = watcher

    def _watch(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self.refresh()

    def _follow(self) -> None:
        store = self._store = self._store or self._open_store()
        revision = store.revision()
        if revision != self._revision:
            now = datetime.now(UTC)
            alive = [key for key in store.list() if key.in_force(now)]
            self._of_digest = {key.digest: key for key in alive}
            self._of_number = {key.number: key for key in alive}
            self._revision = revision
        if self._used and time.monotonic() - self._noted_at > NOTE_SECONDS:
            used, self._used = self._used, {}
            self._noted_at = time.monotonic()
            store.note_use({number: datetime.fromtimestamp(moment, UTC) for number, moment in dict(used).items()})
