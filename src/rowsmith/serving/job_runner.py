"""Runs the jobs of a store one after another, in one of the processes that share it; each has a process of its own."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from rowsmith.errors import RowsmithError
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project

if TYPE_CHECKING:
    from rowsmith.workflows.jobs import JobStore, Known

logger = logging.getLogger("rowsmith.serving")

LOOK_SECONDS = 1.0
TIDY_SECONDS = 60.0
AGAIN_SECONDS = 5.0
"""Before a job is tried again whose process ended early."""


class JobRunner:
    """A thread that looks for jobs. A job that a process left unfinished, however that ended, is gone on with."""

    def __init__(self, project: Project, settings: Settings) -> None:
        self._project = project
        self._settings = settings
        self._wake = threading.Event()
        self._stopped = False
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._tidied = 0.0

    def start(self) -> None:
        """Look for jobs from now on."""
        with self._starting:
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._work, name="rowsmith-jobs", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """There is a new job, or one less."""
        self.start()
        self._wake.set()

    def close(self) -> None:
        """Stop. A job that is running goes on when a server starts again."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._stopped:
            try:
                if (self._project.store / "jobs").is_dir():
                    self._look()
            except Exception as problem:
                # At the edge of a thread: whatever the disk or the database says, it is tried again.
                expected = isinstance(problem, RowsmithError)
                said = str(problem) if expected else "a fault of the server's"
                logger.error("jobs cannot be run: %s", said, exc_info=None if expected else problem)
                self._pause(AGAIN_SECONDS)
            self._pause(LOOK_SECONDS)

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _look(self) -> None:
        from rowsmith.workflows.jobs import jobs_of

        store = jobs_of(self._project)
        with store.alone() as is_alone:
            if not is_alone:
                return
            store.settle()
            if time.monotonic() - self._tidied > TIDY_SECONDS or not self._tidied:
                store.tidy(self._settings.job_hours)
                self._tidied = time.monotonic()
            while not self._stopped and (known := next(store.unfinished(), None)) is not None:
                self._run(store, known)
                store.settle()

    def _run(self, store: JobStore, known: Known) -> None:
        from rowsmith.serving.job_process import order_of
        from rowsmith.workflows.jobs import give_up

        if give_up(store, known):
            return
        code = self._in_a_process(order_of(self._project, self._settings, id=known.job.id))
        if code != 0 and not self._stopped:
            logger.warning("the process of job %s ended with %s", known.job.id, code)
            if not give_up(store, store.get(known.job.id)):
                self._pause(AGAIN_SECONDS)

    def _in_a_process(self, order: bytes) -> int:
        command = [sys.executable, "-m", "rowsmith.serving.job_process"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        with self._process as process:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.write(order)
                process.stdin.flush()
            while process.poll() is None:
                if self._stopped:
                    process.stdin.close()
                    process.wait()
                    break
                time.sleep(0.05)
        return process.returncode
