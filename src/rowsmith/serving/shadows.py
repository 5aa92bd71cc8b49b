"""Shadows: what a challenger would have answered, worked out behind the answers that were given.

A request leaves its rows in a queue of bounded length and goes its way. One thread takes them out; what does not fit is
dropped and counted. Nothing that happens here reaches a caller.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

from rowsmith.monitoring.log import LogEntry, PredictionLog
from rowsmith.monitoring.log_table import Refused
from rowsmith.serving.answers import Answers
from rowsmith.serving.champion import Route, Served
from rowsmith.serving.metrics import Meter

logger = logging.getLogger("rowsmith.serving")

MAX_ROWS = 20_000
CLOSE_SECONDS = 10.0
COUNTER = "shadow"


@dataclass(frozen=True, slots=True)
class Shadowed:
    """An answered request: what was asked, under which ids it was answered (and as which table, where it was one), and
    who is to answer it once more."""

    route: Route
    shadow: Served
    rows: Sequence[Mapping[str, Any]]
    ids: Sequence[str]
    time: datetime
    log: PredictionLog
    table: str | None = None


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
        from rowsmith.serving.predictor import answers_of, conform  # predictor hands over to this file

        shadow, began = shadowed.shadow, perf_counter()
        answers: Answers | None = None
        code = ""
        try:
            answers = answers_of(shadow, conform(shadow.deployed, shadowed.rows))
        except Exception as problem:
            # Whatever a model raises: as a champion it would have failed here, and that is what a shadow is to show.
            logger.info("version %s could not answer as a shadow: %s", shadow.version.number, type(problem).__name__)
            code = type(problem).__name__
        entry = _entry(shadowed, code, (perf_counter() - began) * 1000)
        if shadowed.table is not None:
            common = entry(shadowed.table)
            kept = Refused(common, len(shadowed.ids)) if answers is None else answers.to_log(common)
            shadowed.log.append_tables([kept])
        else:
            each = [(None, None)] * len(shadowed.ids) if answers is None else answers.each()
            items = zip(shadowed.ids, each, strict=True)
            shadowed.log.append([entry(id_, inputs=row, answer=answer) for id_, (row, answer) in items])
        self._count(shadowed, "failed" if code else "answered", len(shadowed.ids))

    def _count(self, shadowed: Shadowed, result: str, rows: int) -> None:
        version = shadowed.shadow.version
        self._meter.add((COUNTER, version.name, str(version.number), result), rows)


def _entry(shadowed: Shadowed, code: str, latency_ms: float) -> Callable[..., LogEntry]:
    """Makes the entry of a shadow's answer from the id of the one that was given."""
    version = shadowed.shadow.version

    def entry(given: str, **said: Any) -> LogEntry:
        return LogEntry(
            id=f"{given}-{version.number}",
            name=version.name,
            version=version.number,
            time=shadowed.time,
            latency_ms=latency_ms,
            status="error" if code else "ok",
            code=code,
            role="shadow",
            experiment=shadowed.route.experiment,
            unit=shadowed.route.unit,
            shadow_of=given,
            **said,
        )

    return entry
