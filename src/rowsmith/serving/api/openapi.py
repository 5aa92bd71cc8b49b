"""The OpenAPI 3.1 document, made from the champion's schema.

It describes our own API, and the protocols of others as this server speaks them.
"""

from __future__ import annotations

from rowsmith.schema import Schema
from rowsmith.serving.api import openapi_champions, openapi_inference, openapi_jobs, openapi_scoring, openapi_traffic
from rowsmith.serving.api.arrow import ARROW_TYPE
from rowsmith.serving.api.audit import LINES, MAX_LINES
from rowsmith.serving.api.openapi_parts import (
    FAULT,
    MODEL_NAME,
    MODEL_REF,
    PROBLEM,
    REQUEST_ID,
    answer,
    array,
    listing,
    problem_response,
    problems,
    ref,
)
from rowsmith.serving.api.openapi_rows import answers, feedback, rows
from rowsmith.serving.champion import Served
from rowsmith.serving.examples import example_row
from rowsmith.serving.exchange import JSON_TYPE
from rowsmith.serving.idempotency import MAX_KEY
from rowsmith.types import JsonObject
from rowsmith.version import __version__

OPEN = frozenset({"/health", *openapi_inference.OPEN, *openapi_scoring.OPEN})
"""Answered without a key."""
EXPLAIN: JsonObject = {
    "name": "explain",
    "in": "query",
    "description": "Whether each answer comes with the contribution of each column; at most 100 rows then",
    "schema": {"enum": ["true", "false"], "default": "false"},
}
SPLIT_KEY: JsonObject = {
    "name": "Rowsmith-Key",
    "in": "header",
    "description": "What requests are split by while a traffic rule is in force: a customer, say",
    "schema": {"type": "string"},
}
IDEMPOTENCY_KEY: JsonObject = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Chosen by the caller; the same request with the same key is answered as it was the first time",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
}


def describe(served: Served, *, max_rows: int, asks_for_keys: bool) -> JsonObject:
    """The whole document for the model that answers now."""
    target = served.inputs.target
    what = target.name if target else "the target"
    document: JsonObject = {
        "openapi": "3.1.0",
        "info": {
            "title": f"{served.version.name}: predictions of {what}",
            "version": f"{served.version.number}",
            "summary": f"Version {served.version.number} of {served.version.name}, served by Rowsmith {__version__}",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(served),
        "components": {
            "schemas": {
                **rows(served, max_rows),
                **answers(served.model),
                **feedback(served.model, max_rows),
                **_listings(),
                **openapi_jobs.schemas(),
                **openapi_champions.schemas(),
                **openapi_traffic.schemas(),
                **openapi_inference.schemas(served),
                **openapi_scoring.schemas(served, max_rows),
                "Problem": PROBLEM,
                "Fault": FAULT,
            },
            "responses": {"Problem": problem_response(), **openapi_inference.responses()},
        },
    }
    if asks_for_keys:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
        for path, item in document["paths"].items():
            for operation in item.values():
                operation["responses"] |= problems(401, 403, 429)
                if path in OPEN:
                    operation["security"] = []
    return document


def _paths(served: Served) -> JsonObject:
    schema = served.inputs
    return {
        "/api/v1/predict": {"post": _predict(schema, "predict", "Predict one row or many")},
        "/api/v1/models/{name}/predict": {
            "post": _predict(schema, "predictByModel", "Predict with the champion of a model", MODEL_NAME)
        },
        "/api/v1/models/{name}/versions/{ref}/predict": {
            "post": _predict(schema, "predictByVersion", "Predict with one version of a model", MODEL_NAME, MODEL_REF)
        },
        "/api/v1/labels": {"post": _labels()},
        "/api/v1/models": {"get": _get("models", "Models and their champions", "Models", 503)},
        "/api/v1/models/{name}/versions": {
            "get": _get("versions", "Versions of a model", "Versions", 404, 503, parameters=(MODEL_NAME,))
        },
        **openapi_champions.paths(),
        **openapi_traffic.paths(),
        **openapi_jobs.paths(),
        "/api/v1/audit": {"get": _audit()},
        "/health": {"get": _health()},
        **openapi_inference.paths(served),
        **openapi_scoring.paths(served),
    }


def _predict(schema: Schema, operation: str, summary: str, *place: JsonObject) -> JsonObject:
    row = example_row(schema)
    as_json = {
        "schema": ref("PredictRequest"),
        "examples": {"one": {"value": {"row": row}}, "many": {"value": {"rows": [row, row]}}},
    }
    stream: JsonObject = {"schema": {"description": "An Arrow IPC stream, uncompressed, with the columns of Row"}}
    given = answer("The answers, in the order of the rows", "Predictions")
    given["content"][ARROW_TYPE] = {"schema": {"description": "id, prediction, and probability_<label> or low, high"}}
    return {
        "operationId": operation,
        "summary": summary,
        "description": "An answer that is given is kept. Refused rows are listed, each with its faults.",
        "parameters": [*place, EXPLAIN, SPLIT_KEY],
        "requestBody": {"required": True, "content": {JSON_TYPE: as_json, ARROW_TYPE: stream}},
        "responses": {"200": given, **problems(400, 404, 408, 413, 415, 422, 503)},
    }


def _labels() -> JsonObject:
    kept = answer("How many were kept", "LabelsOutcome")
    kept["headers"] = REQUEST_ID | {
        "Idempotency-Replayed": {
            "description": "Whether this is the answer to an earlier request with the same key",
            "schema": {"enum": ["true"]},
        }
    }
    return {
        "operationId": "label",
        "summary": "Report true outcomes by the id of a prediction",
        "parameters": [IDEMPOTENCY_KEY],
        "requestBody": {"required": True, "content": {JSON_TYPE: {"schema": ref("LabelsRequest")}}},
        "responses": {"200": kept, **problems(400, 408, 409, 413, 415, 422, 503)},
    }


def _get(operation: str, summary: str, name: str, *errors: int, parameters: tuple[JsonObject, ...] = ()) -> JsonObject:
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": list(parameters),
        "responses": {"200": answer(summary, name), **problems(*errors)},
    }


def _audit() -> JsonObject:
    limit = {
        "name": "limit",
        "in": "query",
        "description": "How many lines",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LINES, "default": LINES},
    }
    return _get("audit", "The latest changes, the oldest first (role admin)", "Audit", 422, 503, parameters=(limit,))


def _health() -> JsonObject:
    found = _get("health", "Whether the server lives and has a model", "Health")
    found["responses"]["503"] = answer("There is no model to answer yet", "Health")
    return found


def _listings() -> JsonObject:
    text, number, number_or_none = {"type": "string"}, {"type": "integer"}, {"type": ["integer", "null"]}
    version = listing(
        version=number,
        created={"type": "string", "format": "date-time"},
        metric=text,
        score={"type": ["number", "null"]},
        snapshot=text,
        recipe=text,
        artifact=text,
        champion={"type": "boolean"},
    )
    line = listing(
        position=number,
        time={"type": "string", "format": "date-time"},
        actor=text,
        action=text,
        subject=text,
        details={"type": "object"},
    )
    health: JsonObject = {"live": {"type": "boolean"}, "ready": {"type": "boolean"}}
    optional = {"model": text, "version": number, "fault": text}
    return {
        "Models": listing(models=array(listing(name=text, champion=number_or_none))),
        "Versions": listing(name=text, versions=array(version)),
        "Audit": listing(lines=array(line)),
        "Health": {"type": "object", "properties": health | optional, "required": list(health)},
    }
