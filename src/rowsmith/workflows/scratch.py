"""Scratch: a folder for the files of one piece of work, which hold rows and so must not outlive it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rowsmith.errors import StorageError
from rowsmith.ingestion.incoming import filled, locked, remove_abandoned
from rowsmith.storage.files import writing_to


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that only this user may read, gone at the end.

    A program that is killed cannot clean up; what it left goes with the next call. Raises StorageError.
    """
    root = Path(tempfile.gettempdir()) / f"rowsmith-{os.getuid() if hasattr(os, 'getuid') else 'work'}"
    with writing_to(root):
        root.mkdir(mode=0o700, exist_ok=True)
        _require_own(root)
        lock, folder = root / "lock", root / "work"
        with locked(lock):
            folder.mkdir(exist_ok=True)
            remove_abandoned(folder)
    with filled(folder, lock) as made:
        yield made


def _require_own(root: Path) -> None:
    """The name can be guessed, so somebody else may have been there first on a shared machine."""
    found = root.lstat()
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077):
        raise StorageError(
            "this folder for temporary files is not this user's alone",
            where=str(root),
            next_step="remove it, or set TMPDIR to another folder",
        )
