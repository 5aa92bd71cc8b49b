"""Shadows: what a challenger would have answered, worked out behind the answers that were given.

A request leaves its rows in a queue of bounded length and goes its way. One thread takes them out; what does not fit is
dropped and counted. Nothing that happens here reaches a caller.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

from rowsmith.monitoring.log import LogEntry, PredictionLog
from rowsmith.serving.champion import Route, Served
from rowsmith.serving.metrics import Meter

logger = logging.getLogger("rowsmith.serving")

MAX_ROWS = 20_000
CLOSE_SECONDS = 10.0
COUNTER = "shadow"


@dataclass(frozen=True, slots=True)
class Shadowed:
    """An answered request: what was asked, under which ids it was answered, and who is to answer it once more."""

    route: Route
    shadow: Served
    rows: Sequence[Mapping[str, Any]]
    ids: Sequence[str]
    time: datetime
    log: PredictionLog


class Shadows:
    """The queue and its thread, which starts with the first request that has a shadow."""

    def __init__(self, meter: Meter, *, max_rows: int = MAX_ROWS) -> None:
        self._meter = meter
        self._max_rows = max_rows
        self._waiting: deque[Shadowed] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def offer(self, shadowed: Shadowed) -> None:
        """Returns at once; rows that there is no room for are dropped and counted."""
        with self._changed:
            fits = self._rows + len(shadowed.rows) <= self._max_rows and not self._closed
            if fits:
                self._rows += len(shadowed.rows)
                self._waiting.append(shadowed)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="rowsmith-shadow", daemon=True)
                    self._thread.start()
                self._changed.notify()
        if not fits:
            self._count(shadowed, "dropped", len(shadowed.rows))

    def close(self) -> None:
        """Answer what waits, as far as there is time, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                shadowed = self._waiting.popleft()
            try:
                self._answer(shadowed)
            except Exception as problem:
                # At the edge of a thread: a log that cannot be written costs these rows, and no caller anything.
                logger.error("a shadow's answers were lost: %s", problem)
                self._count(shadowed, "dropped", len(shadowed.rows))
            with self._changed:
                self._rows -= len(shadowed.rows)

    def _answer(self, shadowed: Shadowed) -> None:
        from rowsmith.serving.predictor import conform, predict  # predictor hands over to this file

        shadow, began = shadowed.shadow, perf_counter()
        try:
            conforming = conform(shadow.deployed, shadowed.rows)
            answers: list[tuple[Mapping[str, Any] | None, Any]] = [
                (item.row, prediction.to_dict())
                for item, prediction in zip(conforming, predict(shadow.model, conforming), strict=True)
            ]
            code = ""
        except Exception as problem:
            # Whatever a model raises: as a champion it would have failed here, and that is what a shadow is to show.
            logger.info("version %s could not answer as a shadow: %s", shadow.version.number, type(problem).__name__)
            answers, code = [(None, None)] * len(shadowed.ids), type(problem).__name__
        latency = (perf_counter() - began) * 1000
        shadowed.log.append(
            [
                LogEntry(
                    id=f"{id_}-{shadow.version.number}",
                    name=shadow.version.name,
                    version=shadow.version.number,
                    time=shadowed.time,
                    inputs=row,
                    answer=answer,
                    latency_ms=latency,
                    status="error" if code else "ok",
                    code=code,
                    role="shadow",
                    experiment=shadowed.route.experiment,
                    unit=shadowed.route.unit,
                    shadow_of=id_,
                )
                for id_, (row, answer) in zip(shadowed.ids, answers, strict=True)
            ]
        )
        self._count(shadowed, "failed" if code else "answered", len(answers))

    def _count(self, shadowed: Shadowed, result: str, rows: int) -> None:
        version = shadowed.shadow.version
        self._meter.add((COUNTER, version.name, str(version.number), result), rows)
