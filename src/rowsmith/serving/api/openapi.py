"""The OpenAPI 3.1 document, made from the champion's schema."""

from __future__ import annotations

from rowsmith.model import TrainedModel
from rowsmith.schema import NUMERIC_KINDS, Column, Schema
from rowsmith.serving.api import openapi_jobs
from rowsmith.serving.champion import Served
from rowsmith.serving.errors import KINDS, PROBLEM_TYPE
from rowsmith.serving.examples import date_text, example_row, example_value, plain_number
from rowsmith.types import ColumnKind, Json, JsonObject
from rowsmith.version import __version__

MAX_LISTED = 200
MISSING: JsonObject = {"enum": [None, ""], "title": "missing"}


def describe(served: Served, *, max_rows: int) -> JsonObject:
    """The whole document for the model that answers now."""
    target = served.inputs.target
    what = target.name if target else "the target"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{served.version.name}: predictions of {what}",
            "version": f"{served.version.number}",
            "summary": f"Version {served.version.number} of {served.version.name}, served by Rowsmith {__version__}",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/api/v1/predict": {"post": _predict(served.inputs)},
            "/api/v1/labels": {"post": _labels()},
            "/api/v1/models": {"get": _get("models", "Models and their champions", "Models")},
            "/api/v1/models/{name}/versions": {"get": _get("versions", "Versions of a model", "Versions", ("name",))},
            **openapi_jobs.paths(),
            "/health": {"get": _get("health", "Whether the server lives and has a model", "Health", errors=(503,))},
        },
        "components": {
            "schemas": {
                **_rows(served, max_rows),
                **_answers(served.model),
                **_feedback(served.model),
                **_listings(),
                **openapi_jobs.schemas(),
                "Problem": PROBLEM,
            },
            "responses": {"Problem": _problem()},
        },
    }


def _predict(schema: Schema) -> JsonObject:
    row = example_row(schema)
    content = {
        "schema": _ref("PredictRequest"),
        "examples": {"one": {"value": {"row": row}}, "many": {"value": {"rows": [row, row]}}},
    }
    return {
        "operationId": "predict",
        "summary": "Predict one row or many",
        "description": "An answer that is given is kept. Refused rows are listed, each with its faults.",
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "200": _json("The answers, in the order of the rows", "Predictions"),
            **_problems(400, 413, 415, 422, 503),
        },
    }


def _labels() -> JsonObject:
    return {
        "operationId": "label",
        "summary": "Report true outcomes by the id of a prediction",
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("LabelsRequest")}}},
        "responses": {"200": _json("How many were kept", "LabelsOutcome"), **_problems(400, 413, 415, 422, 503)},
    }


def _get(
    operation: str, summary: str, answer: str, parameters: tuple[str, ...] = (), errors: tuple[int, ...] = ()
) -> JsonObject:
    listed = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in parameters]
    codes = (*errors, 404) if parameters else errors
    responses: JsonObject = {"200": _json(summary, answer), **_problems(*codes)}
    if operation == "health":
        responses["503"] = _json("There is no model to answer yet", answer)
    return {"operationId": operation, "summary": summary, "parameters": listed, "responses": responses}


def _rows(served: Served, max_rows: int) -> JsonObject:
    schema = served.inputs
    refuses = schema.policies
    row: JsonObject = {
        "type": "object",
        "properties": {column.name: property_of(column, schema) for column in schema.features},
        "additionalProperties": refuses.unknown_column != "error",
        "examples": [example_row(schema)],
    }
    if refuses.missing_column == "error":
        row["required"] = [column.name for column in schema.features if not column.is_optional]
    rows = {"type": "array", "items": _ref("Row"), "minItems": 1, "maxItems": max_rows}
    one = {"type": "object", "properties": {"row": _ref("Row")}, "required": ["row"], "additionalProperties": False}
    many = {"type": "object", "properties": {"rows": rows}, "required": ["rows"], "additionalProperties": False}
    return {"Row": row, "PredictRequest": {"oneOf": [many, one]}}


def property_of(column: Column, schema: Schema) -> JsonObject:
    """One column as JSON Schema: all that is taken, and nothing else. Facts of training are words, not limits."""
    alternatives, words = _alternatives(column, schema)
    if column.is_optional or schema.policies.missing_value != "error":
        alternatives = [*alternatives, MISSING]
    missing = f"; missing in {column.missing:.1%} of the training rows" if column.missing else ""
    described = alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}
    example = example_value(column)
    return {**described, "description": words + missing} | ({"examples": [example]} if example is not None else {})


