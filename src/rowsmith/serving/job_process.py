"""The process in which a job is scored: apart from those that answer requests, so that none of them gets slow or large.

It is told what to do by one line of JSON on standard input, and ends when that is closed: with the server, whatever
ended it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from rowsmith.errors import StorageError
from rowsmith.recipe import Recipe
from rowsmith.serving import logs
from rowsmith.settings import Settings
from rowsmith.types import JsonObject
from rowsmith.workflows.project import Project

STANDARD_INPUT = 0
CHUNK_BYTES = 65_536
NICENESS = 10
ORPHANED = 3

logger = logging.getLogger("rowsmith.jobs")


def order_of(project: Project, settings: Settings, **work: str | int) -> bytes:
    """The line that tells a process what to do. It may hold a password, so it is not an argument."""
    document = {
        "root": str(project.root),
        "recipe": project.recipe.to_dict(),
        "store": str(project.store),
        "database_url": project.database_url,
        "snapshots_at": project.snapshots_at,
        "tracking_uri": project.tracking_uri,
        "trusted_keys": [str(key) for key in project.trusted_keys],
        "log_format": settings.log_format,
        "log_level": settings.log_level,
        "memory_mb": settings.job_memory_mb,
        **work,
    }
    return json.dumps(document).encode() + b"\n"


def begin() -> tuple[Project, JsonObject]:
    """What the order says, and the project it is about, in a process that stays in its bounds from now on."""
    order: JsonObject = json.loads(_first_line())
    threading.Thread(target=_end_with_the_server, name="rowsmith-server", daemon=True).start()
    with suppress(OSError, AttributeError):  # a hardened service may not; and Windows has no such call
        os.nice(NICENESS)
    _limit_memory(order["memory_mb"])
    logs.configure(order["log_format"], order["log_level"])
    project = Project(
        Path(order["root"]),
        Recipe.from_dict(order["recipe"]),
        Path(order["store"]),
        order["database_url"],
        trusted_keys=tuple(map(Path, order["trusted_keys"])),
        snapshots_at=order["snapshots_at"],
        tracking_uri=order["tracking_uri"],
    )
    return project, order


def main() -> None:
    project, order = begin()
    from rowsmith.workflows.jobs import run_job

    try:
        run_job(project, order["id"])
    except StorageError as problem:
        logger.error("job %s cannot go on: %s", order["id"], problem)
        sys.exit(1)
    except Exception as problem:
        logger.error("job %s failed", order["id"], exc_info=problem)
        sys.exit(1)


def _limit_memory(megabytes: int) -> None:
    """A file can say that it is small and unpack to more than the machine has; then this process ends, and no other.

    What counts is memory of its own, without files that are mapped and without what is only reserved.
    """
    if sys.platform != "linux":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = megabytes << 20
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def _first_line() -> bytes:
    """Of standard input, past Python's own buffers: a thread that waits in one of those keeps Python from ending."""
    line = b""
    while not line.endswith(b"\n") and (more := os.read(STANDARD_INPUT, CHUNK_BYTES)):
        line += more
    return line


def _end_with_the_server() -> None:
    os.read(STANDARD_INPUT, 1)
    os._exit(ORPHANED)


if __name__ == "__main__":
    main()
