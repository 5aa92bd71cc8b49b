"""A server under load that is killed again and again, and what its log holds afterwards.

Every row carries a number of its own and is sent once; half of the clients send one at a time, the others so many that
they are kept as a table. What came back with status 200 was acknowledged.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from tests.serving.browsing import Server
from tests.serving.models import a_row

START_SECONDS = 60.0
CLIENTS = 4
FIRST_NUMBER = 1000.0
MANY = 40


@dataclass
class Load:
    """Clients that ask without a pause. `acknowledged` has the number of each row that was answered, by id."""

    address: str
    acknowledged: dict[str, float] = field(default_factory=dict)
    answers: int = 0
    refused: int = 0
    problems: list[Exception] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count())
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        for client in range(CLIENTS):
            thread = threading.Thread(target=self._ask, args=(MANY if client % 2 else 1,))
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, rows: int) -> None:
        try:
            self._ask_on(rows)
        except Exception as problem:  # told by the test's own thread
            self.problems.append(problem)

    def _ask_on(self, rows: int) -> None:
        while not self._stop.is_set():
            with httpx.Client(trust_env=False, timeout=30.0) as client, suppress(httpx.TransportError):
                while not self._stop.is_set():
                    numbers = [FIRST_NUMBER + next(self._numbers) for _ in range(rows)]
                    asked = [a_row(income=number) for number in numbers]
                    response = client.post(f"{self.address}/api/v1/predict", json={"rows": asked})
                    if response.status_code == 200:
                        ids = [answer["id"] for answer in response.json()["predictions"]]
                        self.acknowledged.update(zip(ids, numbers, strict=True))
                        self.answers += 1
                    else:
                        assert response.status_code == 503, response.text
                        self.refused += 1
                        time.sleep(0.02)
            time.sleep(0.02)


def kill_workers(server: Server) -> None:
    for worker in server.workers():
        worker.kill()


def wait_for_answers(load: Load, more: int) -> None:
    """Until so many more requests were answered."""
    goal, deadline = load.answers + more, time.monotonic() + START_SECONDS
    while load.answers < goal:
        if load.problems:
            raise load.problems[0]
        if time.monotonic() > deadline:
            raise AssertionError(f"no answers; {load.refused} were refused")
        time.sleep(0.01)


def check(acknowledged: dict[str, float], stored: list[tuple[str, float]]) -> str:
    """Every acknowledged prediction is stored as it was asked, and none was stored twice. Answers a summary."""
    by_id = dict(stored)
    lost = [id_ for id_, number in acknowledged.items() if by_id.get(id_) != number]
    twice = [number for number, count in Counter(number for _, number in stored).items() if count > 1]
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged predictions are not in the log"
    assert not twice, f"{len(twice)} predictions were stored twice"
    return f"{len(acknowledged)} acknowledged, {len(stored)} stored, 0 lost, 0 twice"


# A worker that dies within so many seconds of its birth ends the server: granian takes that for a crash loop.
BIRTH_SECONDS = 6.0


def rounds(load: Load, number: int, kill: Callable[[], None], *, pause: float = 0.0, seed: int = 0) -> None:
    """Kill at moments that chance chooses, each time after answers came again and `pause` seconds went by."""
    chance = random.Random(seed)
    for _ in range(number):
        wait_for_answers(load, 20)
        time.sleep(pause + chance.uniform(0, 0.1))
        kill()
    wait_for_answers(load, 20)
