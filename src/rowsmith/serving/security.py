"""Who may ask, and what a browser may do with the answer."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, request

from rowsmith.serving.addresses import is_loopback
from rowsmith.serving.errors import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# Everything comes from this server; nothing is inline. The report, which is one self-contained file, is served
# under a policy of its own inside a sandbox (see pages/report.py).
CONTENT_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def register(app: Flask, *, host: str) -> None:
    """Headers on every answer; refusal of requests that a page of another site made a browser send.

    A server on loopback has no keys, so it answers only to the names of loopback: a foreign name that was made to
    resolve to 127.0.0.1 (DNS rebinding) is refused.
    """
    only_loopback = is_loopback(host)

    @app.before_request
    def refuse_strangers() -> None:
        if only_loopback and not is_loopback(urlsplit(f"//{request.host}").hostname or ""):
            raise Problem("foreign-request", "this server answers to localhost only")
        if request.method not in SAFE_METHODS and request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
            raise Problem("foreign-request", "this request was made by a page of another site")

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response
