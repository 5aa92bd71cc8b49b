from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.ahead import ahead


def test_items_come_in_order_and_end() -> None:
    assert list(ahead(range(100))) == list(range(100))
    assert list(ahead([])) == []
    assert list(ahead([None, 1])) == [None, 1]


def test_one_is_made_ahead_and_no_more() -> None:
    made: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    walk = ahead(items())
    assert next(walk) == 0
    assert second.wait(5)
    assert made == [0, 1]
    walk.close()  # type: ignore[attr-defined]
    assert made == [0, 1] and not [t for t in threading.enumerate() if t.name.startswith("ahead")]


def test_an_error_comes_in_its_turn() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise SourceError("broken", where="row 2")

    walk = ahead(items())
    assert next(walk) == 1
    with pytest.raises(SourceError, match="row 2"):
        next(walk)
