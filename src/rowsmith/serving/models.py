"""The models of one server: each name of the registry, loaded when first asked for and let go when nobody asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rowsmith.errors import NotFoundError
from rowsmith.registry.versions import NAME
from rowsmith.serving.champion import ChampionHolder, OnRollBack, Route, Served, load, tell_nobody
from rowsmith.serving.errors import Problem
from rowsmith.workflows.project import Project

TIDY_SECONDS = 5.0


class Models:
    """The project's own model, which stays, and the others of its registry, which come and go.

    A model that nobody asked for during `idle_seconds` is let go; so is the one that was asked for longest ago while
    the files of all that are loaded exceed `max_bytes`. A request that is being answered keeps what it has.
    """

    def __init__(
        self,
        project: Project,
        *,
        idle_seconds: float,
        max_bytes: int,
        on_roll_back: OnRollBack = tell_nobody,
    ) -> None:
        self.default = ChampionHolder(project, project.recipe.name, on_roll_back)
        self._on_roll_back = on_roll_back
        self._project = project
        self._idle_seconds = idle_seconds
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._holders: dict[str, ChampionHolder] = {}
        self._named: dict[tuple[str, int], tuple[Served, float]] = {}
        self._stop = threading.Event()
        self._tidier: threading.Thread | None = None

    def get(self, name: str | None = None) -> ChampionHolder:
        """The champion's holder of a name, the project's own when None. Raises Problem (404) for an unknown name."""
        if name is None or name == self.default.name:
            return self.default
        with self._lock:
            holder = self._holders.get(name)
        if holder is None:
            self._require(name)
            with self._lock:
                holder = self._holders.setdefault(name, ChampionHolder(self._project, name, self._on_roll_back))
            holder.refresh()
            self._tidy()
        return holder

    def named(self, name: str | None, ref: str | int) -> Served:
        """A version that the caller names, `champion` or a number, loaded when it is not. Raises Problem (404)."""
        holder = self.get(name)
        champion = holder.peek()
        if str(ref) == "champion" or (champion is not None and str(champion.version.number) == str(ref)):
            return holder.current()
        number = int(ref) if str(ref).isascii() and str(ref).isdecimal() and len(str(ref)) < 10 else 0
        key = holder.name, number
        # One at a time: two requests for the same version must not load it twice.
        with self._loading:
            with self._lock:
                found = self._named.get(key)
            served = found[0] if found else self._load(*key, asked=str(ref))
            with self._lock:
                self._named[key] = served, time.monotonic()
        if found is None:
            self._tidy()
        return served

    def route(
        self,
        rows: Sequence[Mapping[str, Any]],
        *,
        key: str | None = None,
        name: str | None = None,
        ref: str | int | None = None,
    ) -> Route:
        """The one place that says who answers a request. Raises Problem: no such model (404), none yet (503)."""
        if ref is not None:
            return Route(self.named(name, ref), "named")
        return self.get(name).route(rows, key)

    @property
    def size(self) -> int:
        """Bytes of the files of all that is loaded."""
        with self._lock:
            named = sum(served.size for served, _ in self._named.values())
            return self.default.size + named + sum(holder.size for holder in self._holders.values())

    def close(self) -> None:
        self._stop.set()
        with self._lock:
            holders = [self.default, *self._holders.values()]
            self._holders.clear()
            self._named.clear()
        for holder in holders:
            holder.close()

    def _require(self, name: str) -> None:
        known = () if self._project.is_empty else self._project.registry.names()
        if not NAME.fullmatch(name) or name not in known:
            raise Problem("not-found", f"there is no model of this name; there are: {', '.join(known) or 'none yet'}")

    def _load(self, name: str, number: int, *, asked: str) -> Served:
        try:
            return load(self._project, name, number)
        except NotFoundError as problem:
            raise Problem(
                "not-found", f'"{name}" has no version {asked[:20]}; there are: {problem.allowed or "none"}'
            ) from problem

    def _tidy(self) -> None:
        """Let go of what is idle or too much, the longest unused first; the one just asked for stays."""
        now = time.monotonic()
        gone: list[ChampionHolder] = []
        with self._lock:
            uses: list[tuple[float, int, str | tuple[str, int]]] = [
                *((holder.used, holder.size, name) for name, holder in self._holders.items()),
                *((used, served.size, key) for key, (served, used) in self._named.items()),
            ]
            uses.sort(key=lambda use: use[0])
            total = self.default.size + sum(size for _, size, _ in uses)
            for used, size, key in uses:
                too_much = total > self._max_bytes and used != uses[-1][0]
                if now - used <= self._idle_seconds and not too_much:
                    continue
                total -= size
                if isinstance(key, tuple):
                    del self._named[key]
                else:
                    gone.append(self._holders.pop(key))
            if self._tidier is None and uses:
                self._tidier = threading.Thread(target=self._keep_tidy, name="rowsmith-models", daemon=True)
                self._tidier.start()
        for holder in gone:
            # Not here: it may be in the middle of a load.
            threading.Thread(target=holder.close, daemon=True).start()

    def _keep_tidy(self) -> None:
        while not self._stop.wait(min(TIDY_SECONDS, self._idle_seconds)):
            self._tidy()
