"""Around every request: an id, its count and time in the metrics, a line in the log, a trace.

It is the outermost layer, so that it sees what the door, Flask and the gate make of a request alike. What it writes
down is the rule of an address and never the path, the query, a header or a body: those may hold what a person typed.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request

from rowsmith.monitoring.random_digits import random_digits
from rowsmith.serving.held import HELD
from rowsmith.serving.logs import REQUEST_ID, about
from rowsmith.serving.metrics import Meter
from rowsmith.serving.tracing import Traces

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROUTE = "rowsmith.route"
"""The rule of the address, in the WSGI environment, put there by whoever answers."""
UNKNOWN = "unknown"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HEADER = "X-Request-Id"
GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
LAG_SECONDS = 1.0

requests = logging.getLogger("rowsmith.requests")


def register(app: Flask, meter: Meter, traces: Traces, log_lag: Callable[[], float]) -> None:
    """Comes last, since what is wrapped around an application first is inside. `log_lag` answers seconds."""

    @app.after_request
    def name_the_rule(response: Response) -> Response:
        request.environ[ROUTE] = rule_of(request)
        return response

    app.wsgi_app = _observed(app.wsgi_app, meter, traces, _Lag(meter, log_lag))  # type: ignore[assignment, method-assign]


def rule_of(request: Any) -> str:
    """Paths are without number and may hold what somebody typed; rules are not and do not."""
    return request.url_rule.rule if request.url_rule is not None else UNKNOWN


def _observed(application: WSGIApplication, meter: Meter, traces: Traces, lag: _Lag) -> WSGIApplication:
    def observed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = time.perf_counter()
        lag.begin()
        request_id = _id_of(environ)
        token = REQUEST_ID.set(request_id)
        said: list[str] = ["500"]

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            said[0] = status
            return start_response(status, [*headers, (HEADER, request_id)], *error)

        method = environ["REQUEST_METHOD"] if environ["REQUEST_METHOD"] in METHODS else UNKNOWN
        held = environ.get(HELD)
        try:
            with traces.request(environ, method, request_id) as traced:
                answer = application(environ, start)
                status = int(said[0][:3])
                route = environ.get(ROUTE, UNKNOWN)
                traced(route, status)
            write_down = partial(_write_down, meter, request_id, route, method, began)
            if held is None or held.pending is None:
                write_down(status)
            else:
                held.before = write_down
            return answer
        finally:
            REQUEST_ID.reset(token)

    return observed


def _write_down(meter: Meter, request_id: str, route: str, method: str, began: float, status: int) -> None:
    """An answer that was held is sent by another thread, which knows nothing of the request."""
    seconds = time.perf_counter() - began
    meter.observe(route, method, status, seconds)
    if requests.isEnabledFor(logging.INFO):
        facts = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 3)}
        with about(request_id):
            requests.info("%s %s %s", method, route, status, extra={"facts": facts})


def _id_of(environ: WSGIEnvironment) -> str:
    """The caller's own, where it is one, so that it is the same in all logs on the way; else a new one."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if given and GIVEN_ID.fullmatch(given) else random_digits()


class _Lag:
    """A thread that puts this process's lag into the metrics, from its first request on."""

    def __init__(self, meter: Meter, log_lag: Callable[[], float]) -> None:
        self._meter = meter
        self._log_lag = log_lag
        self._starting = threading.Lock()
        self._has_begun = False

    def begin(self) -> None:
        if self._has_begun:
            return
        with self._starting:
            if not self._has_begun:
                self._has_begun = True
                threading.Thread(target=self._report, name="rowsmith-lag", daemon=True).start()

    def _report(self) -> None:
        while True:
            self._meter.report_lag(self._log_lag())
            time.sleep(LAG_SECONDS)
