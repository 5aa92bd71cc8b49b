"""LocalFile: bytes on this disk under the name that the user knows them by; streams and packed files are unpacked."""

from __future__ import annotations

import gzip
import os
import tempfile
import weakref
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from rowsmith.errors import SourceError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD_BYTES = 4096
CHUNK_BYTES = 1 << 20
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
PACKED_EXTENSIONS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}


class TemporaryFile:
    """A file of ours that disappears with the last reference to this object, or at the end of the program."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="rowsmith-")
        os.close(handle)
        self.path = Path(name)
        weakref.finalize(self, _remove, self.path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


@dataclass(frozen=True)
class LocalFile:
    """`name` is for people, `path` is where the bytes are, `extension` is that of the unpacked file, lower case.

    `start` is the first byte that counts (after a byte-order mark). `keeper` keeps a temporary file alive.
    """

    name: str
    path: Path
    extension: str = ""
    packing: str = ""
    start: int = 0
    keeper: TemporaryFile | None = None

    @classmethod
    def at(cls, path: Path) -> LocalFile:
        name = Path(path.name.lower())
        packing = PACKED_EXTENSIONS.get(name.suffix, "")
        return cls(str(path), path, Path(name.stem).suffix if packing else name.suffix)

    @property
    def size(self) -> int:
        """Bytes that count."""
        return self.path.stat().st_size - self.start

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """For reading from `start`. Raises SourceError for a file that may not be read."""
        try:
            file = self.path.open("rb")
        except OSError as problem:
            raise SourceError(f"this file cannot be opened: {problem.strerror}", where=self.name) from problem
        with file:
            file.seek(self.start)
            yield file

    def head(self) -> bytes:
        with self.open() as file:
            return file.read(HEAD_BYTES)


def rewritten(file: LocalFile, copy: Callable[[IO[bytes]], None], **changes: object) -> LocalFile:
    """The same file with other bytes: those that `copy` writes to a temporary file. Raises StorageError."""
    keeper = TemporaryFile()
    try:
        with keeper.path.open("wb") as target:
            copy(target)
    except OSError as problem:
        if not isinstance(problem, gzip.BadGzipFile):
            raise StorageError(
                f"there is no room for a temporary copy: {problem.strerror}",
                where=str(keeper.path),
                next_step="set TMPDIR to a folder with more room",
            ) from problem
        raise
    facts = {"name": file.name, "extension": file.extension, "packing": file.packing, **changes}
    return LocalFile(path=keeper.path, keeper=keeper, **facts)  # type: ignore[arg-type]


def spooled(stream: BinaryIO, name: str) -> LocalFile:
    """A copy of a stream on disk, because reading takes more than one pass."""
    return rewritten(LocalFile.at(Path(name)), lambda target: _copy(stream.read, target, name), name=name)


def decompressed(file: LocalFile) -> LocalFile:
    """The file itself, or what is packed in it (gzip, zstd). Raises SourceError for a damaged pack."""
    magic = file.head()[:4]
    if magic.startswith(GZIP):
        return rewritten(file, lambda target: _unpack_gzip(file, target), packing="gzip")
    if magic == ZSTD:
        return rewritten(file, lambda target: _unpack_zstd(file, target), packing="zstd")
    return file


def _copy(read: Callable[[int], bytes], target: IO[bytes], name: str) -> None:
    while chunk := read(CHUNK_BYTES):
        if isinstance(chunk, str):
            raise SourceError("this file is open as text", where=name, next_step='open it with mode "rb"')
        target.write(chunk)


def _unpack_gzip(file: LocalFile, target: IO[bytes]) -> None:
    try:
        with file.open() as packed, gzip.open(packed) as content:
            _copy(content.read, target, file.name)
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise _damaged(file, "gzip", problem) from problem


def _unpack_zstd(file: LocalFile, target: IO[bytes]) -> None:
    import zstandard

    try:
        with (
            file.open() as packed,
            zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as content,
        ):
            _copy(content.read, target, file.name)
    except zstandard.ZstdError as problem:
        raise _damaged(file, "zstd", problem) from problem


def _damaged(file: LocalFile, packing: str, problem: Exception) -> SourceError:
    return SourceError(
        f"this {packing} file is damaged or cut off: {problem}", where=file.name, next_step="fetch or pack it again"
    )
