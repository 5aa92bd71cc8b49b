"""GroupAppend: records of many threads appended to a file, durably, at the price of few writes.

Compiled where the installation had a compiler (`_group_append.c`): a thread need not wait for its record then, and a
writer in a thread of its own tells of many at once. The twin here leaves the same bytes, and whoever brings a record
waits for it.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from rowsmith.errors import StorageError
from rowsmith.monitoring.group_commit import GroupCommit

SYNCED = getattr(os, "O_DSYNC", 0)
"""A write returns when it is on the disk; where there is no such flag, `fsync` is called."""


class GroupAppendInPython:
    """The file is opened with SYNCED and has `prepared` bytes of zeros; a record waits for its turn for `patience`
    seconds."""

    def __init__(self, prepared: int, patience: float) -> None:
        self.end = 0
        """Where the records of the file end."""
        self._prepared = prepared
        self._commit: GroupCommit[bytes] = GroupCommit(self._write, patience=patience)
        self._writing = threading.Lock()
        self._descriptor, self._path, self._number = -1, b"", 0

    def turn_to(self, descriptor: int, path: bytes, number: int, end: int) -> int:
        """What follows goes to another file, from `end` on. Returns where the records of the one before end.

        `number` is that of its inode: a file that was deleted can be written to without an error as long as it is open.
        """
        with self._writing:
            before, self.end = self.end, end
            self._descriptor, self._path, self._number = descriptor, path, number
        return before

    def append(self, record: bytes) -> None:
        """Returns when the record is on the disk.

        Raises OSError: the write that held it failed and left nothing, or it was not its turn in time (TimeoutError).
        """
        try:
            self._commit.add([record])
        except StorageError as problem:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from problem

    def append_later(self, record: bytes, told: Callable[[int], object]) -> None:
        """`told` is called in some thread, with 0 when the record is on the disk, with the number of an error when it
        is not kept. It must not append and wait."""
        try:
            self.append(record)
        except OSError as problem:
            told(problem.errno or errno.EIO)
        else:
            told(0)

    def keep_writing(self) -> None:
        """The writer, in a thread of its own; returns after `stop`."""

    def stop(self) -> None:
        """The writer ends when nothing is left."""

    def give_up(self) -> None:
        """To be called now and then: who is told later, and whose turn did not come in time, is told so."""

    def _write(self, records: Sequence[bytes]) -> None:
        content = b"".join(records)
        with self._writing:
            try:
                if os.stat(self._path).st_ino != self._number:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
                write_at(self._descriptor, content, self.end)
            except OSError:
                self._forget(len(content))
                raise
            self.end += len(content)

    def _forget(self, length: int) -> None:
        """What a failed write may have left; nobody is told that it is kept, so it must not be found later."""
        with suppress(OSError):
            if self.end + length > self._prepared:
                os.ftruncate(self._descriptor, self.end)
            else:
                write_at(self._descriptor, bytes(length), self.end)


def write_at(descriptor: int, content: bytes, place: int) -> None:
    """All of it is on the disk on return. Raises OSError."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, place)
        view, place = view[written:], place + written
    if not SYNCED:
        os.fsync(descriptor)


class Tail(Protocol):
    """What both makes have."""

    @property
    def end(self) -> int: ...

    def turn_to(self, descriptor: int, path: bytes, number: int, end: int, /) -> int: ...

    def append(self, record: bytes, /) -> None: ...

    def append_later(self, record: bytes, told: Callable[[int], object], /) -> None: ...

    def keep_writing(self) -> None: ...

    def stop(self) -> None: ...

    def give_up(self) -> None: ...


GroupAppend: Callable[[int, float], Tail] = GroupAppendInPython
try:
    from rowsmith.monitoring import _group_append
except ImportError:  # also of one that an earlier release left behind
    is_compiled = False
else:
    is_compiled = True
    GroupAppend = _group_append.GroupAppend
