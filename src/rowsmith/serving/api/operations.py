"""/health, /metrics and /openapi.json: what operators and generators of clients ask for."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response, request

from rowsmith.serving.api.openapi import describe
from rowsmith.serving.metrics import GAP, OPENMETRICS, PROMETHEUS, render
from rowsmith.serving.services import services
from rowsmith.types import JsonObject

blueprint = Blueprint("api_operations", __name__)


@blueprint.get("/health")
def health() -> Response:
    """200 when there is a model to answer, 503 while there is none; `live` is true either way."""
    site = services()
    holder = site.champion
    served = holder.peek()
    document: JsonObject = {"live": True, "ready": served is not None}
    if served is not None:
        document |= {"model": served.version.name, "version": served.version.number}
    if holder.fault is not None:
        document["fault"] = holder.fault
    if site.settings.log_failure == "go-on":
        document["log"] = {"keeping": not site.gap.is_open, "not_kept": int(site.meter.totals().get((GAP,), 0.0))}
    status = 200 if served is not None else 503
    return Response(
        orjson.dumps(document), status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )


@blueprint.get("/metrics")
def metrics() -> Response:
    site = services()
    served = site.champion.peek()
    info = (
        None
        if served is None
        else {"name": served.version.name, "version": str(served.version.number), "task": served.model.task.value}
    )
    openmetrics = "application/openmetrics-text" in request.headers.get("Accept", "")
    text = render(site.meter.totals(), info=info, ready=served is not None, openmetrics=openmetrics)
    return Response(text, content_type=OPENMETRICS if openmetrics else PROMETHEUS)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Made from the champion's schema; raises Problem while there is no champion."""
    site = services()
    rows, keys = site.settings.max_rows, site.gate.asks_for_keys
    document = describe(site.champion.current(), max_rows=rows, asks_for_keys=keys)
    document["servers"] = [{"url": f"{request.script_root}/"}]  # where a proxy has put it
    return Response(orjson.dumps(document), content_type="application/json")
