"""The part of the OpenAPI document about promotions and rollbacks."""

from __future__ import annotations

from rowsmith.serving.api.openapi_parts import MODEL_NAME, answer, listing, problems, ref
from rowsmith.serving.api.traffic import MAX_TEXT, MAX_VERSION
from rowsmith.serving.exchange import JSON_TYPE
from rowsmith.types import JsonObject

FOLLOWED = "Servers follow within a second. It takes a key of the role operate; ledger and audit say so."


def paths() -> JsonObject:
    return {
        "/api/v1/models/{name}/promote": {
            "post": _change("promote", "Make a version champion, if it passes the gates", "Promotion", "Promoted", 409)
        },
        "/api/v1/models/{name}/rollback": {
            "post": _change("rollback", "Restore the champion before the present one", "Rollback", "Succession")
        },
    }


def _change(operation: str, summary: str, body: str, told: str, *more: int) -> JsonObject:
    return {
        "operationId": operation,
        "summary": summary,
        "description": FOLLOWED,
        "parameters": [MODEL_NAME],
        "requestBody": {"required": True, "content": {JSON_TYPE: {"schema": ref(body)}}},
        "responses": {
            "200": answer("The line of the ledger", told),
            **problems(400, 404, 408, *more, 413, 415, 422, 503),
        },
    }


def schemas() -> JsonObject:
    text: JsonObject = {"type": "string", "maxLength": MAX_TEXT}
    number: JsonObject = {"type": "integer", "minimum": 1, "maximum": MAX_VERSION}
    line = listing(
        name={"type": "string"},
        position=number,
        action={"enum": ["promote", "rollback"]},
        from_number={"type": ["integer", "null"]},
        to_number=number,
        actor={"type": "string"},
        reason={"type": "string"},
        created={"type": "string", "format": "date-time"},
    )
    gates = listing(passed={"type": "boolean"}, results={"type": "array", "items": {"type": "object"}})
    promoted = {
        **line,
        "properties": {**line["properties"], "gates": gates},
        "required": [*line["required"], "gates"],
    }
    return {
        "Promotion": {
            "type": "object",
            "properties": {"version": number, "reason": text},
            "required": ["version"],
            "additionalProperties": False,
        },
        "Rollback": {"type": "object", "properties": {"reason": text}, "additionalProperties": False},
        "Succession": line,
        "Promoted": promoted,
    }
