"""The Open Inference Protocol v2, which clients of KServe and Triton speak: a tensor for each column."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl
from flask import Blueprint

from rowsmith.serving.answers import Answers
from rowsmith.serving.api.body import parse, read_bytes
from rowsmith.serving.champion import Served
from rowsmith.serving.endpoint import flask_view
from rowsmith.serving.errors import Problem
from rowsmith.serving.exchange import JSON_TYPE, Reply
from rowsmith.serving.predictor import answer_rows
from rowsmith.serving.protocols.metadata import inputs_of, outputs_of
from rowsmith.serving.protocols.tensors import (
    BINARY_TYPE,
    JSON_LENGTH,
    Tensor,
    read_tensor,
    size_in_bytes,
    write_tensor,
)
from rowsmith.serving.services import Services
from rowsmith.serving.steps import step
from rowsmith.serving.table_rows import TableRows
from rowsmith.types import JsonObject
from rowsmith.version import __version__

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

blueprint = Blueprint("oip", __name__)

PLATFORM = "rowsmith"
MODEL = "/v2/models/<name>"
VERSION = f"{MODEL}/versions/<ref>"
MEMBERS = frozenset({"id", "parameters", "inputs", "outputs"})
MOST_INPUTS = 10_000
MOST_ID = 200
MOST_WARNINGS = 10


# -- what there is -------------------------------------------------------------------------------------------


def server(site: Services, environ: WSGIEnvironment) -> Reply:
    return _json({"name": PLATFORM, "version": __version__, "extensions": ["binary_tensor_data"]})


def live(site: Services, environ: WSGIEnvironment) -> Reply:
    return _json({"live": True})


def ready(site: Services, environ: WSGIEnvironment) -> Reply:
    is_ready = site.champion.peek() is not None
    return _json({"ready": is_ready}, 200 if is_ready else 503)


def model_ready(site: Services, environ: WSGIEnvironment, name: str, ref: str | None = None) -> Reply:
    """Loads the version where it is not loaded. Raises Problem."""
    _served(site, name, ref)
    return _json({"name": name, "ready": True})


def model(site: Services, environ: WSGIEnvironment, name: str, ref: str | None = None) -> Reply:
    served = _served(site, name, ref)
    return _json(
        {
            "name": name,
            "versions": [str(version.number) for version in site.project.registry.list(name)],
            "platform": PLATFORM,
            "inputs": inputs_of(served.inputs),
            "outputs": outputs_of(served.model),
        }
    )


def _served(site: Services, name: str, ref: str | None) -> Served:
    return site.models.get(name).current() if ref is None else site.models.named(name, ref)


# -- inference -----------------------------------------------------------------------------------------------


def infer(site: Services, environ: WSGIEnvironment, name: str, ref: str | None = None) -> Reply:
    began = time.perf_counter()
    with step("parse"):
        body = read_bytes(environ, max_bytes=site.max_body_bytes)
        text, raw = _divided(body, environ.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH"))
        document = parse(text)
        columns = [column.name for column in _served(site, name, ref).inputs.features]
        rows = rows_of(_tensors(document, raw), columns, max_rows=site.settings.max_rows)
    answers, pending = answer_rows(site, site.route(environ, rows, name=name, ref=ref), rows, began=began)
    return replace(_reply(document, answers, name), pending=pending)


def _divided(body: bytes, length: str | None) -> tuple[bytes, bytes]:
    """The JSON, and the bytes after it."""
    if length is None:
        return body, b""
    if not (length.isascii() and length.isdigit()) or int(length) > len(body):
        raise Problem("malformed-request", f"{JSON_LENGTH} is the length of the JSON, at most that of the body")
    if int(length) == 0:
        raise Problem("invalid-request", "a body of bytes alone does not say which columns they are; send the JSON too")
    return body[: int(length)], body[int(length) :]


def _tensors(document: Any, raw: bytes) -> list[Tensor]:
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list) or not document["inputs"]:
        raise Problem("invalid-request", 'the body must be an object with "inputs", an array of tensors')
    if strangers := sorted(document.keys() - MEMBERS):
        raise Problem("invalid-request", f"there is no member {strangers[0][:100]!r} in an inference request")
    items = document["inputs"]
    if len(items) > MOST_INPUTS or not all(isinstance(item, dict) for item in items):
        raise Problem("invalid-request", f"inputs are at most {MOST_INPUTS} objects")
    tensors, position = [], 0
    for number, item in enumerate(items):
        size = size_in_bytes(item)
        part = None if size is None else raw[position : position + size]
        if part is not None and size is not None and len(part) < size:
            raise Problem("malformed-request", f"the bytes after the JSON end before those of input {number}")
        position += size or 0
        tensors.append(read_tensor(item, part, f"/inputs/{number}"))
    if position != len(raw):
        raise Problem("malformed-request", f"{len(raw) - position} bytes after the JSON belong to no input")
    return tensors


def rows_of(tensors: Sequence[Tensor], columns: Sequence[str], *, max_rows: int) -> TableRows:
    """A tensor for each column, of the shape [rows] or [rows, 1]; or a single one of [rows, columns], which holds the
    columns in the order of the model's metadata. Raises Problem."""
    rows = tensors[0].rows
    if rows > max_rows:
        raise Problem("invalid-request", f"{rows} rows at once; at most {max_rows} are taken")
    if rows == 0:
        raise Problem("invalid-request", "there are no rows; give at least one")
    if len(tensors) == 1 and len(tensors[0].shape) == 2 and tensors[0].shape[1] == len(columns) > 1:
        wide = tensors[0]
        return TableRows(_frame({name: wide.values[i :: len(columns)] for i, name in enumerate(columns)}))
    for tensor in tensors:
        if tensor.shape not in ((rows,), (rows, 1)):
            allowed = f"[{rows}] or [{rows}, 1], as the others have"
            raise Problem(
                "invalid-request",
                f'the input "{tensor.name[:100]}" has the shape {list(tensor.shape)}; it must be {allowed}',
            )
    names = [tensor.name for tensor in tensors]
    if len(set(names)) < len(names):
        raise Problem("invalid-request", "two inputs have the same name")
    return TableRows(_frame({tensor.name: tensor.values for tensor in tensors}))


