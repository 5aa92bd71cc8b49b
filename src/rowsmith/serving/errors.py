"""What goes wrong on the way to an answer, as RFC 9457 problem documents for machines and as a page for people.

Nothing of the inside is told: no stack, no path, no text of a foreign exception.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

from rowsmith.errors import (
    ArtifactError,
    DataError,
    Fault,
    GateRefused,
    NotFoundError,
    RowsmithError,
    SchemaError,
    UsageError,
)
from rowsmith.serving.exchange import Reply, to_flask
from rowsmith.types import JsonObject

logger = logging.getLogger("rowsmith.serving")

PROBLEM_TYPE = "application/problem+json"
MACHINE_PATHS = ("/api/", "/health", "/metrics", "/openapi.json", "/v2", "/invocations", "/ping", "/version")
INFERENCE_PATH = "/v2"
MAX_FAULTS = 100
MAX_ECHO = 200
MAX_SAID = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem. Its `type` is the address of the page that explains it."""

    slug: str
    status: int
    title: str
    explanation: str

    @property
    def type(self) -> str:
        return f"/problems/{self.slug}"


KINDS: tuple[Kind, ...] = (
    Kind("malformed-request", 400, "The request cannot be read", "The body is not valid JSON or not a valid form."),
    Kind(
        "key-required",
        401,
        "This server asks for a key",
        "Send it in the header Authorization: Bearer KEY, or sign in with it. `rowsmith keys create` makes one.",
    ),
    Kind(
        "not-permitted",
        403,
        "This key may not do that",
        "Use a key of a higher role. `rowsmith keys create NAME --role ROLE` makes one.",
    ),
    Kind("foreign-request", 403, "The request came from another site", "Pages of other sites may not use this server."),
    Kind("not-found", 404, "There is nothing here", "The address, the model or the version does not exist."),
    Kind("wrong-method", 405, "This address does not take that method", "The header Allow lists what it takes."),
    Kind("too-slow", 408, "The request came too slowly", "Send the body without long pauses, or a smaller one."),
    Kind("not-finished", 409, "The work is not finished", "Ask again after the seconds that Retry-After says."),
    Kind(
        "too-large",
        413,
        "The request is too large",
        "Send fewer rows at a time, or make a job of a file: POST /api/v1/jobs, or the batch page.",
    ),
    Kind(
        "wrong-content-type",
        415,
        "The content type is not supported",
        "Send JSON (application/json) or, where rows are sent, an Arrow stream (application/vnd.apache.arrow.stream).",
    ),
    Kind(
        "wrong-encoding",
        415,
        "The content encoding is not supported",
        "Send the body as it is, or compressed with gzip, deflate or zstd, and say so in Content-Encoding.",
    ),
    Kind(
        "key-reused",
        409,
        "The idempotency key came with another request before",
        "Use a new Idempotency-Key for each request, and the same one only to repeat a request as it was.",
    ),
    Kind(
        "gates-refused",
        409,
        "The version may not become champion",
        "Look at its report; against the gates it is promoted on the command line alone.",
    ),
    Kind(
        "invalid-rows",
        422,
        "The rows do not fit the model",
        "Each fault names the row, the column, what was received and what is allowed.",
    ),
    Kind(
        "invalid-request",
        422,
        "The request does not have the expected shape",
        "Each fault names the member that is at fault; see /openapi.json.",
    ),
    Kind(
        "unreadable-file", 422, "The file cannot be read", "The file is damaged, or not of the kind that its name says."
    ),
    Kind(
        "too-many-requests",
        429,
        "Too many requests",
        "Wait for the seconds that the header Retry-After says, then go on more slowly.",
    ),
    Kind(
        "internal",
        500,
        "Something went wrong inside",
        "The request was not answered and the details are in the server's log.",
    ),
    Kind("busy", 503, "The server is busy", "Ask again after the seconds that Retry-After says."),
    Kind(
        "not-judged",
        503,
        "The version could not be judged",
        "Promote it on the command line, or give the server more memory for that (ROWSMITH_JOB_MEMORY_MB).",
    ),
    Kind("no-model", 503, "There is no model to answer", "Train one with: rowsmith run DATA --target COLUMN"),
    Kind(
        "store-unavailable",
        503,
        "The store is not available",
        "Predictions that cannot be kept are not given. Try again soon.",
    ),
)
KIND = {kind.slug: kind for kind in KINDS}
OF_STATUS = {
    400: "malformed-request",
    401: "key-required",
    403: "foreign-request",
    404: "not-found",
    405: "wrong-method",
    413: "too-large",
    415: "wrong-content-type",
    429: "too-many-requests",
}