def _alternatives(column: Column, schema: Schema) -> tuple[list[JsonObject], str]:
    """What a value may be, the usual first, and the same in words."""
    if column.kind in NUMERIC_KINDS:
        return [{"type": "number"}, *_NUMBER_LIKE], f"a number{_range(column)}"
    if column.kind is ColumnKind.BOOLEAN:
        return [{"type": "boolean"}, {"enum": [0, 1, "true", "false", "yes", "no"]}], "true or false"
    if column.kind is ColumnKind.DATETIME:
        words = f"a date, or a date with time{_range(column)}"
        if column.parsing.date_format.startswith("%Y"):
            return [{"type": "string"}], f"{words}; written as {column.parsing.date_format}"
        return [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}], words
    if column.kind is not ColumnKind.CATEGORY or not column.categories:
        return list(_SCALARS), "text"
    levels: list[JsonObject] = [{"enum": list(column.categories[:MAX_LISTED]), "title": "seen in training"}]
    if column.lists_every_category and schema.policies.unseen_category == "error":
        return levels, "one of the levels of training"
    # A level that training did not see is taken, so the list alone would refuse what the server takes.
    return [*levels, *_SCALARS], f"a category; training saw {column.level_count} levels, another one counts as other"


_NUMBER_LIKE: tuple[JsonObject, ...] = (
    {"type": "boolean"},
    {
        "type": "string",
        "pattern": r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$",
        "title": "a number as text",
    },
)
_SCALARS: tuple[JsonObject, ...] = ({"type": "string"}, {"type": "number"}, {"type": "boolean"})


def _range(column: Column) -> str:
    if column.minimum is None or column.maximum is None:
        return ""
    bounds: tuple[Json, Json] = (column.minimum, column.maximum)
    if column.kind is ColumnKind.DATETIME:
        bounds = (date_text(column.minimum), date_text(column.maximum))
    elif column.kind in NUMERIC_KINDS:
        bounds = (plain_number(column.minimum, ColumnKind.NUMBER), plain_number(column.maximum, ColumnKind.NUMBER))
    return f"; from {bounds[0]} to {bounds[1]} in training"


def _answers(model: TrainedModel) -> JsonObject:
    properties: JsonObject = {
        "id": {"type": "string", "description": "sortable by time; outcomes are reported under it"}
    }
    if model.task.is_classification:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        properties["prediction"] = {"type": "string", "enum": list(model.labels)}
        properties["probabilities"] = {
            "type": "object",
            "properties": {label: share for label in model.labels},
            "required": list(model.labels),
        }
    else:
        properties["prediction"] = {"type": "number"}
        properties["interval"] = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    properties["warnings"] = {"type": "array", "items": {"type": "string"}}
    required = ["id", "prediction"] + (["probabilities"] if "probabilities" in properties else [])
    by = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "version": {"type": "integer"}},
        "required": ["name", "version"],
    }
    predictions = {"type": "array", "items": _ref("Prediction")}
    return {
        "Prediction": {"type": "object", "properties": properties, "required": required},
        "Predictions": {
            "type": "object",
            "properties": {"model": by, "predictions": predictions},
            "required": ["model", "predictions"],
        },
    }


def _feedback(model: TrainedModel) -> JsonObject:
    known: list[JsonObject] = [{"enum": list(model.labels), "title": "a class of the model"}] if model.labels else []
    label: JsonObject = {"anyOf": [*known, *_SCALARS], "description": "the true outcome"}
    item = {
        "type": "object",
        "properties": {"id": {"type": "string", "minLength": 1, "maxLength": 100}, "label": label},
        "required": ["id", "label"],
        "additionalProperties": False,
    }
    request = {
        "type": "object",
        "properties": {"labels": {"type": "array", "items": item, "minItems": 1}},
        "required": ["labels"],
        "additionalProperties": False,
    }
    return {"LabelsRequest": request, "LabelsOutcome": {"type": "object"}}


def _listings() -> JsonObject:
    anything = {"type": "object"}
    return {
        "Models": {
            "type": "object",
            "properties": {"models": {"type": "array", "items": anything}},
            "required": ["models"],
        },
        "Versions": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "versions": {"type": "array", "items": anything}},
            "required": ["name", "versions"],
        },
        "Health": {
            "type": "object",
            "properties": {
                "live": {"type": "boolean"},
                "ready": {"type": "boolean"},
                "model": {"type": "string"},
                "version": {"type": "integer"},
                "fault": {"type": "string"},
            },
            "required": ["live", "ready"],
        },
    }


PROBLEM: JsonObject = {
    "type": "object",
    "description": "A problem document (RFC 9457)",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "enum": [kind.type for kind in KINDS]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "next_step": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
        "errors_total": {"type": "integer"},
    },
    "required": ["type", "title", "status", "detail"],
}


def _problem() -> JsonObject:
    return {"description": "What is wrong, with every fault", "content": {PROBLEM_TYPE: {"schema": _ref("Problem")}}}


def _problems(*codes: int) -> JsonObject:
    return {str(code): {"$ref": "#/components/responses/Problem"} for code in codes}


def _json(description: str, name: str) -> JsonObject:
    return {"description": description, "content": {"application/json": {"schema": _ref(name)}}}


def _ref(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}
