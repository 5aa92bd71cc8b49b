"""Memory: what this process may still use, and how many rows can be trained on with it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rowsmith.training.budget import MAIN_MB

COPIES = 6.0
"""How many times over the processes hold a table, in its own form, while it is split, encoded and learned from."""
EXAMINED_MB = 250.0
"""What the examination of a large table leaves behind in the main process."""
SHARE_OF_FREE = 0.8
LEAST_SHARE = 0.1
LEAST_ROWS = 1000
CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def rows_that_fit(limit_mb: float, bytes_of_row: float) -> int:
    """Rows whose table can be trained on within a limit for all processes; a limit that is too small gets a few."""
    room = max(limit_mb - MAIN_MB - EXAMINED_MB, LEAST_SHARE * limit_mb) * 1e6
    return max(int(room / (COPIES * max(bytes_of_row, 1.0))), LEAST_ROWS)


def available_mb() -> int | None:
    """What is free on the machine, or within the limit of a container, less a reserve; None where nobody knows."""
    known = [free for free in (_free_on_machine(), *(_free_in_container(*files) for files in CGROUPS)) if free]
    return int(SHARE_OF_FREE * min(known)) if known else None


def _free_on_machine() -> float | None:
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    except (OSError, ValueError):
        found = None
    if found:
        return int(found[1]) / 1024
    try:  # nobody says what is free, and others use some of it
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**21
    except (AttributeError, OSError, ValueError):
        return None


def _free_in_container(limit: str, used: str) -> float | None:
    try:
        return (int(Path(limit).read_text()) - int(Path(used).read_text())) / 2**20
    except (OSError, ValueError):  # no container, or "max"
        return None
