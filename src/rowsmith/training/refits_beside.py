"""Refits beside the search: which of them wait, and what time for trials they leave to the next worker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from rowsmith.recipe import TrainSection
from rowsmith.training.budget import Clock
from rowsmith.training.choice import choose
from rowsmith.training.data import TrainingData
from rowsmith.training.ensemble import Effort
from rowsmith.training.objective import Objective
from rowsmith.training.refit import Waiting, shared_out, unit_of, waiting_for, wanted
from rowsmith.training.trials import Run, Status
from rowsmith.training.unit import Unit

LOOK_SHARE = 0.03
"""Of the time, that may be spent on looking what the ensemble would be now."""
LOOK_ROWS = 10_000


class RefitsBeside:
    """The refits of a search that has a deadline."""

    def __init__(self, data: TrainingData, objective: Objective, options: TrainSection, clock: Clock) -> None:
        self._data = data
        self._objective = objective
        self._options = options
        self._clock = clock
        self._members: list[Run] = []
        self._known = 0
        self._next_look = 0.0
        self._begun: set[int] = set()

    def look(self, runs: Sequence[Run], effort: Effort, folds: int) -> None:
        """See what the ensemble would consist of now, as often as that can be afforded."""
        done = sum(run.status is Status.OK for run in runs)
        begin = time.monotonic()
        if done == self._known or begin < self._next_look:
            return
        effort = replace(effort, rows=min(effort.rows, LOOK_ROWS))
        self._members = wanted(choose(self._data, self._objective, runs, self._options, effort, folds))
        self._known = done
        end = time.monotonic()
        self._next_look = end + (end - begin) / LOOK_SHARE

    def waiting(self, under_way: Sequence[float], workers: int) -> list[Waiting]:
        """Those that the other workers leave to the next one, or could; sets the time that it keeps back for them.

        `under_way` are the seconds that the units of the other workers are expected to go on for.
        """
        room = self._clock.room
        if room is None:
            return []
        # Since the last look some may have been overtaken by so many that they were forgotten.
        members = [run for run in self._members if run.is_complete and run.id not in self._begun]
        third = self._clock.third
        rooms = ([max(room - seconds, 0.0) for seconds in under_way] + [room] * workers)[: workers - 1]
        taken, own = shared_out(
            waiting_for(members, self._data), min(room, third), [min(other, third) for other in rooms]
        )
        self._clock.refits = own
        return taken

    def next_unit(self, waiting: Sequence[Waiting]) -> Unit | None:
        """The longest one, where no trial fits beside it."""
        if not waiting:
            return None
        run = max(waiting, key=lambda one: one.seconds).run
        self._begun.add(run.id)
        return replace(unit_of(run, self._options.seed, self._objective.absolute), seconds=self._clock.room)
