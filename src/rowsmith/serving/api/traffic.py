"""GET /api/v1/traffic: the rule in force, the evidence so far, and every event."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response

from rowsmith.serving.services import services
from rowsmith.serving.traffic_report import RECENT

blueprint = Blueprint("api_traffic", __name__)


@blueprint.get("/api/v1/traffic")
def traffic() -> Response:
    """Of the project's own model. Raises NotFoundError where nothing was ever trained."""
    site = services()
    report = RECENT.of(site, site.champion.name)
    return Response(orjson.dumps(report, option=orjson.OPT_SERIALIZE_NUMPY), content_type="application/json")
