"""POST /api/v1/predict: rows in, logged answers out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson
from flask import Blueprint

from rowsmith.serving.api.body import kind_of, read_object, shape_fault
from rowsmith.serving.endpoint import flask_view
from rowsmith.serving.errors import MAX_FAULTS, Problem
from rowsmith.serving.exchange import Reply
from rowsmith.serving.hot import Hot
from rowsmith.serving.predictor import answer_rows, count
from rowsmith.serving.services import Services
from rowsmith.serving.steps import step
from rowsmith.types import JsonObject

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

blueprint = Blueprint("api_predict", __name__)

PATH = "/api/v1/predict"
MEMBERS = ("rows", "row")


def answer(site: Services, environ: WSGIEnvironment) -> Reply:
    """Rows in, logged answers out."""
    began = time.perf_counter()
    with step("parse"):
        document = read_object(environ, MEMBERS, max_bytes=site.max_body_bytes)
        rows = rows_of(document, max_rows=site.settings.max_rows)
    answers = answer_rows(site.route(environ, rows), rows, site.log, began=began, shadows=site.shadows)
    count(site.meter, answers)
    return Reply(orjson.dumps(answers.to_dict()))


blueprint.add_url_rule(PATH, "predict", flask_view(answer), methods=["POST"])
HOT = Hot(PATH, f"{blueprint.name}.predict", answer)


def rows_of(document: JsonObject, *, max_rows: int) -> list[dict[str, Any]]:
    """The rows of `{"rows": [...]}` or `{"row": {...}}`. Raises Problem for any other shape, and for too many rows."""
    if len(document) != 1:
        raise Problem("invalid-request", 'give either "rows" (an array of objects) or "row" (one object)')
    rows = document["rows"] if "rows" in document else [document["row"]]
    if not isinstance(rows, list):
        raise Problem("invalid-request", f'"rows" must be an array of objects, not {kind_of(rows)}')
    if not rows:
        raise Problem("invalid-request", '"rows" is empty; give at least one row')
    if len(rows) > max_rows:
        raise Problem("invalid-request", f"{len(rows)} rows at once; at most {max_rows} are taken")
    if strangers := [i for i, row in enumerate(rows) if type(row) is not dict]:
        where = "/rows/{}" if "rows" in document else "/row"
        errors = [
            shape_fault(
                where.format(i), f"a row is an object, not {kind_of(rows[i])}", allowed="an object of column: value"
            )
            for i in strangers[:MAX_FAULTS]
        ]
        raise Problem("invalid-request", "every row must be an object", errors=errors, total=len(strangers))
    return rows
