"""The supervisor: hands units to workers, ends what hangs, and survives workers that die.

It sits outside the workers, so that neither a library that does not listen nor a kernel that kills for memory can
end the search. When a worker dies, everything that was running is suspect; the suspects then run one at a time,
so that only the guilty one is given up.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from rowsmith.training.executor import Workplace, worker_died
from rowsmith.training.unit import Unit, UnitResult

GRACE_SECONDS = 10.0
PATIENCE = 3.0
"""A unit is ended when it has taken its own limit so often and then some: it was asked to stop and did not listen.
The grace is for a process that has to start first, on a busy machine."""
DIED = "the worker process died, probably killed for using too much memory"


@dataclass(frozen=True)
class Outcome:
    """What became of a unit: a result, or a message that says why there is none."""

    unit: Unit
    result: UnitResult | None = None
    message: str = ""


class Supervisor:
    """Keeps at most `workplace.workers` units running."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._running: dict[Future[UnitResult], tuple[Unit, float]] = {}
        self._suspects: deque[Unit] = deque()

    @property
    def has_room(self) -> bool:
        return not self._suspects and len(self._running) < self._workplace.workers

    @property
    def under_way(self) -> list[tuple[Unit, float]]:
        """Each running unit with the seconds it has taken so far."""
        now = time.monotonic()
        return [(unit, now - begin) for unit, begin in self._running.values()]

    @property
    def is_idle(self) -> bool:
        return not self._running and not self._suspects

    def start(self, unit: Unit) -> None:
        self._running[self._workplace.submit(unit)] = (unit, time.monotonic())

    def collect(self, seconds: float | None) -> list[Outcome]:
        """Wait for something to end, at most so long; None waits for ever."""
        if not self._running and self._suspects:
            self.start(self._suspects.popleft())
        done = self._workplace.wait(set(self._running), seconds) if self._running else set()
        outcomes: list[Outcome] = []
        dead: list[Unit] = []
        # In the order of their start, so that nothing depends on how a set is ordered.
        for future in [future for future in self._running if future in done]:
            unit, _ = self._running.pop(future)
            problem = future.exception()
            if problem is None:
                outcomes.append(Outcome(unit, future.result()))
            elif worker_died(problem):
                dead.append(unit)
            else:
                outcomes.append(Outcome(unit, message=_words(problem)))
        if dead:
            outcomes += self._bury(dead)
        return outcomes + self._end_overdue()

    def stop(self) -> None:
        """Forget what is running; the workplace ends it."""
        for future in self._running:
            future.cancel()
        self._running.clear()
        self._suspects.clear()

    def _bury(self, dead: list[Unit]) -> list[Outcome]:
        dead += [unit for unit, _ in self._running.values()]
        self._running.clear()
        self._workplace.replace()
        if len(dead) == 1:
            return [Outcome(dead[0], message=DIED)]
        self._suspects.extend(dead)
        return []

    def _end_overdue(self) -> list[Outcome]:
        now = time.monotonic()
        overdue = [
            unit
            for unit, begin in self._running.values()
            if unit.seconds is not None and now > begin + unit.seconds * PATIENCE + GRACE_SECONDS
        ]
        if not overdue or not self._workplace.can_kill:
            return []
        others = [unit for unit, _ in self._running.values() if unit not in overdue]
        self._running.clear()
        self._workplace.replace()
        for unit in others:
            self.start(unit)
        return [Outcome(unit, message="it did not end in its time and was stopped") for unit in overdue]


def _words(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}"[:500]
