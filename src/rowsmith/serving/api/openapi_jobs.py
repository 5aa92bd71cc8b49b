"""What the OpenAPI document says of /api/v1/jobs."""

from __future__ import annotations

from rowsmith.serving.api.openapi_parts import answer, problems, ref
from rowsmith.types import JsonObject

STATES = ("waiting", "running", "done", "failed", "cancelled")
ID: JsonObject = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "What the answer to POST /api/v1/jobs called `id`",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
FORMAT: JsonObject = {
    "name": "format",
    "in": "query",
    "description": "Parquet holds every bit; CSV is safe to open in a spreadsheet",
    "schema": {"enum": ["parquet", "csv"], "default": "parquet"},
}
TEXT_OR_NOTHING: JsonObject = {"type": ["string", "null"]}
_NUMBER: JsonObject = {"type": "integer", "minimum": 0}


def paths() -> JsonObject:
    return {
        "/api/v1/jobs": {"get": _list(), "post": _create()},
        "/api/v1/jobs/{id}": {"get": _one("showJob", "How far a job is")},
        "/api/v1/jobs/{id}/cancel": {"post": _one("cancelJob", "Cancel a job and remove what was sent")},
        "/api/v1/jobs/{id}/result": {"get": _result()},
    }


def schemas() -> JsonObject:
    wanted: JsonObject = {
        "path": {
            "type": "string",
            "minLength": 1,
            "description": "A file below a folder that is open to jobs",
        },
        "keep_inputs": {"type": "boolean", "default": False, "description": "Keep the columns beside the scores"},
        "model": {"type": "string", "description": "Another model than the project's own"},
        "version": {"type": ["string", "integer"], "description": "A number, champion or latest"},
    }
    form = {**wanted, "file": {"type": "string", "contentMediaType": "application/octet-stream"}}
    form.pop("path")
    return {
        "JobRequest": {"type": "object", "properties": wanted, "required": ["path"], "additionalProperties": False},
        "JobUpload": {"type": "object", "properties": form, "required": ["file"]},
        "Job": _job(),
        "Jobs": {
            "type": "object",
            "properties": {"jobs": {"type": "array", "items": ref("Job")}},
            "required": ["jobs"],
        },
    }


def _job() -> JsonObject:
    model = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "version": {"type": "integer"}},
        "required": ["name", "version"],
    }
    properties: JsonObject = {
        "id": {"type": "string"},
        "state": {"enum": list(STATES)},
        "file": {"type": "string"},
        "model": model,
        "rows": _NUMBER,
        "expected_rows": {"type": ["integer", "null"]},
        "fraction": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "created": {"type": "string", "format": "date-time"},
        "started": TEXT_OR_NOTHING,
        "ended": TEXT_OR_NOTHING,
        "seconds": {"type": "number"},
        "warnings": {"type": "array", "items": {"type": "string"}},
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    optional: JsonObject = {
        "error": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
        "errors_total": _NUMBER,
    }
    return {"type": "object", "properties": {**properties, **optional}, "required": list(properties)}


def _create() -> JsonObject:
    return {
        "operationId": "createJob",
        "summary": "Score a file: one that is sent, or one of the server's",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ref("JobRequest")},
                "multipart/form-data": {"schema": ref("JobUpload")},
            },
        },
        "responses": {"202": answer("The job, which waits for its turn", "Job"), **problems(*_CREATING)},
    }


_CREATING = (400, 403, 404, 408, 413, 415, 422, 429, 503)


def _list() -> JsonObject:
    return {
        "operationId": "listJobs",
        "summary": "The jobs that the caller may see, the newest first",
        "responses": {"200": answer("The jobs", "Jobs"), **problems(503)},
    }


def _one(operation: str, summary: str) -> JsonObject:
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": [ID],
        "responses": {"200": answer(summary, "Job"), **problems(404, 503)},
    }


def _result() -> JsonObject:
    content: JsonObject = {kind: {} for kind in ("application/vnd.apache.parquet", "text/csv")}
    return {
        "operationId": "jobResult",
        "summary": "The scores, in the order of the file",
        "parameters": [ID, FORMAT],
        "responses": {"200": {"description": "The file", "content": content}, **problems(404, 409, 422, 503)},
    }
