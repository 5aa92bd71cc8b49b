"""The part of the OpenAPI document about traffic rules."""

from __future__ import annotations

from rowsmith.registry.traffic import RULES
from rowsmith.serving.api.openapi_parts import answer, problems, ref
from rowsmith.serving.api.traffic import MAX_TEXT, MAX_VERSION, PATH
from rowsmith.serving.exchange import JSON_TYPE
from rowsmith.types import JsonObject

TEXT: JsonObject = {"type": "string", "maxLength": MAX_TEXT}


def paths() -> JsonObject:
    return {
        PATH: {
            "get": {
                "operationId": "traffic",
                "summary": "The traffic rule in force, and its evidence",
                "responses": {"200": answer("The rule, what it has shown, and every event", "Traffic")}
                | problems(404, 503),
            },
            "put": _change("beginTraffic", "Put a traffic rule in force", "TrafficRule"),
        },
        f"{PATH}/stop": {"post": _change("stopTraffic", "Let the champion answer alone again", "TrafficStop")},
    }


def _change(operation: str, summary: str, body: str) -> JsonObject:
    return {
        "operationId": operation,
        "summary": summary,
        "description": "Servers follow within a second. It takes a key of the role operate; the audit says so.",
        "requestBody": {"required": True, "content": {JSON_TYPE: {"schema": ref(body)}}},
        "responses": {"200": answer("The event, as the trail has it", "TrafficEvent")}
        | problems(400, 404, 408, 413, 415, 422, 503),
    }


def schemas() -> JsonObject:
    number: JsonObject = {"type": "number", "exclusiveMinimum": 0}
    rule: JsonObject = {
        "kind": {"enum": list(RULES), "description": "shadow: for the log alone; canary: taken back when worse"},
        "version": {"type": "integer", "minimum": 1, "maximum": MAX_VERSION, "description": "the challenger"},
        "share": number | {"maximum": 1, "description": "of the requests, above 0; below 1 but for a shadow"},
        "key": TEXT | {"description": "the column that requests are split by, where no Rowsmith-Key comes along"},
        "slow_ms": number | {"description": "an answer that takes longer counts as slow"},
        "alpha": number
        | {"exclusiveMaximum": 0.5, "description": "the chance of a false alarm, however often one looks"},
        "reason": TEXT,
    }
    return {
        "Traffic": {"type": "object"},
        "TrafficEvent": {"type": "object"},
        "TrafficRule": {
            "type": "object",
            "properties": rule,
            "required": ["kind", "version"],
            "additionalProperties": False,
        },
        "TrafficStop": {"type": "object", "properties": {"reason": TEXT}, "additionalProperties": False},
    }
