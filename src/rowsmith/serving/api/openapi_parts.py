"""Pieces that every part of the OpenAPI document is made of."""

from __future__ import annotations

from rowsmith.serving.errors import KINDS, PROBLEM_TYPE
from rowsmith.serving.exchange import JSON_TYPE
from rowsmith.types import JsonObject

PROBLEM: JsonObject = {
    "type": "object",
    "description": "A problem document (RFC 9457)",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "enum": [kind.type for kind in KINDS]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "next_step": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
        "errors_total": {"type": "integer", "description": "All of them; `errors` holds the first hundred"},
    },
    "required": ["type", "title", "status", "detail"],
}
FAULT: JsonObject = {
    "type": "object",
    "description": "One thing that is wrong, and where",
    "properties": {
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "pointer": {"type": "string", "description": "A JSON pointer (RFC 6901) into the request"},
        "row": {"type": "integer", "minimum": 0},
        "column": {"type": "string"},
        "received": {"type": "string"},
        "allowed": {"type": "string"},
    },
    "required": ["detail"],
}
MODEL_NAME: JsonObject = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "A model of the project",
    "schema": {"type": "string", "minLength": 1},
}
MODEL_REF: JsonObject = {
    "name": "ref",
    "in": "path",
    "required": True,
    "description": "The number of a version, or `champion`",
    "schema": {"type": "string", "pattern": "^([1-9][0-9]*|champion)$"},
}
REQUEST_ID: JsonObject = {
    "X-Request-Id": {
        "description": "The caller's own, where one came with the request, else a new one",
        "schema": {"type": "string"},
    }
}


def problem_response() -> JsonObject:
    content = {PROBLEM_TYPE: {"schema": ref("Problem")}}
    return {"description": "What is wrong, with every fault", "headers": REQUEST_ID, "content": content}


def problems(*codes: int) -> JsonObject:
    return {str(code): {"$ref": "#/components/responses/Problem"} for code in codes}


def answer(description: str, name: str) -> JsonObject:
    return {"description": description, "headers": REQUEST_ID, "content": {JSON_TYPE: {"schema": ref(name)}}}


def ref(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


def listing(**items: JsonObject) -> JsonObject:
    """An object of these members, all of them required."""
    return {"type": "object", "properties": items, "required": list(items)}


def array(of: JsonObject) -> JsonObject:
    return {"type": "array", "items": of}
