"""POST /api/v1/models/<name>/promote and /rollback: who is champion, by the functions of the command line.

A promotion goes through the gates, which nobody passes by over HTTP. Judging reads the rows of a training, in a
process of its own, so that requests are answered meanwhile.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import orjson
from flask import Blueprint

from rowsmith.serving.api.body import read_object
from rowsmith.serving.api.traffic import actor_of, fault_in
from rowsmith.serving.endpoint import flask_view
from rowsmith.serving.errors import Problem
from rowsmith.serving.exchange import Reply
from rowsmith.serving.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

blueprint = Blueprint("api_champions", __name__)

PATH = "/api/v1/models/<name>"
_JUDGING = threading.Lock()


def promote(site: Services, environ: WSGIEnvironment, *, name: str) -> Reply:
    """Raises Problem (also where the gates refuse), NotFoundError."""
    from rowsmith.serving.promotion_process import promote_apart  # here: it would slow the start of the server

    document = read_object(environ, ("version", "reason"), max_bytes=site.max_body_bytes)
    faults = [fault for member in ("version", "reason") if (fault := fault_in(document, member, needed=("version",)))]
    if faults:
        raise Problem("invalid-request", "this is no promotion", errors=faults)
    version = site.project.version(document["version"], name)
    if not _JUDGING.acquire(blocking=False):
        raise Problem("busy", "another promotion is being judged", headers={"Retry-After": "5"})
    try:
        told = promote_apart(
            site.project, site.settings, version, reason=document.get("reason", ""), actor=actor_of(environ)
        )
    finally:
        _JUDGING.release()
    return Reply(orjson.dumps(told))


def roll_back(site: Services, environ: WSGIEnvironment, *, name: str) -> Reply:
    """Raises Problem, and NotFoundError where no champion came before."""
    from rowsmith.workflows.promote import rollback  # here: it would slow the start of the server

    document = read_object(environ, ("reason",), max_bytes=site.max_body_bytes)
    if (fault := fault_in(document, "reason")) is not None:
        raise Problem("invalid-request", "this is no reason", errors=[fault])
    entry = rollback(site.project, name=name, reason=document.get("reason", ""), actor=actor_of(environ))
    return Reply(orjson.dumps(entry.to_dict()))


blueprint.add_url_rule(f"{PATH}/promote", "promote", flask_view(promote), methods=["POST"])
blueprint.add_url_rule(f"{PATH}/rollback", "roll_back", flask_view(roll_back), methods=["POST"])
