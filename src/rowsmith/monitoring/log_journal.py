"""Journal of the prediction log: a file to which entries are appended and synced before an answer is given.

A database takes one writer at a time, and each of its commits writes several pages. A file of one's own is appended to
at the price of one synced write, whatever the other processes do. A thread moves what was appended to the database a
few times a second, many entries in a transaction, and fills the file with zeros again: to write where a file has its
blocks already takes half of the time that it takes to make it longer. So an entry is durable when `write` returns, and
in the database a moment later (`catch_up` waits for that moment).

Moving is safe to repeat, since an id that is stored already is left as it is. The files of a process that died are
moved by whoever finds them: a process holds a lock on its own as long as it lives. Where the database takes nothing for
some seconds, or less than comes in, `write` refuses: the journal is a short way to the database, not a second one.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from rowsmith.errors import StorageError
from rowsmith.monitoring.group_append import SYNCED, GroupAppend, write_at
from rowsmith.monitoring.log_entries import Row

try:
    import fcntl
except ImportError:  # Windows has no such locks; entries go to the database at once
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger("rowsmith.monitoring")

HEAD = struct.Struct("<II")
"""Of a record: the length of what follows, and its CRC-32."""
LENGTH = struct.Struct("<I")
"""What follows is the length of JSON, the JSON of rows, and the bytes that stand beside it: where a row has bytes,
the JSON has their length in brackets."""
SUFFIX = ".journal"
MOVE_SECONDS = 0.25
PATIENCE_SECONDS = 5.0
"""How long the database may take nothing before no more is acknowledged."""
FIRST_BYTES = 1 << 20
MOST_BYTES = 32 << 20
ROWS_A_MOVE = 4096
ADVICE = {
    errno.ENOSPC: "free some space and try again; what was acknowledged before is safe",
    errno.ENOENT: "restore the folder from a backup; what comes in meanwhile is refused",
}
NOWHERE = -1, b"", 0, 0
Tell: TypeAlias = Callable[[StorageError | None], object]
"""Told None when what was written is durable, else why it is not kept."""
IS_POSSIBLE = fcntl is not None


@dataclass(slots=True)
class _File:
    path: Path
    descriptor: int
    number: int
    """Of its inode."""
    end: int = 0
    """Where its entries end, while nothing is written to it."""


class LogJournal:
    """`store` makes rows durable in the database, and leaves those with a known id as they are."""

    def __init__(self, folder: Path, store: Callable[[Sequence[Row]], None]) -> None:
        self._folder = folder
        self._store = store
        self._tail = GroupAppend(FIRST_BYTES, PATIENCE_SECONDS)
        self._changing = threading.Condition()
        self._moving = threading.Lock()
        self._starting = threading.Lock()
        self._active: _File | None = None
        self._spare: _File | None = None
        self._trouble: StorageError | None = None
        self._behind_since: float | None = None
        self._stop = threading.Event()
        self._threads: tuple[threading.Thread, ...] = ()

    @property
    def lag_seconds(self) -> float:
        """For how long entries have been waiting to be moved; 0 where none is."""
        since = self._behind_since
        return 0.0 if since is None else time.monotonic() - since

    def start(self) -> None:
        """Move what processes that died have left, and make the files; the first `write` does it otherwise.

        Raises StorageError.
        """
        with self._starting:
            if self._threads:
                return
            _make(self._folder)
            read_through(self._folder, self._store)
            self._active, self._spare = _create(self._folder), _create(self._folder)
            self._turn_to(self._active)
            self._stop.clear()
            self._behind_since = self._trouble = None
            self._threads = (
                _begun(self._keep_moving, "rowsmith-log"),
                _begun(self._keep_patience, "rowsmith-log-patience"),
                _begun(self._tail.keep_writing, "rowsmith-log-writer"),
            )

    def write(self, rows: Sequence[Row], tell: Tell | None = None) -> None:
        """Rows are durable on return. Any number of threads. Raises StorageError: none of them is kept.

        With `tell` it may return before, and whether they are kept is told in some thread, where nothing may be
        written and waited for.
        """
        payload = pack(rows)
        if not self._threads:
            self.start()
        if self._tail.end > MOST_BYTES or self.lag_seconds > PATIENCE_SECONDS:
            self._wait_for_room()
        record = HEAD.pack(len(payload), zlib.crc32(payload)) + payload
        if tell is not None:
            self._tail.append_later(record, partial(self._told, tell))
            return
        try:
            self._tail.append(record)
        except OSError as problem:
            raise self._refusal(problem) from problem
        self._note_waiting()

    def _told(self, tell: Tell, error: int) -> None:
        if error:
            tell(self._refusal(OSError(error, os.strerror(error))))
        else:
            self._note_waiting()
            tell(None)

    def _note_waiting(self) -> None:
        if self._behind_since is None:
            self._behind_since = time.monotonic()

    def _refusal(self, problem: OSError) -> StorageError:
        if isinstance(problem, TimeoutError):
            return _slow()
        return StorageError(
            f"the prediction log cannot be written: {problem.strerror or problem}",
            where=str(self._folder),
            next_step=ADVICE.get(problem.errno or 0, "check the folder and its disk, and try again"),
        )

    def catch_up(self) -> None:
        """Move what this process has acknowledged so far. Raises StorageError."""
        with self._moving:
            self._move()

    def close(self) -> None:
        """Move the rest and remove the files. What cannot be moved stays for the next process."""
        with self._starting:
            if not self._threads:
                return
            self._stop.set()
            self._tail.stop()
            for thread in self._threads:
                thread.join()
            self._threads = ()
            self._let_go()

    def _let_go(self) -> None:
        with self._moving:
            try:
                self._move()
            except StorageError as problem:
                logger.error("the rest of the prediction log waits in %s: %s", self._folder, problem)
            assert self._active is not None
            self._active.end = self._tail.turn_to(*NOWHERE)
            for file in (self._active, self._spare):
                assert file is not None
                if file.end == 0:
                    file.path.unlink(missing_ok=True)
                os.close(file.descriptor)
            self._active = self._spare = None

    def _wait_for_room(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._changing:
            while self._tail.end > MOST_BYTES and self._trouble is None:
                if not self._changing.wait(max(deadline - time.monotonic(), 0.0)):
                    raise _slow()
            if self.lag_seconds > PATIENCE_SECONDS:
                raise self._trouble or _slow()

    def _keep_patience(self) -> None:
        """In a thread of its own: a disk that does not answer holds up the writer, and the mover with it."""
        while not self._stop.wait(PATIENCE_SECONDS / 5):
            self._tail.give_up()

    def _keep_moving(self) -> None:
        while not self._stop.wait(MOVE_SECONDS):
            try:
                with self._moving:
                    self._move()
            except Exception as problem:
                # At the edge of a thread: whatever happened, what was acknowledged stays, and is tried again.
                expected = isinstance(problem, StorageError)
                if self._trouble is None:
                    logger.error(
                        "the prediction log cannot be moved to the database: %s",
                        problem,
                        exc_info=None if expected else problem,
                    )
                with self._changing:
                    self._trouble = problem if isinstance(problem, StorageError) else _slow()
                    self._changing.notify_all()

    def _move(self) -> None:
        """First what an earlier move left, then what has come since."""
        if self._active is None or self._spare is None:
            return
        self._empty(self._spare)
        began = time.monotonic()
        self._active, self._spare = self._spare, self._active
        self._spare.end = self._turn_to(self._active)
        self._empty(self._spare)
        with self._changing:
            self._trouble = None
            self._behind_since = None
            if self._tail.end:  # looked at afterwards: whoever writes from here on sees that nothing waits
                self._behind_since = began
            self._changing.notify_all()

    def _turn_to(self, file: _File) -> int:
        """What is written from now on goes to a file. Returns where the entries of the one before end."""
        return self._tail.turn_to(file.descriptor, os.fsencode(file.path), file.number, file.end)

    def _empty(self, file: _File) -> None:
        if file.end == 0:
            return
        store_records(os.pread(file.descriptor, file.end, 0), self._store, file.path)
        write_at(file.descriptor, bytes(file.end), 0)
        if file.end > FIRST_BYTES:
            os.ftruncate(file.descriptor, FIRST_BYTES)
        file.end = 0


def read_through(folder: Path, store: Callable[[Sequence[Row]], None]) -> None:
    """Bring what any process of this machine has acknowledged so far into the database. The files of processes that
    have died are removed. Raises StorageError."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue  # its owner has just moved it
        except OSError as problem:
            raise StorageError(f"cannot read a journal: {problem.strerror}", where=str(path)) from problem
        try:
            is_orphan = _lock(descriptor)
            store_records(_content(path), store, path)
            if is_orphan:
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def waiting_rows(folder: Path) -> Iterator[Row]:
    """What any process of this machine has acknowledged and not yet moved, which is left where it is."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        yield from _rows_of(_content(path), path)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _rows_of(content: bytes, path: Path) -> list[Row]:
    try:
        return [row for record in _records(content) for row in unpack(record)]
    except (ValueError, struct.error, LookupError, TypeError) as problem:
        raise StorageError(
            "a journal holds entries that this release cannot read, so another one has written it",
            where=str(path),
            next_step="start that release once, which moves them to the database, or move the file away",
        ) from problem


def store_records(content: bytes, store: Callable[[Sequence[Row]], None], path: Path) -> None:
    """Those of the journal at `path`. Raises StorageError."""
    rows = _rows_of(content, path)
    for start in range(0, len(rows), ROWS_A_MOVE):
        store(rows[start : start + ROWS_A_MOVE])


def pack(rows: Sequence[Row]) -> bytes:
    beside: list[bytes] = []

    def put_beside(value: Any) -> list[int]:
        beside.append(value)
        return [len(value)]

    text = orjson.dumps(rows, default=put_beside)
    return b"".join((LENGTH.pack(len(text)), text, *beside))


def unpack(payload: bytes) -> list[Row]:
    (length,) = LENGTH.unpack_from(payload)
    position = LENGTH.size + length
    rows: list[list[Any]] = orjson.loads(payload[LENGTH.size : position])
    for row in rows:
        if type(row[-1]) is list:
            (length,) = row[-1]
            row[-1] = payload[position : position + length]
            position += length
    return list(rows)


def _records(content: bytes) -> Iterator[bytes]:
    """Up to the first that is not whole: a crash cut it off, and nobody was told that it was kept."""
    position = 0
    while position + HEAD.size <= len(content):
        length, check = HEAD.unpack_from(content, position)
        payload = content[position + HEAD.size : position + HEAD.size + length]
        if len(payload) < length or zlib.crc32(payload) != check or not payload:
            return
        yield payload
        position += HEAD.size + length


def _begun(work: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StorageError(
            f"cannot make the folder of the prediction log's journals: {problem.strerror}", where=str(folder)
        ) from problem


def _create(folder: Path) -> _File:
    """An empty file that is this process's own. Whoever adopts files may take it away before it is locked."""
    for attempt in range(100):
        path = folder / f"{time.time_ns():x}-{os.getpid()}-{attempt}{SUFFIX}"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | SYNCED, 0o600)
        except FileExistsError:
            continue
        except OSError as problem:
            raise StorageError(
                f"cannot make the journal of the prediction log: {problem.strerror}", where=str(folder)
            ) from problem
        if _lock(descriptor) and os.fstat(descriptor).st_nlink:
            _prepare(descriptor, folder)
            return _File(path, descriptor, os.fstat(descriptor).st_ino)
        os.close(descriptor)
    raise StorageError("cannot make the journal of the prediction log", where=str(folder))


def _prepare(descriptor: int, folder: Path) -> None:
    """Blocks for the file, and its name in the folder, on the disk."""
    try:
        write_at(descriptor, bytes(FIRST_BYTES), 0)
        os.fsync(descriptor)
        above = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(above)
        finally:
            os.close(above)
    except OSError as problem:
        os.close(descriptor)
        raise StorageError(
            f"cannot make the journal of the prediction log: {problem.strerror}",
            where=str(folder),
            next_step="free some space and try again",
        ) from problem


def _slow() -> StorageError:
    return StorageError("the prediction log is moved more slowly than predictions come", next_step="try again")


def _lock(descriptor: int) -> bool:
    assert fcntl is not None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
