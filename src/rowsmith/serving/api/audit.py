"""GET /api/v1/audit: who changed what, and when."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response, request

from rowsmith.serving.errors import Problem
from rowsmith.serving.services import services
from rowsmith.storage.audit import AuditLine, lines
from rowsmith.types import JsonObject

blueprint = Blueprint("api_audit", __name__)

LINES = 100
MAX_LINES = 10_000


@blueprint.get("/api/v1/audit")
def audit() -> Response:
    """The latest lines, oldest first; `?limit=` says how many."""
    given = request.args.get("limit", str(LINES))
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= MAX_LINES):
        raise Problem("invalid-request", f"limit is a whole number from 1 to {MAX_LINES}")
    project = services().project
    found = () if project.is_empty else lines(project.database, limit=int(given))
    return Response(orjson.dumps({"lines": [line_to_dict(line) for line in found]}), content_type="application/json")


def line_to_dict(line: AuditLine) -> JsonObject:
    return {
        "position": line.position,
        "time": line.time.isoformat(),
        "actor": line.actor,
        "action": line.action,
        "subject": line.subject,
        "details": line.details,
    }
