"""Imported by the process that workers are forked from (see preloading.py): what a worker needs for its first answers.

Nothing here may open a file or run an operation of the dataframe library, whose pool of threads no fork takes along.
What it starts when it is imported (its allocator's threads, which know of forks, and one that waits to remove files of
its streaming engine) does nothing until the first operation.
"""

from __future__ import annotations

import gc
import os
import signal

gc.disable()  # nothing of what is imported is ever garbage

import asyncio  # noqa: E402, F401
import sqlite3  # noqa: E402, F401

import sqlalchemy.dialects.sqlite  # noqa: E402, F401

import rowsmith.serving.app  # noqa: E402
import rowsmith.serving.keeper  # noqa: E402
import rowsmith.serving.turns  # noqa: E402
import rowsmith.serving.workers  # noqa: E402
import rowsmith.training.restorers  # noqa: E402
import rowsmith.transformation.restorers  # noqa: E402
import rowsmith.workflows.artifact  # noqa: E402
import rowsmith.workflows.jobs  # noqa: E402, F401

gc.freeze()  # so that no collection in a worker writes to pages that all of them share
gc.enable()

# A signal for the whole group reaches this process, too; it ends with the last of those it serves.
UNHEARD = (signal.SIGTERM, signal.SIGHUP)


def _hear() -> None:
    for name in UNHEARD:
        signal.signal(name, signal.SIG_DFL)


for name in UNHEARD:
    signal.signal(name, signal.SIG_IGN)
os.register_at_fork(after_in_child=_hear)
