"""/api/v1/traffic: the rule in force, the evidence so far, and every event; a rule put in force, and ended."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import orjson
from flask import Blueprint

from rowsmith.errors import UsageError
from rowsmith.registry.traffic import RULES, TrafficEvent
from rowsmith.serving.api.body import kind_of, read_object, shape_fault
from rowsmith.serving.endpoint import flask_view
from rowsmith.serving.errors import Problem
from rowsmith.serving.exchange import JSON_TYPE, Reply
from rowsmith.serving.gate import CALLER
from rowsmith.serving.services import Services
from rowsmith.serving.traffic_report import RECENT
from rowsmith.types import JsonObject

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

blueprint = Blueprint("api_traffic", __name__)

PATH = "/api/v1/traffic"
MEMBERS = ("kind", "version", "share", "key", "slow_ms", "alpha", "reason")
MAX_TEXT = 1000
MAX_VERSION = 10**9
NUMBERS = ("share", "slow_ms", "alpha")
TEXTS = ("key", "reason")
SHARES = {"shadow": 1.0, "canary": 0.05, "split": 0.5}
"""Where none is given, as on the command line."""


def show(site: Services, environ: WSGIEnvironment) -> Reply:
    """Of the project's own model. Raises NotFoundError where nothing was ever trained."""
    report = RECENT.of(site, site.champion.name)
    return Reply(orjson.dumps(report, option=orjson.OPT_SERIALIZE_NUMPY), JSON_TYPE)


def begin(site: Services, environ: WSGIEnvironment) -> Reply:
    """Put a rule in force, in place of the one before it. Raises Problem, NotFoundError."""
    from rowsmith.workflows import traffic  # here: it would slow the start of the server

    document = read_object(environ, MEMBERS, max_bytes=site.max_body_bytes)
    faults = [fault for name in MEMBERS if (fault := fault_in(document, name, needed=("kind", "version")))]
    if faults:
        raise Problem("invalid-request", "this is no rule of traffic", errors=faults)
    kind = document.pop("kind")
    version = document.pop("version")
    options: JsonObject = {"share": SHARES[kind]} | document
    try:
        event = traffic.begin(site.project, kind, version, actor=actor_of(environ), **options)
    except UsageError as problem:
        raise _refused(problem) from problem
    return _told(event)


def stop(site: Services, environ: WSGIEnvironment) -> Reply:
    """Let the champion answer alone again. Raises Problem, NotFoundError where it does already."""
    from rowsmith.workflows import traffic  # here: it would slow the start of the server

    document = read_object(environ, ("reason",), max_bytes=site.max_body_bytes)
    if (fault := fault_in(document, "reason")) is not None:
        raise Problem("invalid-request", "this is no reason", errors=[fault])
    return _told(traffic.stop(site.project, reason=document.get("reason", ""), actor=actor_of(environ)))


def _told(event: TrafficEvent) -> Reply:
    return Reply(orjson.dumps(event.to_dict()), JSON_TYPE)


def actor_of(environ: WSGIEnvironment) -> str:
    """Whom the audit names for what a request changes."""
    return f"{environ[CALLER].name} (API)"


def _refused(problem: UsageError) -> Exception:
    """A rule that makes no sense; that something does not exist is told as it is."""
    from rowsmith.errors import NotFoundError

    if isinstance(problem, NotFoundError):
        return problem
    allowed = f"; allowed: {problem.allowed}" if problem.allowed else ""
    return Problem("invalid-request", f"{problem.what}{allowed}")


def fault_in(document: JsonObject, name: str, *, needed: Collection[str] = ()) -> JsonObject | None:
    """What is wrong with the form of a member; what its value means is for the workflow to judge."""
    if name not in document:
        return shape_fault(f"/{name}", f"there is no {name}", allowed=_allowed(name)) if name in needed else None
    value = document[name]
    if _is_well_formed(name, value):
        return None
    return shape_fault(f"/{name}", f"{name} is {_allowed(name)}, not {kind_of(value)}", allowed=_allowed(name))


def _is_well_formed(name: str, value: Any) -> bool:
    if name == "kind":
        return value in RULES if isinstance(value, str) else False
    if name == "version":
        return type(value) is int and 1 <= value <= MAX_VERSION
    if name in NUMBERS:
        return type(value) in (int, float) and math.isfinite(value) and value > 0
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _allowed(name: str) -> str:
    if name == "kind":
        return " or ".join(RULES)
    if name == "version":
        return "the number of a version"
    return "a number above 0" if name in NUMBERS else f"text of up to {MAX_TEXT} characters"


blueprint.add_url_rule(PATH, "traffic", flask_view(show))
blueprint.add_url_rule(PATH, "begin", flask_view(begin), methods=["PUT"])
blueprint.add_url_rule(f"{PATH}/stop", "stop", flask_view(stop), methods=["POST"])
