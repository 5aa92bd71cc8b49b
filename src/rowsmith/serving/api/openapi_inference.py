"""What the OpenAPI document says of the Open Inference Protocol (`/v2`): tensors, one for each column of the model."""

from __future__ import annotations

from rowsmith.schema import Schema
from rowsmith.serving.api.openapi_parts import MODEL_NAME, MODEL_REF, answer, array, listing, ref
from rowsmith.serving.champion import Served
from rowsmith.serving.errors import PROBLEM_TYPE
from rowsmith.serving.examples import example_row
from rowsmith.serving.exchange import JSON_TYPE
from rowsmith.serving.protocols.metadata import inputs_of, outputs_of
from rowsmith.serving.protocols.tensors import BINARY_SIZE, BINARY_TYPE, DATATYPES, JSON_LENGTH
from rowsmith.types import JsonObject

MODEL = "/v2/models/{name}"
VERSION = f"{MODEL}/versions/{{ref}}"
OPEN = ("/v2/health/live", "/v2/health/ready")
"""Answered without a key."""
REFUSALS = (400, 404, 408, 413, 415, 422, 503)

_TEXT: JsonObject = {"type": "string"}
_SHAPE: JsonObject = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0},
    "minItems": 1,
    "description": "[rows] or [rows, 1], the same for each column; a single tensor may be [rows, columns]",
}
_LENGTH: JsonObject = {
    "name": JSON_LENGTH,
    "in": "header",
    "description": "How long the JSON is where values follow it as bytes; without it, all of the body is JSON",
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}


def paths(served: Served) -> JsonObject:
    ready = _get("inferenceReady", "Whether there is a model to answer", "InferenceReady")
    ready["responses"]["503"] = answer("There is no model to answer yet", "InferenceReady")
    described: JsonObject = {
        "/v2": {"get": _get("inferenceServer", "What the server is, and the extensions that it speaks", "Server")},
        "/v2/health/live": {"get": _get("inferenceLive", "Whether the server lives", "InferenceLive")},
        "/v2/health/ready": {"get": ready},
    }
    for path, of, place in ((MODEL, "", (MODEL_NAME,)), (VERSION, "OfVersion", (MODEL_NAME, MODEL_REF))):
        described[path] = {"get": _of_model(f"tensors{of}", "The tensors that go in and come out", "Tensors", place)}
        described[f"{path}/ready"] = {"get": _of_model(f"modelReady{of}", "Load it and say so", "ModelReady", place)}
        described[f"{path}/infer"] = {"post": _infer(f"infer{of}", served.inputs, place)}
    return described


def _get(operation: str, summary: str, name: str) -> JsonObject:
    return {"operationId": operation, "summary": summary, "responses": {"200": answer(summary, name)}}


def _of_model(operation: str, summary: str, name: str, place: tuple[JsonObject, ...]) -> JsonObject:
    found = _get(operation, summary, name)
    return found | {"parameters": list(place), "responses": found["responses"] | _problems(404, 503)}


def _infer(operation: str, schema: Schema, place: tuple[JsonObject, ...]) -> JsonObject:
    example = {"value": {"inputs": example_tensors(schema)}}
    as_bytes = f"An InferRequest, then the bytes of its tensors, in order, as long as their {BINARY_SIZE} say"
    given = answer("The answers, in the order of the rows", "InferResponse")
    given["content"][BINARY_TYPE] = {"schema": {"description": "The same, then the bytes of the outputs"}}
    given["headers"] = given["headers"] | {JSON_LENGTH: {"description": "where bytes follow", "schema": _TEXT}}
    return {
        "operationId": operation,
        "summary": "Predict the rows that a tensor for each column holds",
        "description": "An answer that is given is kept. What is missing is null or NaN in a number, else empty text.",
        "parameters": [*place, _LENGTH],
        "requestBody": {
            "required": True,
            "content": {
                JSON_TYPE: {"schema": ref("InferRequest"), "examples": {"one": example}},
                BINARY_TYPE: {"schema": {"description": as_bytes}},
            },
        },
        "responses": {"200": given, **_problems(*REFUSALS)},
    }


