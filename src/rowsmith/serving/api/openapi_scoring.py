"""What the OpenAPI document says of MLflow's scoring protocol: /invocations, /ping and /version."""

from __future__ import annotations

from rowsmith.schema import Schema
from rowsmith.serving.api.arrow import ARROW_TYPE
from rowsmith.serving.api.openapi_parts import answer, array, listing, problems, ref
from rowsmith.serving.champion import Served
from rowsmith.serving.examples import example_row
from rowsmith.serving.exchange import CSV_TYPE, JSON_TYPE
from rowsmith.serving.protocols.metadata import outputs_of
from rowsmith.types import JsonObject

OPEN = ("/ping",)
"""Answered without a key."""
TEXT_TYPE = "text/plain"
_TEXT: JsonObject = {"type": "string"}


def paths(served: Served) -> JsonObject:
    ping = _text("ping", "Whether there is a model to answer")
    ping["responses"] |= problems(503)
    return {
        "/invocations": {"post": _invocations(served.inputs)},
        "/ping": {"get": ping},
        "/version": {"get": _text("version", "The version of Rowsmith")},
    }


def _text(operation: str, summary: str) -> JsonObject:
    said = {"description": summary, "content": {TEXT_TYPE: {"schema": _TEXT}}}
    return {"operationId": operation, "summary": summary, "responses": {"200": said}}


def _invocations(schema: Schema) -> JsonObject:
    as_json = {"schema": ref("Invocation"), "examples": {name: {"value": value} for name, value in examples(schema)}}
    given = answer("A record for each row, in their order", "InvocationAnswers")
    given["content"][CSV_TYPE] = {"schema": {"description": "Where Accept begins with text/csv: the records, a header"}}
    return {
        "operationId": "invocations",
        "summary": "Predict rows in any of MLflow's forms",
        "description": "An answer that is given is kept. NaN, as Python writes it, is read as missing.",
        "requestBody": {
            "required": True,
            "content": {
                JSON_TYPE: as_json,
                CSV_TYPE: {"schema": {"description": "UTF-8 with a header that names the columns"}},
                ARROW_TYPE: {"schema": {"description": "An Arrow IPC stream, uncompressed, with the columns of Row"}},
            },
        },
        "responses": {"200": given, **problems(400, 408, 413, 415, 422, 503)},
    }


def examples(schema: Schema) -> list[tuple[str, JsonObject]]:
    """One row of typical values in each form."""
    row = example_row(schema)
    return [
        ("dataframe_split", {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}),
        ("dataframe_records", {"dataframe_records": [row]}),
        ("instances", {"instances": [list(row.values())]}),
        ("inputs", {"inputs": {name: [value] for name, value in row.items()}}),
    ]


def schemas(served: Served, max_rows: int) -> JsonObject:
    records = _records(served.inputs, max_rows)
    by_column: JsonObject = {"type": "object", "minProperties": 1, "description": "the values of each column"}
    forms: JsonObject = {
        "dataframe_split": _split(max_rows),
        "dataframe_records": records,
        "instances": records,
        "inputs": {"anyOf": [by_column, records]},
    }
    return {
        "Invocation": {
            "type": "object",
            "properties": {**forms, "params": {"description": "read over: there is nothing to set"}},
            "oneOf": [{"required": [form]} for form in forms],
            "additionalProperties": False,
        },
        "InvocationAnswers": _answers(served),
    }


def _records(schema: Schema, max_rows: int) -> JsonObject:
    names = [column.name for column in schema.features]
    values: JsonObject = {
        "type": "array",
        "minItems": len(names),
        "maxItems": len(names),
        "description": f"values in this order: {', '.join(names)}; all rows are written so, or none",
    }
    return {"type": "array", "items": {"anyOf": [ref("Row"), values]}, "minItems": 1, "maxItems": max_rows}


def _split(max_rows: int) -> JsonObject:
    names = {"type": "array", "items": _TEXT, "uniqueItems": True, "description": "the model's own where it is absent"}
    data = {"type": "array", "items": {"type": "array"}, "minItems": 1, "maxItems": max_rows}
    return {
        "type": "object",
        "properties": {"columns": names, "data": data, "index": {"description": "read over"}},
        "required": ["data"],
        "additionalProperties": False,
    }


def _answers(served: Served) -> JsonObject:
    told = outputs_of(served.model)[1:]  # the ids stand beside the records
    record = listing(**{item["name"]: {"type": "number" if item["datatype"] == "FP64" else "string"} for item in told})
    by = listing(name=_TEXT, version={"type": "integer"})
    answers = listing(predictions=array(record), ids=array(_TEXT), model=by)
    answers["properties"]["warnings"] = array(_TEXT)
    return answers
