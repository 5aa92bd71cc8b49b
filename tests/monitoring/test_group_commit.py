"""Group commit: one writes for many, and each learns what became of its own items."""

from __future__ import annotations

import threading
import time

import pytest

from rowsmith.errors import StorageError
from rowsmith.monitoring.group_commit import GroupCommit


def together(commit: GroupCommit[int], numbers: range) -> list[int]:
    """Add each number from a thread of its own and answer those that were refused."""
    refused: list[int] = []

    def work(number: int) -> None:
        try:
            commit.add([number])
        except StorageError:
            refused.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(refused)


def test_those_who_wait_are_written_together() -> None:
    groups: list[list[int]] = []

    def write(items: list[int]) -> None:
        groups.append(items)
        time.sleep(0.05)

    assert together(GroupCommit(write), range(20)) == []
    assert sorted(item for group in groups for item in group) == list(range(20))
    assert len(groups) < 10


def test_one_thread_writes_at_a_time() -> None:
    inside = 0
    most = 0

    def write(items: list[int]) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1

    together(GroupCommit(write), range(30))
    assert most == 1


def test_a_failed_write_is_told_to_all_it_held_and_to_nobody_else() -> None:
    written: list[int] = []
    failed: list[int] = []

    def write(items: list[int]) -> None:
        time.sleep(0.01)
        if not failed:
            failed.extend(items)
            raise StorageError("the disk is full")
        written.extend(items)

    refused = together(GroupCommit(write), range(10))
    assert refused == sorted(failed)
    assert sorted(written + failed) == list(range(10))


def test_an_interrupted_write_holds_nobody_up() -> None:
    calls = 0

    def write(items: list[int]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyboardInterrupt

    commit = GroupCommit(write)
    with pytest.raises(KeyboardInterrupt):
        commit.add([1])
    commit.add([2])
    assert calls == 2
