"""The champion in memory: loaded when first needed, and changed when the registry says so."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from rowsmith.errors import RowsmithError
from rowsmith.model import TrainedModel
from rowsmith.registry.versions import Version
from rowsmith.schema import Schema
from rowsmith.serving.errors import Problem
from rowsmith.workflows.deploy import Deployed, deploy
from rowsmith.workflows.project import Project

logger = logging.getLogger("rowsmith.serving")

POLL_SECONDS = 0.3
RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Served:
    """A version that answers. A request holds on to one from its beginning to its end."""

    deployed: Deployed
    folder: Path

    @property
    def version(self) -> Version:
        return self.deployed.version

    @property
    def model(self) -> TrainedModel:
        return self.deployed.model

    @property
    def inputs(self) -> Schema:
        """What a row is asked for: the model's own schema, or the one in front of the project's own features."""
        return self.deployed.inputs

    def to_dict(self) -> dict[str, str | int]:
        return {"name": self.version.name, "version": self.version.number}


class ChampionHolder:
    """Holds the champion of one name. A thread of its own watches the registry, so that no request waits for a load."""

    def __init__(self, project: Project, name: str) -> None:
        self.name = name
        self.fault: str | None = None
        """Why the newest champion is not the one that answers."""
        self._project = project
        self._served: Served | None = None
        self._token: object = None
        self._retry_at = 0.0
        self._refreshing = threading.Lock()
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def current(self) -> Served:
        """The version that answers now. Raises Problem while there is none."""
        if self._watcher is None:
            self._start()
        served = self._served
        if served is None:
            self.refresh()
            served = self._served
        if served is None:
            raise Problem(
                "no-model", self.fault or f'no version of "{self.name}" is champion yet', headers={"Retry-After": "5"}
            )
        return served

    def peek(self) -> Served | None:
        """The same, or None while there is none."""
        try:
            return self.current()
        except Problem:
            return None

    def refresh(self) -> None:
        """Look at the registry once. A champion that cannot be loaded leaves the one before it in place."""
        with self._refreshing:
            try:
                self._follow()
            except Exception as problem:
                # At the edge of a thread: whatever the database or a library raises, the model in memory goes on.
                if self.fault is None:
                    expected = isinstance(problem, RowsmithError)
                    logger.error(
                        "the champion of %s cannot be followed: %s",
                        self.name,
                        problem,
                        exc_info=None if expected else problem,
                    )
                self.fault = _public(problem)

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()

    def _start(self) -> None:
        with self._starting:
            if self._watcher is None:
                self.refresh()
                self._watcher = threading.Thread(target=self._watch, name="rowsmith-champion", daemon=True)
                self._watcher.start()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self.refresh()

    def _follow(self) -> None:
        if self._project.is_empty:
            return
        token = self._project.registry.champion_token(self.name)
        if token == self._token and (self.fault is None or time.monotonic() < self._retry_at):
            return
        # Remembered before the load: a promotion in between is seen the next time.
        self._token = token
        self._retry_at = time.monotonic() + RETRY_SECONDS
        version = self._project.registry.champion(self.name)
        self._served = None if version is None else self._load(version)
        self.fault = None

    def _load(self, version: Version) -> Served:
        if self._served is not None and self._served.version.number == version.number:
            return self._served
        begin = time.monotonic()
        folder = self._project.registry.folder(version)
        served = Served(deploy(self._project, version), folder)
        logger.info(
            "version %s of %s answers from now on (%.2f s)", version.number, version.name, time.monotonic() - begin
        )
        return served


def _public(problem: Exception) -> str:
    """What may be shown of a failure: no path, no text of a library."""
    if isinstance(problem, RowsmithError):
        return f"the champion cannot be loaded: {problem.what}"
    return "the champion cannot be loaded; the server's log says why"
