"""Keeper: a thread that tidies the prediction log once in a while, in one worker of a server at a time."""

from __future__ import annotations

import logging
import threading

from rowsmith.errors import RowsmithError
from rowsmith.settings import Settings
from rowsmith.storage.locks import alone
from rowsmith.workflows.project import Project

FIRST_SECONDS = 60.0
EVERY_SECONDS = 3600.0

logger = logging.getLogger("rowsmith.serving")


class Keeper:
    """Starts when a worker does; waits a minute first, so that it does not stand in the way of the first answers."""

    def __init__(self, project: Project, settings: Settings, *, first: float = FIRST_SECONDS) -> None:
        self._project = project
        self._settings = settings
        self._first = first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="rowsmith-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        pause = self._first
        while not self._stop.wait(pause):
            pause = EVERY_SECONDS
            try:
                self.tidy()
            except RowsmithError as problem:
                logger.error("the prediction log was not tidied: %s", problem)
            except OSError:
                logger.exception("the prediction log was not tidied")

    def tidy(self) -> bool:
        """Once; False where another process is at it. Raises StorageError."""
        if self._project.is_empty or not self._project.store.is_dir():
            return False
        from rowsmith.workflows.tidy import tidy  # here: it would slow the start of the server

        with alone(self._project.store / ".tidying") as is_alone:
            if is_alone:
                settings = self._settings
                done = tidy(
                    self._project,
                    compact_days=settings.log_compact_days,
                    keep_days=settings.log_keep_days,
                    actor="server",
                )
                if done.moved or done.removed:
                    logger.info("prediction log: %d entries moved to files, %d removed", done.moved, done.removed)
        return is_alone