def _problems(*codes: int) -> JsonObject:
    return {str(code): {"$ref": "#/components/responses/InferenceProblem"} for code in codes}


def responses() -> JsonObject:
    content = {PROBLEM_TYPE: {"schema": ref("InferenceProblem")}}
    return {
        "InferenceProblem": {"description": "What is wrong, where clients of the protocol look", "content": content}
    }


def example_tensors(schema: Schema) -> list[JsonObject]:
    """One row of typical values, as the protocol carries it."""
    row = example_row(schema)
    return [
        {"name": item["name"], "datatype": item["datatype"], "shape": [1], "data": [row[item["name"]]]}
        for item in inputs_of(schema)
    ]


def schemas(served: Served) -> JsonObject:
    outputs = [item["name"] for item in outputs_of(served.model)]
    flag: JsonObject = {"type": "boolean", "default": False}
    return {
        "InferRequest": {
            "type": "object",
            "properties": {
                "id": {"description": "given back where it is text"},
                "parameters": {"properties": {"binary_data_output": flag}},
                "inputs": {"type": "array", "items": ref("InputTensor"), "minItems": 1},
                "outputs": _wanted(outputs, flag),
            },
            "required": ["inputs"],
            "additionalProperties": False,
        },
        "InputTensor": _tensor(_input_names(served.inputs), "data"),
        "InferResponse": {
            "type": "object",
            "properties": {
                "model_name": _TEXT,
                "model_version": _TEXT,
                "outputs": array(_tensor({"enum": outputs})),
                "id": _TEXT,
                "parameters": {"type": "object", "properties": {"warnings": _TEXT}},
            },
            "required": ["model_name", "model_version", "outputs"],
        },
        **_told(),
        "InferenceProblem": {"allOf": [ref("Problem"), listing(error=_TEXT)]},
    }


def _wanted(outputs: list[str], flag: JsonObject) -> JsonObject:
    item: JsonObject = {
        "type": "object",
        "properties": {"name": {"enum": outputs}, "parameters": {"properties": {"binary_data": flag}}},
        "required": ["name"],
    }
    return {"type": ["array", "null"], "items": item, "description": "which of them; all where it is absent or empty"}


def _input_names(schema: Schema) -> JsonObject:
    names = [column.name for column in schema.features]
    return {"type": "string", "description": "the name of a column", "examples": names}


def _tensor(name: JsonObject, *required: str) -> JsonObject:
    size: JsonObject = {"type": ["integer", "null"], "minimum": 0, "description": "where its values follow as bytes"}
    return {
        "type": "object",
        "properties": {
            "name": name,
            "datatype": {"enum": list(DATATYPES)},
            "shape": _SHAPE,
            "data": {"type": "array", "description": "the values, nested by the shape or flat"},
            "parameters": {"properties": {BINARY_SIZE: size}},
        },
        "required": ["name", "datatype", "shape", *required],
    }


def _told() -> JsonObject:
    """What the protocol tells of the server and of a model."""
    truth: JsonObject = {"type": "boolean"}
    tensor = listing(name=_TEXT, datatype={"enum": list(DATATYPES)}, shape=array({"type": "integer"}))
    level = {"coverage": {"type": "number", "description": "the share of true values that low to high should hold"}}
    parameters: JsonObject = {"type": "object", "properties": {"optional": truth} | level}
    tensor["properties"]["parameters"] = parameters
    return {
        "Server": listing(name=_TEXT, version=_TEXT, extensions=array(_TEXT)),
        "InferenceLive": listing(live=truth),
        "InferenceReady": listing(ready=truth),
        "ModelReady": listing(name=_TEXT, ready=truth),
        "Tensors": listing(
            name=_TEXT, versions=array(_TEXT), platform=_TEXT, inputs=array(tensor), outputs=array(tensor)
        ),
    }
