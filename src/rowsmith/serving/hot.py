"""The door in front of Flask for addresses that are asked thousands of times a second.

Flask takes some 0.1 ms to find, prepare and finish a request, about as long as a row takes to be answered. A POST to a
hot address goes through the same gate, is answered by the same function, fails in the same words and is counted in the
same meter, without that. Every other request is Flask's, and so are all others to the same address.
"""

from __future__ import annotations

import http
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from flask import Flask

from rowsmith.serving.endpoint import Endpoint
from rowsmith.serving.errors import problem_of, reply_of
from rowsmith.serving.exchange import Reply
from rowsmith.serving.held import HELD, may_be_held
from rowsmith.serving.observing import ROUTE
from rowsmith.serving.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Admit: TypeAlias = "Callable[[WSGIEnvironment, str], object]"
"""The gate: the WSGI environment and the name of the endpoint (as Flask names it); raises Problem."""
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in http.HTTPStatus}


@dataclass(frozen=True, slots=True)
class Hot:
    """An address for POST, and what answers it. `endpoint` is the name under which Flask knows it."""

    path: str
    endpoint: str
    answer: Endpoint


def register(app: Flask, site: Services, admit: Admit, addresses: Iterable[Hot]) -> None:
    """Put the door in front of an application. What is to hold for every answer is wrapped around it later."""
    by_path = {hot.path: hot for hot in addresses}
    app.wsgi_app = _door(app.wsgi_app, site, admit, by_path)  # type: ignore[assignment, method-assign]


def _door(flask: WSGIApplication, site: Services, admit: Admit, by_path: Mapping[str, Hot]) -> WSGIApplication:
    def door(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        hot = by_path.get(environ["PATH_INFO"])
        if hot is None or environ["REQUEST_METHOD"] != "POST":
            return flask(environ, start_response)
        environ[ROUTE] = hot.path
        reply = _answer(hot, site, admit, environ)
        if reply.pending is not None:
            environ[HELD].hold(reply.pending, f"POST {hot.path}")
        head = [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body))), *reply.headers]
        start_response(STATUS_LINES[reply.status], head)
        return [reply.body]  # a list is sent at once, what else can be gone through piece by piece

    return door


def _answer(hot: Hot, site: Services, admit: Admit, environ: WSGIEnvironment) -> Reply:
    """An answer that is still pending is one that may be held."""
    try:
        admit(environ, hot.endpoint)
        reply = hot.answer(site, environ)
        if reply.pending is None or may_be_held(environ, len(reply.body)):
            return reply
        reply.pending.settle()
        reply.pending = None
        return reply
    except Exception as error:
        # The edge of the server: whatever is raised becomes a problem document, as Flask's handlers make it.
        return reply_of(problem_of(error, f"POST {hot.path}"))
