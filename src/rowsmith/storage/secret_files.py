"""Secrets that an installation makes for itself: files of random bytes that only their owner may read."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from rowsmith.errors import StorageError
from rowsmith.storage.files import writing_to

SECRET_BYTES = 32


def secret_file(path: Path) -> bytes:
    """The secret in `path`, made at first use. Any number of processes may ask at once; all get the same.

    Raises StorageError where it cannot be made, is not whole, or can be read by others.
    """
    with writing_to(path):
        if not path.exists():
            _make(path)
        return _read(path)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces the secret that another process made in the meantime.
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise StorageError(
            "this secret can be read by other users", where=str(path), next_step=f"close it: chmod 600 {path}"
        )
    content = path.read_bytes()
    if len(content) != SECRET_BYTES:
        raise StorageError(
            "this secret is damaged",
            where=str(path),
            received=f"{len(content)} bytes",
            allowed=f"{SECRET_BYTES} bytes",
            next_step="restore it from a backup",
        )
    return content
