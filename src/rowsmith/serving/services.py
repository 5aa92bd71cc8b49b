"""What views need to answer, in one place: found on the application by `services()`."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

from rowsmith.errors import RowsmithError
from rowsmith.monitoring.log import PredictionLog
from rowsmith.monitoring.log_gap import Gap
from rowsmith.serving.champion import ChampionHolder, Route
from rowsmith.serving.gate import Gate
from rowsmith.serving.job_runner import JobRunner
from rowsmith.serving.metrics import GAP, Meter
from rowsmith.serving.models import Models
from rowsmith.serving.shadows import Shadows
from rowsmith.serving.tracing import Traces, open_traces
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

KEY = "rowsmith"
MEGABYTE = 1 << 20
KEY_HEADER = "HTTP_ROWSMITH_KEY"


@dataclass(frozen=True)
class Services:
    project: Project
    settings: Settings
    models: Models
    shadows: Shadows
    meter: Meter
    gate: Gate

    @property
    def champion(self) -> ChampionHolder:
        """That of the project's own model."""
        return self.models.default

    @cached_property
    def log(self) -> PredictionLog | None:
        """None where this installation keeps no predictions."""
        if not self.settings.log_predictions:
            return None
        log = self.project.open_log(self.gap) if self.settings.log_failure == "go-on" else self.project.log
        log.keep_journal()
        return log

    @cached_property
    def gap(self) -> Gap:
        """Counts what the log could not keep, where predictions go on without it."""
        return Gap(lambda entries: self.meter.add((GAP,), entries))

    @cached_property
    def jobs(self) -> JobRunner:
        return JobRunner(self.project, self.settings)

    @cached_property
    def traces(self) -> Traces:
        """Raises SettingsError where they are asked for and cannot be made."""
        return open_traces(self.settings.otlp_endpoint)

    def get_ready(self) -> None:
        """Load what the first request would wait for: the champion and, meanwhile, the journal of the log, which waits
        for the disk. What fails here is told when it is asked for."""
        if self.project.is_empty:
            return
        opening = threading.Thread(target=self._open_log, name="rowsmith-log-start", daemon=True)
        opening.start()
        self.champion.peek()
        opening.join()

    def _open_log(self) -> None:
        with suppress(RowsmithError):
            if self.log is not None:
                self.log.get_ready()

    def log_lag(self) -> float:
        """For how many seconds acknowledged entries of this process have been on their way to the database."""
        log = self.__dict__.get("log")
        return log.lag_seconds if log is not None else 0.0

    @property
    def max_body_bytes(self) -> int:
        return self.settings.max_body_mb * MEGABYTE

    def route(
        self,
        environ: WSGIEnvironment,
        rows: Sequence[Mapping[str, Any]],
        *,
        name: str | None = None,
        ref: str | int | None = None,
    ) -> Route:
        """Who answers a request, and as whom; nothing else decides this.

        `name` is that of another model than the project's own, `ref` a version that the caller insists on. The header
        Rowsmith-Key says what requests are split by while a traffic rule is in force. Raises Problem: no such model or
        version (404), none yet (503).
        """
        return self.models.route(rows, key=environ.get(KEY_HEADER), name=name, ref=ref)

    def close(self) -> None:
        self.models.close()
        self.shadows.close()
        if "log" in self.__dict__ and self.log is not None:
            self.log.close()
        self.gate.close()
        if "jobs" in self.__dict__:
            self.jobs.close()
        if "traces" in self.__dict__:
            self.traces.close()


def attach(app: Flask, services: Services) -> None:
    app.extensions[KEY] = services


def services() -> Services:
    """Those of the application that handles this request."""
    found = current_app.extensions[KEY]
    assert isinstance(found, Services)
    return found
