"""POST /api/v1/predict, and the same for a named model or version: rows in, logged answers out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson
from flask import Blueprint

from rowsmith.serving.answers import Answers
from rowsmith.serving.api.arrow import ARROW_TYPE, read_table, write_table
from rowsmith.serving.api.body import kind_of, media_type, read_bytes, read_object, require_type, shape_fault
from rowsmith.serving.endpoint import flask_view
from rowsmith.serving.errors import MAX_FAULTS, Problem
from rowsmith.serving.exchange import JSON_TYPE, Reply
from rowsmith.serving.explaining import explain, require_explainable
from rowsmith.serving.hot import Hot
from rowsmith.serving.predictor import answer_rows
from rowsmith.serving.services import Services
from rowsmith.serving.steps import step
from rowsmith.types import JsonObject

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

blueprint = Blueprint("api_predict", __name__)

PATH = "/api/v1/predict"
OF_MODEL = "/api/v1/models/<name>/predict"
OF_VERSION = "/api/v1/models/<name>/versions/<ref>/predict"
MEMBERS = ("rows", "row")
FLAGS = {"true": True, "false": False}


def answer(site: Services, environ: WSGIEnvironment, name: str | None = None, ref: str | None = None) -> Reply:
    """Rows in, answers out that may be given once the log has them."""
    began = time.perf_counter()
    wants_explanations = is_explained(environ.get("QUERY_STRING", ""))
    with step("parse"):
        rows = read_rows(site, environ)
    route = site.route(environ, rows, name=name, ref=ref)
    if wants_explanations:
        require_explainable(route.served, len(rows))
    answers, pending = answer_rows(site, route, rows, began=began)
    if ARROW_TYPE in environ.get("HTTP_ACCEPT", "") and not wants_explanations:
        return Reply(write_table(answers.to_frame()), ARROW_TYPE, pending=pending)
    return Reply(orjson.dumps(_document(answers, wants_explanations)), pending=pending)


def _document(answers: Answers, wants_explanations: bool) -> JsonObject:
    document = answers.to_dict()
    if wants_explanations:
        explanations = explain(answers.served, answers.conforming)
        for item, explanation in zip(document["predictions"], explanations, strict=True):
            item["explanation"] = explanation
    return document


blueprint.add_url_rule(PATH, "predict", flask_view(answer), methods=["POST"])
blueprint.add_url_rule(OF_MODEL, "predict_of_model", flask_view(answer), methods=["POST"])
blueprint.add_url_rule(OF_VERSION, "predict_of_version", flask_view(answer), methods=["POST"])
HOT = Hot(PATH, f"{blueprint.name}.predict", answer)


def is_explained(query: str) -> bool:
    """Whether `?explain=true` came along. Raises Problem for other words."""
    if not query:
        return False
    words = parse_qs(query, keep_blank_values=True).get("explain", ["false"])
    if len(words) > 1 or words[0] not in FLAGS:
        raise Problem("invalid-request", f"explain must be true or false, not {', '.join(words)[:50]!r}")
    return FLAGS[words[0]]


def read_rows(site: Services, environ: WSGIEnvironment) -> Sequence[Mapping[str, Any]]:
    """The rows of a body, JSON or Arrow. Raises Problem."""
    if media_type(environ) == JSON_TYPE:
        document = read_object(environ, MEMBERS, max_bytes=site.max_body_bytes)
        return rows_of(document, max_rows=site.settings.max_rows)
    require_type(environ, JSON_TYPE, ARROW_TYPE)
    return read_table(read_bytes(environ, max_bytes=site.max_body_bytes), max_rows=site.settings.max_rows)


def rows_of(document: JsonObject, *, max_rows: int) -> list[dict[str, Any]]:
    """The rows of `{"rows": [...]}` or `{"row": {...}}`. Raises Problem for any other shape, and for too many rows."""
    if len(document) != 1:
        raise Problem("invalid-request", 'give either "rows" (an array of objects) or "row" (one object)')
    rows = document["rows"] if "rows" in document else [document["row"]]
    require_rows(rows, "/rows" if "rows" in document else "", max_rows=max_rows)
    return list(rows)


def require_rows(rows: Any, place: str, *, max_rows: int) -> None:
    """An array of objects, not empty and not too long. `place` is the pointer to it. Raises Problem."""
    name = place.removeprefix("/")
    if not isinstance(rows, list):
        raise Problem("invalid-request", f'"{name}" must be an array of objects, not {kind_of(rows)}')
    if not rows:
        raise Problem("invalid-request", f'"{name}" is empty; give at least one row')
    if len(rows) > max_rows:
        raise Problem("invalid-request", f"{len(rows)} rows at once; at most {max_rows} are taken")
    if strangers := [i for i, row in enumerate(rows) if type(row) is not dict]:
        errors = [
            shape_fault(
                f"{place}/{i}" if place else "/row",
                f"a row is an object, not {kind_of(rows[i])}",
                allowed="an object of column: value",
            )
            for i in strangers[:MAX_FAULTS]
        ]
        raise Problem("invalid-request", "every row must be an object", errors=errors, total=len(strangers))
