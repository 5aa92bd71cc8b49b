"""Every request through the gate, and what a browser may do with the answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Flask, redirect, request, url_for
from werkzeug.wrappers import Response

from rowsmith.serving.errors import Problem, for_machine
from rowsmith.serving.gate import HEADERS, SAFE_METHODS, Gate
from rowsmith.serving.permissions import role_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Everything comes from this server; nothing is inline. The report, which is one self-contained file, is served
# under a policy of its own inside a sandbox (see pages/versions.py).
POLICY = "Content-Security-Policy"
SECURITY_HEADERS = [
    (POLICY, "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
]
# Only said over TLS, where it is heard.
STRICT_TRANSPORT = ("Strict-Transport-Security", "max-age=31536000")
# What a key opened is for whoever holds that key: no cache on the way may keep it.
PRIVATE = ("Cache-Control", "no-store")


def register(app: Flask, gate: Gate) -> None:
    """The gate before every request, and headers on every answer."""
    app.wsgi_app = _with_headers(app.wsgi_app, private=gate.asks_for_keys)  # type: ignore[assignment, method-assign]

    @app.before_request
    def pass_the_gate() -> Response | None:
        try:
            gate.admit(request.environ, role_for(request.endpoint))
        except Problem as problem:
            if problem.kind.slug == "key-required" and request.method in SAFE_METHODS and not for_machine():
                goal = request.script_root + request.full_path.rstrip("?")
                return redirect(f"{url_for('sign_in.form')}?next={quote(goal, safe='/')}", code=303)
            raise
        return None

    @app.before_request
    def refuse_nul() -> None:
        if "\0" in request.path:  # PostgreSQL's text cannot hold it, so a look-up would fail instead of finding nothing
            raise Problem("not-found", "no address has a NUL character")


def _with_headers(application: WSGIApplication, *, private: bool) -> WSGIApplication:
    """Around the application and not inside it: a list joined to a list costs a request next to nothing."""

    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            names = {name for name, _ in headers}
            added = SECURITY_HEADERS[1:] if POLICY in names else SECURITY_HEADERS
            if environ.get("wsgi.url_scheme") == "https":
                added = [*added, STRICT_TRANSPORT]
            if private and "Cache-Control" not in names:
                added = [*added, PRIVATE]
            return start_response(status, headers + added + environ.get(HEADERS, []), *error)

        return application(environ, start)

    return wrapped
