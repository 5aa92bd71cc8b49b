"""Files: atomic writes, hashes, and paths that stay inside their folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rowsmith.errors import StorageError

CHUNK_BYTES = 1 << 20


def _read_umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# Read once at import: the only way to read it sets it for a moment, which threads would see.
UMASK = _read_umask()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of the bytes, as hexadecimal text."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def inside(root: Path, *parts: str) -> Path:
    """The path of `parts` under `root`. Raises StorageError for one that would lead out of it."""
    path = root.joinpath(*parts).resolve()
    if not path.is_relative_to(root.resolve()):
        raise StorageError("this path leads out of its folder", where=str(root), received="/".join(parts))
    return path


@contextmanager
def writing_to(place: Path) -> Iterator[None]:
    """An OSError inside the block leaves it as StorageError that names `place`."""
    try:
        yield
    except OSError as problem:
        raise StorageError(f"cannot write: {problem.strerror or problem}", where=str(place)) from problem


def write_atomically(path: Path, content: bytes | str) -> None:
    """All of the content or nothing, also after a crash or on a full disk. Raises StorageError."""
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        with writing_to(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes private files; the store is as open as the user's umask says.
            os.chmod(temporary, 0o666 & ~UMASK)
            os.replace(temporary, path)
            temporary = None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


@contextmanager
def folder_in_one_step(final: Path) -> Iterator[Path]:
    """A temporary folder beside `final` that becomes `final` when the block ends well, else disappears.

    An existing `final` is replaced. Raises StorageError.
    """
    with writing_to(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
        try:
            yield temporary
            os.chmod(temporary, 0o777 & ~UMASK)
            _replace_folder(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(new: Path, final: Path) -> None:
    if not final.exists():
        os.replace(new, final)
        return
    old = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.old."))
    os.replace(final, old / "old")
    try:
        os.replace(new, final)
    except OSError:
        os.replace(old / "old", final)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def flush_folder(folder: Path, *, deep: bool = True) -> None:
    """Have the disk confirm a folder's entries and, when `deep`, all that is under it. Raises StorageError."""
    with writing_to(folder):
        for path in [*(folder.rglob("*") if deep else ()), folder]:
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
