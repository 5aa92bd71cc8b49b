"""Group append: durable on return, a refused record leaves nothing, and both makes of it leave the same bytes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from rowsmith.monitoring import group_append, log_journal
from rowsmith.monitoring.group_append import SYNCED, GroupAppendInPython

pytestmark = pytest.mark.skipif(not log_journal.IS_POSSIBLE, reason="this platform has no journals")

PREPARED = 4096
MAKES = list(dict.fromkeys([group_append.GroupAppend, GroupAppendInPython]))


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """A disk that takes no more, as far as this process is concerned."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Opened:
    """A file of zeros, and who appends to it."""

    def __init__(self, path: Path, make: Any, patience: float = 60.0) -> None:
        self.path = path
        path.write_bytes(bytes(PREPARED))
        self.descriptor = os.open(path, os.O_RDWR | SYNCED)
        self.tail = make(PREPARED, patience)
        self.tail.turn_to(self.descriptor, os.fsencode(path), path.stat().st_ino, 0)

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()


@pytest.fixture(params=MAKES)
def opened(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    made = Opened(tmp_path / "records", request.param)
    yield made
    os.close(made.descriptor)


def test_both_makes_leave_the_same_bytes(tmp_path: Path) -> None:
    records = [bytes([number]) * (37 * number) for number in range(1, 20)]
    contents = []
    for number, make in enumerate([group_append.GroupAppend, GroupAppendInPython]):
        opened = Opened(tmp_path / f"{number}", make)
        for record in records:
            opened.tail.append(record)
        with no_file_larger_than(opened.tail.end + 5), pytest.raises(OSError):
            opened.tail.append(b"refused" * 10)
        opened.tail.append(b"the last")
        contents.append(opened.content)
        os.close(opened.descriptor)
    whole = b"".join(records) + b"the last"
    assert contents[0] == contents[1]
    assert contents[0].rstrip(bytes(1)) == whole


def test_records_of_many_threads_are_all_there_and_none_twice(opened: Opened) -> None:
    def work(thread: int) -> None:
        for number in range(50):
            opened.tail.append(f"[{thread}-{number}]".encode())

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = opened.content[: opened.tail.end].decode()
    assert sorted(content[1:-1].split("][")) == sorted(f"{i}-{j}" for i in range(12) for j in range(50))


def test_a_file_that_is_turned_to_takes_what_follows(opened: Opened, tmp_path: Path) -> None:
    opened.tail.append(b"before")
    other = tmp_path / "other"
    other.write_bytes(b"kept")
    descriptor = os.open(other, os.O_RDWR | SYNCED)
    assert opened.tail.turn_to(descriptor, os.fsencode(other), other.stat().st_ino, 4) == 6
    opened.tail.append(b" and after")
    os.close(descriptor)
    assert opened.content.rstrip(bytes(1)) == b"before"
    assert other.read_bytes() == b"kept and after"
    assert opened.tail.end == 14


def test_a_refused_record_leaves_nothing(opened: Opened) -> None:
    opened.tail.append(b"kept")
    with no_file_larger_than(10), pytest.raises(OSError, match="too large"):
        opened.tail.append(b"x" * 30)
    assert opened.content == b"kept" + bytes(PREPARED - 4)
    with no_file_larger_than(PREPARED + 10), pytest.raises(OSError, match="too large"):
        opened.tail.append(b"x" * 2 * PREPARED)
    assert opened.content == b"kept"
    opened.tail.append(b" on")
    assert opened.content == b"kept on"


def test_a_file_that_is_no_longer_there_takes_nothing(opened: Opened) -> None:
    opened.path.rename(opened.path.with_suffix(".gone"))
    with pytest.raises(FileNotFoundError):
        opened.tail.append(b"lost")
    opened.path.write_bytes(b"of somebody else")
    with pytest.raises(FileNotFoundError):
        opened.tail.append(b"lost")
    assert opened.content == b"of somebody else"


@pytest.mark.parametrize("make", MAKES)
def test_whose_turn_does_not_come_is_told_and_not_written(tmp_path: Path, make: Any) -> None:
    opened = Opened(tmp_path / "records", make, patience=0.001)

    def insist(record: bytes) -> None:
        while True:
            with suppress(TimeoutError):
                opened.tail.append(record)
                return

    kept: list[bytes] = []
    refused: list[bytes] = []
    while not refused:  # on a busy machine this thread may wake after the large write
        large = threading.Thread(target=insist, args=(b"x" * (16 << 20),))
        large.start()
        while large.is_alive():
            record = f"[{len(kept)}-{len(refused)}]".encode()
            try:
                opened.tail.append(record)
            except TimeoutError:
                refused.append(record)
            else:
                kept.append(record)
        large.join()
    opened.tail.append(b"[the last]")
    os.close(opened.descriptor)
    assert opened.content.replace(b"x", b"").rstrip(bytes(1)) == b"".join([*kept, b"[the last]"])
