"""Pages of other sites: which of them may ask (CORS). None may unless the owner names them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATHS = ("/api/", "/v2", "/invocations", "/openapi.json")
ALLOWED = [
    ("Access-Control-Allow-Methods", "GET, POST"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, Content-Encoding, Idempotency-Key, Rowsmith-Key"),
    ("Access-Control-Max-Age", "600"),
]
EXPOSED = ("Access-Control-Expose-Headers", "X-Request-Id, RateLimit, RateLimit-Policy, Retry-After")


def is_named(environ: WSGIEnvironment, origins: Collection[str]) -> bool:
    """Whether a page of a site that the owner named asks for what machines ask for."""
    return environ.get("HTTP_ORIGIN", "") in origins and environ["PATH_INFO"].startswith(PATHS)


def register(app: Flask, origins: Collection[str]) -> None:
    """Cookies are never sent along: a page of another site needs a key of its own."""
    if origins:
        app.wsgi_app = _opened(app.wsgi_app, frozenset(origins))  # type: ignore[assignment, method-assign]


def _opened(application: WSGIApplication, origins: frozenset[str]) -> WSGIApplication:
    def opened(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not is_named(environ, origins):
            return application(environ, start_response)
        added = [("Access-Control-Allow-Origin", environ["HTTP_ORIGIN"]), ("Vary", "Origin"), EXPOSED]
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            start_response("204 No Content", [*added, *ALLOWED])
            return ()

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            kept = [item for item in headers if item[0] != "Cross-Origin-Resource-Policy"]
            return start_response(status, [*kept, *added, ("Cross-Origin-Resource-Policy", "cross-origin")], *error)

        return application(environ, start)

    return opened
