"""The worker processes of granian's server, forked from a process that has imported the application."""

from __future__ import annotations

import time
from multiprocessing import context, process
from typing import Any

from granian.server.mp import MPServer

from rowsmith.serving.preloading import IS_POSSIBLE

PATIENCE_SECONDS = 5.0
PAUSE_SECONDS = 0.02


class Forked(context.ForkServerProcess):
    """A process of the fork server. Where that was killed, it stops to answer a moment before it is seen to be gone."""

    def start(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                super().start()
                return
            except (ConnectionError, EOFError):
                if time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE_SECONDS)


class Server(MPServer):
    """Granian, which itself would spawn each worker as a fresh interpreter. Where no fork is possible it does."""

    def _spawn_worker(self, *args: Any, **options: Any) -> Any:
        worker = super()._spawn_worker(*args, **options)
        if IS_POSSIBLE and isinstance(worker.inner, process.BaseProcess):
            fresh: Any = worker.inner
            worker.inner = Forked(name=fresh.name, target=fresh._target, args=fresh._args)
        return worker
