"""Folders that are being filled, told from those that a killed program left behind, by locks that die with it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    def _lock(file: IO[bytes], *, wait: bool) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
else:

    def _lock(file: IO[bytes], *, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


ALIVE = ".alive"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One holder at a time, among threads and processes; the operating system takes the lock from a dead one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        _lock(file, wait=True)
        yield


@contextmanager
def filled(folder: Path, lock: Path) -> Iterator[Path]:
    """A new folder under `folder`, gone when the block ends. `lock` is held only while it is made."""
    with locked(lock):
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder))
        alive = (made / ALIVE).open("wb")
        _lock(alive, wait=True)
    try:
        yield made
    finally:
        alive.close()
        shutil.rmtree(made, ignore_errors=True)


def remove_abandoned(folder: Path) -> bool:
    """Remove folders that nobody fills any more; call it while holding the lock. Whether there were any."""
    found = False
    for made in folder.iterdir():
        try:
            with (made / ALIVE).open("ab") as file:
                _lock(file, wait=False)
        except FileNotFoundError:
            pass
        except OSError:  # somebody fills it
            continue
        shutil.rmtree(made, ignore_errors=True)
        found = True
    return found
