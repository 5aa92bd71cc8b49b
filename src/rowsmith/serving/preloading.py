"""Preloading: one process imports the application, and the workers of a server are forked from it.

Each worker would otherwise import the same hundred megabytes again. That process (multiprocessing's fork server) does
nothing but import, so that it has no open file, no database and no work of other threads that a fork would break; and
it does so while the command line reads its options and the recipe.
"""

from __future__ import annotations

import multiprocessing
import os
import sys

PRELOADED = "rowsmith.serving.preloaded"
# Workers share the cores: threads of one that spin while they wait would take them from the other.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
    # Older releases of polars warn of any fork; what has only been imported outlives one.
    "POLARS_ALLOW_FORKING_THREAD": "1",
}
# Elsewhere a fork is not to be had (Windows), or breaks what libraries of the system have begun (macOS).
IS_POSSIBLE = sys.platform == "linux"


def begin() -> None:
    """Start that process where it does not run yet; at best long before the first worker is needed.

    Workers have the environment of this moment.
    """
    for name, value in WORKER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not IS_POSSIBLE:
        return
    from multiprocessing import forkserver

    multiprocessing.set_forkserver_preload([PRELOADED])
    forkserver.ensure_running()
