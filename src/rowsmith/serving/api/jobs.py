"""/api/v1/jobs: files to score that are too large for one request."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response, request

from rowsmith.serving.api.body import kind_of, media_type, read_object, shape_fault
from rowsmith.serving.errors import Problem
from rowsmith.serving.exchange import JSON_TYPE
from rowsmith.serving.job_requests import (
    KINDS,
    Wanted,
    cancel,
    download,
    from_path,
    from_upload,
    job_to_dict,
    visible,
    visible_jobs,
)
from rowsmith.serving.services import MEGABYTE, services
from rowsmith.types import JsonObject

blueprint = Blueprint("api_jobs", __name__)

MEMBERS = {"path": str, "keep_inputs": bool, "model": str, "version": (str, int)}
FORM_TYPE = "multipart/form-data"
MOST_LISTED = 1000
TRUE = frozenset({"1", "true", "on", "yes"})


@blueprint.post("/api/v1/jobs")
def create() -> Response:
    """A job of an uploaded file (multipart/form-data: file, keep_inputs, model, version) or of a path (JSON)."""
    site = services()
    if media_type(request.environ) == FORM_TYPE:
        request.max_content_length = site.settings.max_upload_mb * MEGABYTE
        if (request.content_length or 0) > request.max_content_length:
            # Said before a byte is read; a body without a length is cut off where the limit is.
            raise Problem("too-large", f"the file is larger than {site.settings.max_upload_mb} MB")
        file = request.files.get("file")
        if file is None or not file.filename:
            raise Problem("invalid-request", 'the form has no file in its part "file"')
        form = request.form
        keep = form.get("keep_inputs", "").lower() in TRUE
        known = from_upload(site, request.environ, file, Wanted(keep, form.get("model", ""), form.get("version", "")))
    else:
        document = read_object(request.environ, tuple(MEMBERS), max_bytes=site.max_body_bytes)
        known = from_path(site, request.environ, *_asked(document))
    answer = _json(job_to_dict(known, root=request.script_root), 202)
    answer.headers["Location"] = f"{request.script_root}/api/v1/jobs/{known.job.id}"
    return answer


def _asked(document: JsonObject) -> tuple[str, Wanted]:
    """The members of a request for a path. Raises Problem with every one at fault."""
    faults = [
        shape_fault(f"/{name}", f'"{name}" cannot be {kind_of(value)}', allowed=_allowed(name))
        for name, value in document.items()
        if not isinstance(value, MEMBERS[name]) or (isinstance(value, bool) and name != "keep_inputs")  # type: ignore[arg-type]
    ]
    if not document.get("path") and not faults:
        faults = [shape_fault("/path", "there is no path, and no file was sent", allowed="a string")]
    if faults:
        raise Problem("invalid-request", "the body does not say which file to score", errors=faults)
    version = str(document.get("version", ""))
    return document["path"], Wanted(document.get("keep_inputs", False), document.get("model", ""), version)


def _allowed(name: str) -> str:
    return {"keep_inputs": "true or false", "version": "a string or a number"}.get(name, "a string")


@blueprint.get("/api/v1/jobs")
def listed() -> Response:
    """Those that the caller may see, the newest first."""
    jobs = visible_jobs(services(), request.environ)[:MOST_LISTED]
    return _json({"jobs": [job_to_dict(known, root=request.script_root) for known in jobs]})


@blueprint.get("/api/v1/jobs/<id_>")
def show(id_: str) -> Response:
    return _json(job_to_dict(visible(services(), request.environ, id_), root=request.script_root))


@blueprint.post("/api/v1/jobs/<id_>/cancel")
def end(id_: str) -> Response:
    return _json(job_to_dict(cancel(services(), request.environ, id_), root=request.script_root))


@blueprint.get("/api/v1/jobs/<id_>/result")
def result(id_: str) -> Response:
    """The scores, `?format=parquet` (every bit) or `csv` (safe to open in a spreadsheet)."""
    kind = request.args.get("format", KINDS[0])
    if kind not in KINDS:
        raise Problem("invalid-request", f"scores come as {' or '.join(KINDS)}")
    site = services()
    return download(site, visible(site, request.environ, id_), kind)


def _json(document: JsonObject, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, content_type=JSON_TYPE, headers={"Cache-Control": "no-store"})
