"""The versions of one name that answer: loaded when first needed, and changed when the registry says so."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from rowsmith.errors import RowsmithError
from rowsmith.model import TrainedModel
from rowsmith.monitoring.log import Role
from rowsmith.registry.traffic import Rule, TrafficEvent
from rowsmith.registry.versions import Version
from rowsmith.schema import Schema
from rowsmith.serving.errors import Problem
from rowsmith.serving.examples import example_row
from rowsmith.serving.version_files import evaluation_of
from rowsmith.workflows.deploy import Deployed, deploy
from rowsmith.workflows.project import Project

if TYPE_CHECKING:
    from rowsmith.evaluation.explain import Explainer

logger = logging.getLogger("rowsmith.serving")

POLL_SECONDS = 0.2
RETRY_SECONDS = 5.0
# Who was replaced stays loaded for so long: a roll back is quickest when it is needed most.
KEEP_SECONDS = 600.0
# A canary is judged this often; less often where it takes so long that it would keep a core busy.
JUDGE_SECONDS = 2.0
JUDGE_SHARE = 0.05

OnRollBack: TypeAlias = Callable[[TrafficEvent], object]


def tell_nobody(_: TrafficEvent) -> None:
    """For those who do not want to be told."""


@dataclass(frozen=True)
class Served:
    """A version that answers. A request holds on to one from its beginning to its end. `size` is that of its files."""

    deployed: Deployed
    folder: Path
    size: int = 0

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

    @cached_property
    def explainer(self) -> Explainer | None:
        """None where the version was made without what explanations start from."""
        from rowsmith.evaluation.explain import Explainer  # here: few requests ask for an explanation

        stored = evaluation_of(self.folder).get("explain_background")
        return Explainer(self.model, stored) if stored else None

    def to_dict(self) -> dict[str, str | int]:
        return {"name": self.version.name, "version": self.version.number}


@dataclass(slots=True)  # not frozen, since one is made for each request
class Route:
    """Who answers one request, and as whom. `experiment` and `unit` are set while a traffic rule is in force.

    Where `served` cannot answer, `instead` does: the caller of a canary sees no failure. `shadow` is asked as well,
    later and for the log alone.
    """

    served: Served
    role: Role = "champion"
    experiment: int | None = None
    unit: str | None = None
    instead: Served | None = None
    shadow: Served | None = None


@dataclass(frozen=True, slots=True)
class _Standing:
    """Replaced as a whole, so that a request never sees half of a change."""

    champion: Served
    rule: Rule | None = None
    challenger: Served | None = None

    @property
    def size(self) -> int:
        return self.champion.size + (self.challenger.size if self.challenger else 0)


class ChampionHolder:
    """Holds the champion of one name and its challenger. A thread of its own watches the registry, so that no request
    waits for a load."""

    def __init__(self, project: Project, name: str, on_roll_back: OnRollBack = tell_nobody) -> None:
        """`on_roll_back` is told when this process took a challenger back."""
        self.name = name
        self.fault: str | None = None
        """Why the newest champion, or its challenger, is not the one that answers."""
        self.used = time.monotonic()
        """When it was last asked for."""
        self._project = project
        self._on_roll_back = on_roll_back
        self._standing: _Standing | None = None
        self._before: tuple[Served, float] | None = None
        self._token: object = None
        self._retry_at = 0.0
        self._judge: threading.Thread | None = None
        self._judge_at = 0.0
        self._refreshing = threading.Lock()
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def size(self) -> int:
        """Bytes of the files of what is loaded."""
        standing = self._standing
        before = self._before
        return (standing.size if standing else 0) + (before[0].size if before else 0)

    def current(self) -> Served:
        """The champion. Raises Problem while there is none."""
        return self._found().champion

    def peek(self) -> Served | None:
        """The same, or None while there is none."""
        try:
            return self.current()
        except Problem:
            return None

    def route(self, rows: Sequence[Mapping[str, Any]], key: str | None = None) -> Route:
        """Who answers a request: by the caller's key, else by what the rule names, else by its rows.

        All rows of a request are answered by one version. Raises Problem while there is no champion.
        """
        standing = self._found()
        rule, challenger = standing.rule, standing.challenger
        if rule is None or challenger is None:
            return Route(standing.champion)
        unit = rule.unit(_key_of(rule, rows, key))
        is_challengers = rule.is_challengers(unit)
        if rule.kind == "shadow":
            shadow = challenger if is_challengers else None
            return Route(standing.champion, "champion", rule.position, unit, shadow=shadow)
        if is_challengers:
            role: Role = "canary" if rule.kind == "canary" else "challenger"
            return Route(challenger, role, rule.position, unit, instead=standing.champion)
        return Route(standing.champion, "champion", rule.position, unit)

    def refresh(self) -> None:
        """Look at the registry once. A champion that cannot be loaded leaves the one before it in place."""
        with self._refreshing:
            try:
                self._follow()
            except Exception as problem:
                # At the edge of a thread: whatever the database or a library raises, the model in memory goes on.
                self._complain("champion", problem)

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        for thread in (self._watcher, self._judge):
            if thread is not None and thread.is_alive():
                thread.join()

    def _found(self) -> _Standing:
        self.used = time.monotonic()
        if self._watcher is None:
            self._start()
        standing = self._standing
        if standing is None:
            self.refresh()
            standing = self._standing
        if standing is None:
            raise Problem(
                "no-model", self.fault or f'no version of "{self.name}" is champion yet', headers={"Retry-After": "5"}
            )
        return standing

    def _start(self) -> None:
        with self._starting:
            if self._watcher is None:
                self.refresh()
                self._watcher = threading.Thread(target=self._watch, name="rowsmith-champion", daemon=True)
                self._watcher.start()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self.refresh()
            if self._before is not None and time.monotonic() > self._before[1]:
                self._before = None
            self._let_judge()

    def _follow(self) -> None:
        if self._project.is_empty:
            return
        token = self._project.traffic.token(self.name)
        if token == self._token and (self.fault is None or time.monotonic() < self._retry_at):
            return
        # Remembered before the load: a promotion in between is seen the next time.
        self._token = token
        self._retry_at = time.monotonic() + RETRY_SECONDS
        version = self._project.registry.champion(self.name)
        if version is None:
            self._standing = None
        else:
            # Who was promoted answers at once; the challenger of a rule joins when it is loaded.
            champion = self._load(version.number)
            if self._standing is not None and self._standing.champion is not champion:
                self._before = self._standing.champion, time.monotonic() + KEEP_SECONDS
            rule = self._project.traffic.rule(self.name)
            if rule is not None and rule.champion != version.number:
                rule = None
            if rule is None or self._held(rule.challenger) is None:
                self._standing = _Standing(champion)
            if rule is not None:
                try:
                    self._standing = _Standing(champion, rule, self._load(rule.challenger))
                except Exception as problem:
                    self._complain("challenger", problem)
                    return
        self.fault = None

    def _held(self, number: int) -> Served | None:
        standing = self._standing
        before = self._before[0] if self._before else None
        loaded = (standing.champion, standing.challenger, before) if standing else ()
        return next((served for served in loaded if served and served.version.number == number), None)

    def _load(self, number: int) -> Served:
        held = self._held(number)
        return held if held is not None else load(self._project, self.name, number)

    def _complain(self, who: str, problem: Exception) -> None:
        if self.fault is None:
            expected = isinstance(problem, RowsmithError)
            logger.error(
                "the %s of %s cannot be followed: %s", who, self.name, problem, exc_info=None if expected else problem
            )
        self.fault = _public(who, problem)

    def _let_judge(self) -> None:
        """See to it that a canary is judged, in a thread of its own: following the registry waits for nothing."""
        standing = self._standing
        if standing is None or standing.rule is None or standing.rule.kind != "canary":
            return
        if (self._judge is None or not self._judge.is_alive()) and time.monotonic() >= self._judge_at:
            self._judge = threading.Thread(
                target=self._judge_once, args=(standing,), name="rowsmith-judge", daemon=True
            )
            self._judge.start()

    def _judge_once(self, standing: _Standing) -> None:
        from rowsmith.workflows.traffic import roll_back_if_worse  # here: it would slow the start of the server

        assert standing.rule is not None
        # The core's time, not the clock's: on a busy machine a challenger is not looked at less often.
        begin = time.thread_time()
        try:
            event = roll_back_if_worse(self._project, self.name, standing.rule, standing.champion.model.schema)
            if event is not None:
                logger.warning("version %s of %s was taken back: %s", event.challenger, self.name, event.reason)
                self._on_roll_back(event)
        except Exception as problem:
            # At the edge of a thread: a look that failed is made again.
            logger.error("the canary of %s could not be judged: %s", self.name, problem)
        spent = time.thread_time() - begin
        self._judge_at = time.monotonic() + max(JUDGE_SECONDS, spent / JUDGE_SHARE)


def load(project: Project, name: str, ref: str | int) -> Served:
    """A version, ready to answer. Raises NotFoundError, ArtifactError, StorageError."""
    begin = time.monotonic()
    version = project.registry.get(name, ref)
    folder = project.registry.folder(version)
    size = sum(path.stat().st_size for path in folder.glob("model/**/*") if path.is_file())
    served = Served(deploy(project, version), folder, size)
    _answer_once(served)
    logger.info("version %s of %s is ready to answer (%.2f s)", version.number, name, time.monotonic() - begin)
    return served


def _answer_once(served: Served) -> None:
    """So that no caller waits for what is made at the first answer."""
    from rowsmith.serving.predictor import conform, predict  # predictor answers for what this file found

    try:
        predict(served.model, conform(served.deployed, [example_row(served.inputs)]))
    except Exception as problem:
        # Whatever the model or the project's own features raise: a row that is asked about may fare better.
        logger.info("version %s could not answer an example: %s", served.version.number, type(problem).__name__)


def _key_of(rule: Rule, rows: Sequence[Mapping[str, Any]], key: str | None) -> str:
    if key:
        return key
    first = rows[0] if rows else {}
    if rule.key and first.get(rule.key) is not None:
        return str(first[rule.key])
    try:
        return orjson.dumps(list(rows), default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # whole numbers beyond 64 bits, half a surrogate pair: whether a row fits is not judged here
        return repr([sorted(row.items(), key=lambda item: str(item[0])) for row in rows])


def _public(who: str, problem: Exception) -> str:
    """What may be shown of a failure: no path, no text of a library."""
    if isinstance(problem, RowsmithError):
        return f"the {who} cannot be loaded: {problem.what}"
    return f"the {who} cannot be loaded; the server's log says why"
