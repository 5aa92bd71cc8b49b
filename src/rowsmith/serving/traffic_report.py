"""The report on traffic, kept for some seconds: page and API ask for it, and gathering the evidence reads the log."""

from __future__ import annotations

import threading
import time

from rowsmith.serving.services import Services
from rowsmith.types import JsonObject

KEPT_SECONDS = 5.0


class RecentReport:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: object = None
        self._until = 0.0
        self._report: JsonObject = {}

    def of(self, site: Services, name: str) -> JsonObject:
        """See workflows/traffic.py. Raises NotFoundError, StorageError."""
        from rowsmith.workflows.traffic import show  # here: it would slow the start of the server

        token = None if site.project.is_empty else site.project.traffic.token(name)
        key = (str(site.project.store), name, token)
        with self._lock:
            if self._key != key or time.monotonic() > self._until:
                self._report = show(site.project, name).to_dict()
                self._key, self._until = key, time.monotonic() + KEPT_SECONDS
            return self._report


RECENT = RecentReport()
