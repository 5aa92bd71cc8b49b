"""Who may ask, and what a browser may do with the answer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask, request

from rowsmith.serving.addresses import is_loopback
from rowsmith.serving.errors import Problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FOREIGN_SITES = frozenset({"cross-site", "same-site"})

# Everything comes from this server; nothing is inline. The report, which is one self-contained file, is served
# under a policy of its own inside a sandbox (see pages/versions.py).
POLICY = "Content-Security-Policy"
HEADERS = [
    (POLICY, "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
]


def register(app: Flask, *, host: str) -> None:
    """Headers on every answer; the gate before everything that Flask answers."""
    only_loopback = is_loopback(host)
    app.wsgi_app = _with_headers(app.wsgi_app)  # type: ignore[assignment, method-assign]

    @app.before_request
    def pass_the_gate() -> None:
        admit(request.environ, only_loopback=only_loopback)

    @app.before_request
    def refuse_nul() -> None:
        if "\0" in request.path:  # PostgreSQL's text cannot hold it, so a look-up would fail instead of finding nothing
            raise Problem("not-found", "no address has a NUL character")


def admit(environ: WSGIEnvironment, *, only_loopback: bool) -> None:
    """Refuse what a page of another site made a browser send. Raises Problem.

    A server on loopback has no keys, so it answers only to the names of loopback: a foreign name that was made to
    resolve to 127.0.0.1 (DNS rebinding) is refused.
    """
    if only_loopback and not _names_loopback(environ.get("HTTP_HOST", "")):
        raise Problem("foreign-request", "this server answers to localhost only")
    if environ["REQUEST_METHOD"] not in SAFE_METHODS and environ.get("HTTP_SEC_FETCH_SITE") in FOREIGN_SITES:
        raise Problem("foreign-request", "this request was made by a page of another site")


@lru_cache(maxsize=256)
def _names_loopback(host: str) -> bool:
    """Of a Host header, with a port or without."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _with_headers(application: WSGIApplication) -> WSGIApplication:
    """Around the application and not inside it: a list joined to a list costs a request next to nothing."""

    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            own_policy = any(name == POLICY for name, _ in headers)
            return start_response(status, headers + (HEADERS[1:] if own_policy else HEADERS), *error)

        return application(environ, start)

    return wrapped
