"""MLflow's scoring protocol, which is SageMaker's too: /invocations, /ping and /version.

The answers are those of a model that `rowsmith export --format mlflow` wrote and MLflow serves: a record for each row.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from flask import Blueprint

from rowsmith.serving.answers import Answers
from rowsmith.serving.api.arrow import ARROW_TYPE, read_table
from rowsmith.serving.api.body import kind_of, parse_with_nan, read_bytes, require_type
from rowsmith.serving.api.predict import require_rows
from rowsmith.serving.endpoint import flask_view
from rowsmith.serving.errors import Problem
from rowsmith.serving.exchange import CSV_TYPE, JSON_TYPE, Reply
from rowsmith.serving.hot import Hot
from rowsmith.serving.predictor import answer_rows
from rowsmith.serving.services import Services
from rowsmith.serving.steps import step
from rowsmith.types import JsonObject
from rowsmith.version import __version__

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

blueprint = Blueprint("scoring", __name__)

PATH = "/invocations"
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
BESIDE = frozenset({"params"})
"""Read over: there is nothing to set."""
SPLIT_MEMBERS = frozenset({"columns", "data", "index"})

Rows = Sequence[Mapping[str, Any]]


def invocations(site: Services, environ: WSGIEnvironment) -> Reply:
    began = time.perf_counter()
    with step("parse"):
        rows = _read(site, environ)
    answers, pending = answer_rows(site, site.route(environ, rows), rows, began=began)
    return replace(_reply(answers, environ.get("HTTP_ACCEPT", "")), pending=pending)


def _read(site: Services, environ: WSGIEnvironment) -> Rows:
    received = require_type(environ, JSON_TYPE, CSV_TYPE, ARROW_TYPE)
    body = read_bytes(environ, max_bytes=site.max_body_bytes)
    most = site.settings.max_rows
    if received == CSV_TYPE:
        return rows_of_csv(body, max_rows=most)
    if received == ARROW_TYPE:
        return read_table(body, max_rows=most)
    return rows_of_json(parse_with_nan(body), _columns(site), max_rows=most)


def _columns(site: Services) -> list[str]:
    return [column.name for column in site.champion.current().inputs.features]


def _reply(answers: Answers, accept: str) -> Reply:
    frame = answers.to_frame()
    if accept.startswith(CSV_TYPE):
        return Reply(frame.drop("id").write_csv().encode(), f"{CSV_TYPE}; charset=utf-8")
    said: JsonObject = {
        "predictions": frame.drop("id").to_dicts(),
        "ids": list(answers.ids),
        "model": answers.served.to_dict(),
    }
    warnings = answers.warnings
    return Reply(orjson.dumps(said | ({"warnings": warnings} if warnings else {})))


def ping(site: Services, environ: WSGIEnvironment) -> Reply:
    """200 when there is a model to answer. Raises Problem (503) while there is none."""
    site.champion.current()
    return Reply(b"\n", "text/plain; charset=utf-8")


def version(site: Services, environ: WSGIEnvironment) -> Reply:
    return Reply(__version__.encode(), "text/plain; charset=utf-8")


blueprint.add_url_rule(PATH, "invocations", flask_view(invocations), methods=["POST"])
blueprint.add_url_rule("/ping", "ping", flask_view(ping))
blueprint.add_url_rule("/version", "version", flask_view(version))
HOT = Hot(PATH, f"{blueprint.name}.invocations", invocations)


# -- the forms that rows come in -----------------------------------------------------------------------------


def rows_of_json(document: Any, columns: Sequence[str], *, max_rows: int) -> list[dict[str, Any]]:
    """`columns` are the model's, in order, for rows that do not name theirs. Raises Problem."""
    forms = sorted(document.keys() & set(FORMS)) if isinstance(document, dict) else []
    if len(forms) != 1 or document.keys() - set(FORMS) - BESIDE:
        raise Problem(
            "invalid-request", f"the body must be an object with one of {', '.join(FORMS)}; params may be there"
        )
    (form,) = forms
    rows: list[dict[str, Any]] = READERS[form](document[form], columns, form)
    require_rows(rows, f"/{form}", max_rows=max_rows)
    return rows


def _of_split(value: Any, columns: Sequence[str], form: str) -> Any:
    if not isinstance(value, dict) or value.keys() - SPLIT_MEMBERS or not isinstance(value.get("data"), list):
        raise Problem("invalid-request", f'"{form}" is an object with "columns", "data" and at most "index"')
    names = value.get("columns", list(columns))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise Problem("invalid-request", f'"columns" of "{form}" are different names')
    return _named(value["data"], names, f"/{form}/data")


def _of_records(value: Any, columns: Sequence[str], form: str) -> Any:
    """Objects, or arrays of values in the order of the model's columns."""
    if isinstance(value, list) and value and all(isinstance(row, list) for row in value):
        return _named(value, columns, f"/{form}")
    return value


def _of_inputs(value: Any, columns: Sequence[str], form: str) -> Any:
    """An object of columns; or rows, as TensorFlow's servers take them under either name."""
    if not isinstance(value, dict):
        return _of_records(value, columns, form)
    listed = {name: item if isinstance(item, list) else [item] for name, item in value.items()}
    lengths = {len(item) for item in listed.values()}
    if len(lengths) != 1:
        raise Problem("invalid-request", f'the columns of "{form}" have different lengths')
    singles = [[item[0] if _is_single(item) else item for item in column] for column in listed.values()]
    return [dict(zip(listed, row, strict=True)) for row in zip(*singles, strict=True)]


def _is_single(item: Any) -> bool:
    """A column of a tensor may have the shape [rows, 1]."""
    return isinstance(item, list) and len(item) == 1


def _named(rows: list[Any], names: Sequence[str], place: str) -> list[Any]:
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            got = f"{len(row)} values" if isinstance(row, list) else kind_of(row)
            detail = f"a row is an array of {len(names)} values ({', '.join(names)[:200]}), not {got}"
            fault = {"code": "wrong_shape", "pointer": f"{place}/{number}", "detail": detail}
            raise Problem("invalid-request", detail, errors=[fault])
    return [dict(zip(names, row, strict=True)) for row in rows]


READERS = {
    "dataframe_split": _of_split,
    "dataframe_records": _of_records,
    "instances": _of_records,
    "inputs": _of_inputs,
}


def rows_of_csv(body: bytes, *, max_rows: int) -> list[dict[str, Any]]:
    """With a header. Values stay text, which the schema reads as it reads a file's. Raises Problem."""
    try:
        lines = [row for row in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True) if row]
    except (csv.Error, UnicodeDecodeError) as problem:
        raise Problem("malformed-request", "the body is not CSV in UTF-8 with a header") from problem
    if not lines:
        raise Problem("invalid-request", "the CSV is empty; give a header and at least one row")
    names, rows = lines[0], lines[1:]
    if len(set(names)) < len(names):
        raise Problem("invalid-request", "two columns of the CSV have the same name")
    named = _named(rows, names, "/rows")
    require_rows(named, "/rows", max_rows=max_rows)
    return named
