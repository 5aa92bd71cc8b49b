"""What views need to answer, in one place: found on the application by `services()`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from flask import Flask, current_app

from rowsmith.monitoring.log import PredictionLog
from rowsmith.serving.champion import ChampionHolder, Served
from rowsmith.serving.gate import Gate
from rowsmith.serving.metrics import Meter
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

KEY = "rowsmith"
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Services:
    project: Project
    settings: Settings
    champion: ChampionHolder
    meter: Meter
    gate: Gate

    @cached_property
    def log(self) -> PredictionLog | None:
        """None where this installation keeps no predictions."""
        if not self.settings.log_predictions:
            return None
        log = self.project.log
        log.keep_journal()
        return log

    @property
    def max_body_bytes(self) -> int:
        return self.settings.max_body_mb * MEGABYTE

    def served(self, environ: WSGIEnvironment) -> Served:
        """The version that answers a request; nothing else decides this. Raises Problem while there is none."""
        return self.champion.current()

    def close(self) -> None:
        self.champion.close()
        if "log" in self.__dict__ and self.log is not None:
            self.log.close()
        self.gate.close()


def attach(app: Flask, services: Services) -> None:
    app.extensions[KEY] = services


def services() -> Services:
    """Those of the application that handles this request."""
    found = current_app.extensions[KEY]
    assert isinstance(found, Services)
    return found
