from __future__ import annotations

import threading

import pytest

from rowsmith.errors import StorageError
from rowsmith.ingestion.behind import Behind


def working() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("test-behind")]


def test_work_is_done_in_order_and_all_of_it() -> None:
    done: list[int] = []
    with Behind("test-behind", waiting=2) as behind:
        for number in range(50):
            behind.do(done.append, number)
        behind.finish()
        assert done == list(range(50))
    assert not working()


def test_no_more_than_so_much_waits() -> None:
    go = threading.Event()
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        go.wait(5)

    with Behind("test-behind", waiting=2) as behind:
        behind.do(work, 0)
        behind.do(work, 1)
        third = threading.Thread(target=behind.do, args=(work, 2))
        third.start()
        third.join(0.05)
        assert third.is_alive() and begun == [0]
        go.set()
        third.join(5)
        behind.finish()
    assert begun == [0, 1, 2]


def test_an_error_reaches_the_caller_and_what_has_not_begun_is_given_up() -> None:
    done: list[int] = []

    def fail() -> None:
        raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="full"), Behind("test-behind", waiting=1) as behind:
        behind.do(fail)
        for number in range(10):
            behind.do(done.append, number)
    assert done == [] and not working()