def _frame(values: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    try:
        return pl.DataFrame({name: pl.Series(column, strict=not _is_mixed(column)) for name, column in values.items()})
    except (OverflowError, TypeError, ValueError, pl.exceptions.PolarsError) as problem:
        raise Problem("invalid-request", "a value is out of the range of its type") from problem


def _is_mixed(column: Sequence[Any]) -> bool:
    """JSON writes 1 and 1.5 differently, and both are numbers."""
    return {int, float} <= {type(value) for value in column}


def _reply(document: JsonObject, answers: Answers, name: str) -> Reply:
    frame = answers.to_frame()
    wanted = _wanted(document, frame.columns)
    written = [write_tensor(frame[column], binary=binary) for column, binary in wanted]
    said: JsonObject = {
        "model_name": name,
        "model_version": str(answers.served.version.number),
        "outputs": [tensor for tensor, _ in written],
    }
    given = document.get("id")
    if isinstance(given, str) and given:
        said["id"] = given[:MOST_ID]
    if warnings := answers.warnings:
        said["parameters"] = {"warnings": "; ".join(warnings[:MOST_WARNINGS])}
    text = orjson.dumps(said)
    raw = b"".join(content for _, content in written)
    if not any(binary for _, binary in wanted):
        return Reply(text)
    return Reply(text + raw, BINARY_TYPE, headers=((JSON_LENGTH, str(len(text))),))


def _wanted(document: JsonObject, columns: Sequence[str]) -> list[tuple[str, bool]]:
    """Which outputs, and whether as bytes. Raises Problem for one that there is not."""
    usual = _flag(document.get("parameters"), "binary_data_output", False)
    outputs = document.get("outputs")
    if outputs is None or outputs == []:
        return [(column, usual) for column in columns]
    if not isinstance(outputs, list) or not all(isinstance(item, dict) for item in outputs):
        raise Problem("invalid-request", "outputs are an array of objects with a name")
    wanted = []
    for item in outputs:
        if item.get("name") not in columns:
            raise Problem(
                "invalid-request",
                f"there is no output {str(item.get('name'))[:100]!r}; there are: {', '.join(columns)}",
            )
        wanted.append((item["name"], _flag(item.get("parameters"), "binary_data", usual)))
    return wanted


def _flag(parameters: Any, name: str, otherwise: bool) -> bool:
    value = parameters.get(name, otherwise) if isinstance(parameters, dict) else otherwise
    if type(value) is not bool:
        raise Problem("invalid-request", f"{name} is true or false")
    return value


def _json(document: JsonObject, status: int = 200) -> Reply:
    return Reply(orjson.dumps(document), JSON_TYPE, status)


blueprint.add_url_rule("/v2", "server", flask_view(server))
blueprint.add_url_rule("/v2/health/live", "live", flask_view(live))
blueprint.add_url_rule("/v2/health/ready", "ready", flask_view(ready))
for place, of in ((MODEL, ""), (VERSION, "_of_version")):
    blueprint.add_url_rule(place, f"model{of}", flask_view(model))
    blueprint.add_url_rule(f"{place}/ready", f"model_ready{of}", flask_view(model_ready))
    blueprint.add_url_rule(f"{place}/infer", f"infer{of}", flask_view(infer), methods=["POST"])
