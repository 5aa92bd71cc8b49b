"""Group append: durable on return, a refused record leaves nothing, and both makes of it leave the same bytes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from rowsmith.monitoring import group_append, log_journal
from rowsmith.monitoring.group_append import SYNCED, GroupAppendInPython

pytestmark = pytest.mark.skipif(not log_journal.IS_POSSIBLE, reason="this platform has no journals")

PREPARED = 4096
PATIENCE_SECONDS = 60.0
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
        self.told: list[int] = []
        self.tail.turn_to(self.descriptor, os.fsencode(path), path.stat().st_ino, 0)

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()

    def wait_for(self, number: int) -> None:
        """Until so many were told."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.told) < number:
            assert time.monotonic() < deadline, f"{len(self.told)} of {number} were told"
            time.sleep(0.001)


@contextmanager
def writing(opened: Opened) -> Iterator[threading.Thread]:
    """Its writer, in a thread."""
    writer = threading.Thread(target=opened.tail.keep_writing)
    writer.start()
    yield writer
    opened.tail.stop()
    writer.join(PATIENCE_SECONDS)
    assert not writer.is_alive()


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


@pytest.mark.parametrize("has_writer", [True, False])
def test_records_that_are_waited_for_and_others_are_all_there(opened: Opened, has_writer: bool) -> None:
    def work(thread: int) -> None:
        for number in range(50):
            record = f"[{thread}-{number}]".encode()
            if thread % 3:
                opened.tail.append_later(record, opened.told.append)
            else:
                opened.tail.append(record)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(12)]
    with writing(opened) if has_writer else nullcontext():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        opened.wait_for(8 * 50)
    assert opened.told == [0] * 8 * 50
    content = opened.content[: opened.tail.end].decode()
    assert sorted(content[1:-1].split("][")) == sorted(f"{i}-{j}" for i in range(12) for j in range(50))


def test_a_record_is_on_the_disk_when_that_is_told(opened: Opened) -> None:
    found: list[bytes] = []
    with writing(opened):
        for number in range(20):
            opened.tail.append_later(b"%02d" % number, lambda _: found.append(opened.content.rstrip(bytes(1))))
        while len(found) < 20:
            time.sleep(0.001)
    written = b"".join(b"%02d" % number for number in range(20))
    assert all(content.startswith(written[: 2 * number + 2]) for number, content in enumerate(found))


def test_who_does_not_wait_is_told_of_an_error(opened: Opened) -> None:
    opened.tail.append(b"kept")
    with no_file_larger_than(10):
        opened.tail.append_later(b"x" * 30, opened.told.append)
    opened.path.rename(opened.path.with_suffix(".gone"))
    opened.tail.append_later(b"lost", opened.told.append)
    assert opened.told == [errno.EFBIG, errno.ENOENT]
    assert opened.path.with_suffix(".gone").read_bytes() == b"kept" + bytes(PREPARED - 4)


def test_a_function_that_fails_harms_nobody_else(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", failures.append)

    def fail(_: int) -> None:
        raise ValueError("told in vain")

    with writing(opened), suppress(ValueError):
        opened.tail.append_later(b"one", fail)
    with writing(opened):
        opened.tail.append_later(b" two", opened.told.append)
        opened.wait_for(1)
    assert opened.content.rstrip(bytes(1)) == b"one two"


def test_a_writer_ends_and_another_begins(opened: Opened) -> None:
    opened.tail.stop()
    opened.tail.keep_writing()
    for _ in range(3):
        with writing(opened):
            opened.tail.append_later(b".", opened.told.append)
    opened.wait_for(3)
    assert opened.content.rstrip(bytes(1)) == b"..."


@pytest.mark.skipif(not group_append.is_compiled, reason="the twin waits")
def test_who_does_not_wait_and_whose_turn_does_not_come_is_told(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "records", group_append.GroupAppend, patience=0.001)
    refused = number = 0
    with writing(opened):
        while not refused:  # on a busy machine this thread may wake after the large write
            opened.told.clear()
            large = threading.Thread(target=opened.tail.append_later, args=(b"x" * (16 << 20), opened.told.append))
            large.start()
            kept = number
            while large.is_alive():
                opened.tail.append_later(b"[%d]" % number, opened.told.append)
                number += 1
                time.sleep(0.002)
                opened.tail.give_up()
            large.join()
            opened.wait_for(1 + number - kept)
            refused = opened.told.count(errno.ETIMEDOUT)
    os.close(opened.descriptor)
    content = opened.content.replace(b"x", b"").rstrip(bytes(1))
    assert content.count(b"[") == number - refused


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


TRACED = """
import os, sys, threading, tracemalloc
from rowsmith.monitoring.group_append import SYNCED, GroupAppend
tracemalloc.start()
told = []
for round in range(5):
    path = os.path.join(sys.argv[1], str(round))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | SYNCED)
    tail = GroupAppend(0, 60.0)
    tail.turn_to(descriptor, os.fsencode(path), os.fstat(descriptor).st_ino, 0)
    def wait():
        for _ in range(30):
            tail.append(b"x" * 50)
    def leave():
        for _ in range(30):
            tail.append_later(b"y" * 50, told.append)
    threads = [threading.Thread(target=work) for work in (wait, leave) * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(sum(told), "of", len(told))
"""


def test_nothing_waits_for_itself_while_memory_is_traced(tmp_path: Path) -> None:
    """Who asks for memory then asks for the interpreter's lock, too."""
    command = [sys.executable, "-c", TRACED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS)
    assert done.stdout.startswith("0 of")


def test_a_writer_that_ends_leaves_nothing_behind(opened: Opened) -> None:
    is_over = threading.Event()

    def insist() -> None:
        while not is_over.is_set():
            opened.tail.append(b"x" * 20)

    threads = [threading.Thread(target=insist) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        with writing(opened):
            time.sleep(0.002)
    is_over.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads)


def test_nothing_can_be_appended_too(opened: Opened) -> None:
    threads = [threading.Thread(target=lambda: [opened.tail.append(b"") for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened.tail.end == 0
