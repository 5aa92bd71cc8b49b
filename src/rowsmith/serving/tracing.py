"""Traces of requests for an OpenTelemetry collector (OTLP over HTTP), where one is named; nothing otherwise.

A span for the request and one for each of its steps. Attributes are the method, the rule of the address, the status
and the request's id; what was asked and answered is in none of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from rowsmith.errors import SettingsError
from rowsmith.serving.steps import LISTENER
from rowsmith.version import __version__

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Traced: TypeAlias = Callable[[str, int], None]
"""Told the route and the status once they are known."""
EXPORT_MS = 1000
WHOSE = "rowsmith"

logger = logging.getLogger("rowsmith.serving")


class Traces(Protocol):
    def request(self, environ: WSGIEnvironment, method: str, request_id: str) -> AbstractContextManager[Traced]: ...

    def close(self) -> None:
        """Send what is waiting."""
        ...


class _Nothing:
    def __enter__(self) -> Traced:
        return _ignore

    def __exit__(self, *error: object) -> None:
        return None


def _ignore(route: str, status: int) -> None:
    return None


class NoTraces:
    _nothing = _Nothing()

    def request(self, environ: WSGIEnvironment, method: str, request_id: str) -> AbstractContextManager[Traced]:
        return self._nothing

    def close(self) -> None:
        return None


def open_traces(endpoint: str) -> Traces:
    """To the collector at an endpoint (http://host:4318); none where it is empty. Raises SettingsError."""
    return OpenTelemetry(endpoint) if endpoint else NoTraces()


class OpenTelemetry:
    """Sent from a thread of its own, in batches; a collector that is away loses traces and delays no answer."""

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace import SpanKind, Status, StatusCode
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as problem:
            raise SettingsError(
                "traces are asked for (OTEL_EXPORTER_OTLP_ENDPOINT), and OpenTelemetry is not installed",
                next_step="pip install rowsmith[otel], or unset the variable",
            ) from problem
        # A service name that the environment gives (OTEL_SERVICE_NAME) goes before ours.
        resource = Resource.create()
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": WHOSE, "service.version": __version__}))
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_MS))
        self._tracer = self._provider.get_tracer(WHOSE, __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._server = SpanKind.SERVER
        self._failed = Status(StatusCode.ERROR)

    @contextmanager
    def request(self, environ: WSGIEnvironment, method: str, request_id: str) -> Iterator[Traced]:
        carrier = {name: environ[key] for name, key in HEADERS.items() if key in environ}
        context = self._propagator.extract(carrier)
        facts: dict[str, Any] = {"http.request.method": method, "rowsmith.request_id": request_id}
        with self._tracer.start_as_current_span(
            method, context, kind=self._server, attributes=facts, record_exception=False, set_status_on_exception=False
        ) as span:

            def traced(route: str, status: int) -> None:
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.route": route, "http.response.status_code": status})
                if status >= 500:
                    span.set_status(self._failed)

            token = LISTENER.set(self._step)
            try:
                yield traced
            finally:
                LISTENER.reset(token)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """A step that fails is marked as such; what the exception says may quote a row, and is not told."""
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            try:
                yield
            except Exception:
                span.set_status(self._failed)
                raise

    def close(self) -> None:
        self._provider.shutdown()


HEADERS = {"traceparent": "HTTP_TRACEPARENT", "tracestate": "HTTP_TRACESTATE"}
