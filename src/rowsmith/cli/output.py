"""Where answers go: results to standard output, everything else to standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from rowsmith.types import JsonObject

# As wide as a page of a terminal where there is none, so that tables are not cut in a log.
WIDTH_WITHOUT_TERMINAL = 120


def stdout() -> Console:
    return _console(error=False)


def stderr() -> Console:
    return _console(error=True)


def _console(*, error: bool) -> Console:
    """A console over today's stream (tests and callers may swap it). NO_COLOR is honoured by rich itself."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


class _Warnings(logging.Handler):
    """What was no reason to stop, on today's standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"warning: {record.getMessage()}", file=sys.stderr)


def show_warnings() -> None:
    """Show what workflows warn of while they go on."""
    logger = logging.getLogger("rowsmith.tracking")
    if not any(isinstance(handler, _Warnings) for handler in logger.handlers):
        logger.addHandler(_Warnings(logging.WARNING))


def answer(document: JsonObject, render: Callable[[JsonObject], Iterable[RenderableType]], *, as_json: bool) -> None:
    """Print what a command found: the document itself for machines, its rendering for people."""
    if as_json:
        print_json(document)
        return
    from rich.text import Text

    console = stdout()
    for part in render(document):
        # A line of text is left whole, so that a path or a command can be copied; the terminal wraps it by itself.
        console.print(part, soft_wrap=isinstance(part, Text))


def print_json(document: Any) -> None:
    """Standard output gets this one JSON document and nothing else; NaN and infinity become null."""
    import orjson

    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    sys.stdout.write(orjson.dumps(document, default=str, option=options).decode())
    sys.stdout.flush()