class Problem(Exception):
    """Raised anywhere while a request is handled; `errors` lists each fault as plain JSON."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        errors: Sequence[JsonObject] = (),
        total: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = KIND[slug]
        self.detail = detail
        self.errors = list(errors[:MAX_FAULTS])
        self.total = len(errors) if total is None else total
        self.headers = dict(headers or {})
        super().__init__(detail)

    def to_dict(self) -> JsonObject:
        document: JsonObject = {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "next_step": self.kind.explanation,
        }
        if self.errors:
            document |= {"errors": self.errors, "errors_total": self.total}
        return document


def fault_to_dict(fault: Fault) -> JsonObject:
    """One fault, with a JSON pointer (RFC 6901) to the value where it has a row."""
    item: JsonObject = {"code": fault.code, "column": fault.column, "detail": fault.message}
    if fault.row is not None:
        column = fault.column.replace("~", "~0").replace("/", "~1")
        item |= {"row": fault.row, "pointer": f"/rows/{fault.row}/{column}"}
    if fault.received:
        item["received"] = fault.received[:MAX_ECHO]
    if fault.allowed:
        item["allowed"] = fault.allowed
    return item


def problem_of(error: Exception, asked: str) -> Problem:
    """Whatever was raised while `asked` (method and path) was answered; what a person has to know is logged.

    Errors about the inside of the machine lose their details.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, RowsmithError):
        problem = _of_the_family(error)
        if problem.kind.status >= 500:
            logger.error("%s: %s", asked, error)
        return problem
    if isinstance(error, HTTPException):
        status = error.code or 500
        headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
        slug = OF_STATUS.get(status, "malformed-request" if status < 500 else "internal")
        return Problem(slug, KIND[slug].title.lower(), headers=headers)
    logger.error("%s failed", asked, exc_info=error)
    return Problem("internal", "this is a fault of the server, not of the request")


def _of_the_family(error: RowsmithError) -> Problem:
    if isinstance(error, SchemaError):
        return invalid_rows(error.faults)
    if isinstance(error, NotFoundError):
        return Problem("not-found", error.what)
    if isinstance(error, GateRefused):
        return Problem("gates-refused", error.what)
    if isinstance(error, DataError):
        return Problem("unreadable-file", error.what)
    if isinstance(error, UsageError):
        return Problem("malformed-request", error.what)
    if isinstance(error, ArtifactError):
        return Problem("no-model", "the model could not be loaded; the server's log says why")
    return Problem(
        "store-unavailable",
        "the store could not be read or written; the server's log says why",
        headers={"Retry-After": "5"},
    )


def too_large(max_bytes: int) -> Problem:
    return Problem("too-large", f"the body is larger than {max_bytes >> 20} MB")


def invalid_rows(faults: Sequence[Fault]) -> Problem:
    rows = len({fault.row for fault in faults if fault.row is not None})
    place = f" in {rows} row{'s' if rows > 1 else ''}" if rows else ""
    detail = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}{place}"
    return Problem("invalid-rows", detail, errors=[fault_to_dict(f) for f in faults[:MAX_FAULTS]], total=len(faults))


def for_machine() -> bool:
    """Whether the request wants JSON: by its address, or because it asks for JSON and not for a page."""
    if request.path.startswith(MACHINE_PATHS):
        return True
    accepts = request.accept_mimetypes
    return accepts.best_match(["text/html", "application/json"], "text/html") == "application/json"


def reply_of(problem: Problem) -> Reply:
    """For a machine."""
    headers = tuple(problem.headers.items())
    return Reply(orjson.dumps(problem.to_dict()), PROBLEM_TYPE, problem.kind.status, headers)


def inference_reply(problem: Problem) -> Reply:
    """For a client of the Open Inference Protocol, which looks for what is wrong in `error`."""
    said = [problem.detail, *(str(item.get("detail", "")) for item in problem.errors[:MAX_SAID])]
    document = problem.to_dict() | {"error": "; ".join(said)}
    return Reply(orjson.dumps(document), PROBLEM_TYPE, problem.kind.status, tuple(problem.headers.items()))


def respond(problem: Problem) -> Response:
    if for_machine():
        return to_flask(inference_reply(problem) if request.path.startswith(INFERENCE_PATH) else reply_of(problem))
    response = Response(render_template("problem.html", problem=problem), problem.kind.status)
    response.headers.extend(problem.headers)
    return response


def register(app: Flask) -> None:
    """Every way a request can fail ends in `respond`."""

    @app.errorhandler(Exception)
    def on_error(error: Exception) -> Response:
        if isinstance(error, HTTPException) and 300 <= (error.code or 500) < 400:
            redirect = error.get_response()
            assert isinstance(redirect, Response)
            return redirect
        rule = request.url_rule.rule if request.url_rule is not None else "an unknown address"
        return respond(problem_of(error, f"{request.method} {rule}"))
