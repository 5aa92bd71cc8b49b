"""The server's log: lines of text, or of JSON for machines, each with the id of the request it belongs to.

It holds no personal data. Our own messages name columns and never values; of an exception that is not ours only the
kind and the places in the code are told, because its message may quote a value of a row.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson

from rowsmith.errors import RowsmithError

REQUEST_ID: ContextVar[str] = ContextVar("rowsmith_request_id", default="")
"""Of the request that this thread answers."""
NOISY = ("opentelemetry", "urllib3", "_granian")
"""They speak of connections, at great length below a warning."""
GRANIAN: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"threads": {"()": f"{__name__}.ManyThreads"}},
    "loggers": {"_granian": {"handlers": [], "propagate": True, "filters": ["threads"]}},
}
"""Granian's own way of logging, so that its lines come as ours do."""


@contextmanager
def about(request_id: str) -> Iterator[None]:
    """What is logged here belongs to a request, whichever thread this is."""
    token = REQUEST_ID.set(request_id)
    try:
        yield
    finally:
        REQUEST_ID.reset(token)


class ManyThreads(logging.Filter):
    """Leaves out granian's warning of many threads, most of which only wait (see turns.py)."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Configuration allows spawning up to")


def configure(style: str, level: str) -> None:
    """Everything that this process logs goes to standard error, in one style."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            document["request_id"] = request_id
        document |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[1] is not None:
            document["error"] = kinds_of(record.exc_info[1])
            document["trace"] = places_of(record.exc_info[2])
        return orjson.dumps(document, default=str).decode()


class TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        parts = [_time(record), record.levelname, f"{record.name}: {record.getMessage()}"]
        if facts := getattr(record, "facts", None):
            parts.append(f"{facts['ms']} ms")
        if request_id := REQUEST_ID.get():
            parts.append(f"[{request_id}]")
        lines = [" ".join(parts)]
        if record.exc_info and record.exc_info[1] is not None:
            lines += [f"    {place}" for place in places_of(record.exc_info[2])]
            lines += [f"    {' from '.join(kinds_of(record.exc_info[1]))}"]
        return "\n".join(lines)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def kinds_of(error: BaseException) -> list[str]:
    """An exception and what caused it, each by its kind; ours with their message."""
    kinds: list[str] = []
    found: BaseException | None = error
    while found is not None and len(kinds) < 10:
        name = type(found).__name__
        kinds.append(f"{name}: {found}" if isinstance(found, RowsmithError) else name)
        found = found.__cause__ or found.__context__
    return kinds


def places_of(trace: TracebackType | None) -> list[str]:
    """Where in the code, the outermost first."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]
