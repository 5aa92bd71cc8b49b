"""POST /api/v1/labels: the true outcome of predictions, by their ids."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson
from flask import Blueprint

from rowsmith.conform import frame_of_rows
from rowsmith.serving.api.body import kind_of, object_in, read_bytes, require_type, shape_fault
from rowsmith.serving.endpoint import flask_view
from rowsmith.serving.errors import Problem
from rowsmith.serving.exchange import JSON_TYPE, Reply
from rowsmith.serving.idempotency import once
from rowsmith.serving.services import Services
from rowsmith.types import JsonObject

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

blueprint = Blueprint("api_labels", __name__)

MAX_ID = 100


def keep(site: Services, environ: WSGIEnvironment) -> Reply:
    """Outcomes in, how many were kept out. An Idempotency-Key may come along."""
    require_type(environ, JSON_TYPE)
    body = read_bytes(environ, max_bytes=site.max_body_bytes)
    return once(site, environ, body, lambda: _keep(site, body))


def _keep(site: Services, body: bytes) -> Reply:
    document = object_in(body, ("labels",))
    pairs = pairs_of(document, max_rows=site.settings.max_rows)
    if site.project.is_empty:
        raise Problem("no-model", "nothing was ever predicted here")
    if served := site.champion.peek():
        from rowsmith.workflows.monitor import require_outcomes  # here: it would slow the start of the server

        outcomes = frame_of_rows([{"label": label} for _, label in pairs])["label"]
        require_outcomes(outcomes, served.model.schema, where="labels")
    result = site.project.log.label(pairs, actor="api")
    return Reply(orjson.dumps(asdict(result)))


blueprint.add_url_rule("/api/v1/labels", "labels", flask_view(keep), methods=["POST"])


def pairs_of(document: JsonObject, *, max_rows: int) -> list[tuple[str, str | float]]:
    """`{"labels": [{"id": ..., "label": ...}]}` as pairs. Raises Problem with every item at fault."""
    items = document.get("labels")
    if not isinstance(items, list) or not items:
        raise Problem(
            "invalid-request", f'"labels" must be an array of objects with "id" and "label", not {kind_of(items)}'
        )
    if len(items) > max_rows:
        raise Problem("invalid-request", f"{len(items)} labels at once; at most {max_rows} are taken")
    errors = [fault for number, item in enumerate(items) if (fault := _fault(number, item)) is not None]
    if errors:
        raise Problem("invalid-request", "some labels cannot be read; none was kept", errors=errors)
    return [(item["id"], item["label"]) for item in items]


def _fault(number: int, item: Any) -> JsonObject | None:
    place = f"/labels/{number}"
    if not isinstance(item, dict) or set(item) != {"id", "label"}:
        return shape_fault(place, 'an item has exactly "id" and "label"', allowed='{"id": "...", "label": ...}')
    if not isinstance(item["id"], str) or not 0 < len(item["id"]) <= MAX_ID:
        return shape_fault(f"{place}/id", "an id is the text that came with the prediction", allowed="a string")
    if item["label"] is None or isinstance(item["label"], list | dict):
        return shape_fault(
            f"{place}/label",
            f"a label is one value, not {kind_of(item['label'])}",
            allowed="a string, a number, true or false",
        )
    return None
