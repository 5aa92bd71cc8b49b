"""Counting and timing of every request."""

from __future__ import annotations

import time

from flask import Flask, Response, g, request

from rowsmith.serving.metrics import Meter

UNKNOWN = "unknown"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def register(app: Flask, meter: Meter) -> None:
    @app.before_request
    def start() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def stop(response: Response) -> Response:
        # The rule, not the path: paths are without number and may hold what somebody typed.
        route = request.url_rule.rule if request.url_rule is not None else UNKNOWN
        method = request.method if request.method in METHODS else UNKNOWN
        meter.observe(route, method, response.status_code, time.perf_counter() - g.began)
        return response
