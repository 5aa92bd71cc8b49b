"""The command line. A command is one call of a workflow, and a rendering of what it answered.

Exit codes: 0 done · 1 an error of ours · 2 wrong usage · 3 bad data · 4 a gate refused · 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from rowsmith.cli.output import show_warnings
from rowsmith.errors import RowsmithError, SchemaError

if TYPE_CHECKING:
    from rowsmith.types import JsonObject

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command line (the process's own when None) and end the process with its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a bar or a tick gets a question mark, not an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    show_warnings()
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str]) -> int:
    if "serve" in arguments[:1] and not {"-h", "--help"} & set(arguments):
        from rowsmith.serving import preloading

        preloading.begin()  # as early as can be: it takes longer than all that comes before a server starts
    import typer

    from rowsmith.cli.app import app

    try:
        code = app(list(arguments), prog_name="rowsmith", standalone_mode=False)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except typer.Abort:
        code = INTERRUPTED
    except typer.TyperException as problem:
        return _usage_error(problem, arguments)
    except Exception as problem:
        return _failure(problem, arguments)
    if code == INTERRUPTED:
        if "--json" in arguments:
            _print_json({"type": "Interrupted", "what": "interrupted: nothing half-done was kept", "exit_code": code})
        print("Interrupted: nothing half-done was kept.", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _usage_error(problem: Exception, arguments: Sequence[str]) -> int:
    """A mistake on the command line, told the way the rest of the help looks."""
    code = int(getattr(problem, "exit_code", 2))
    if "--json" in arguments:
        _print_json({"type": "UsageError", "what": str(getattr(problem, "message", problem)), "exit_code": code})
    from typer.rich_utils import rich_format_error

    rich_format_error(problem)  # type: ignore[arg-type]  # every exception that reaches this place is one it takes
    return code


def _failure(problem: Exception, arguments: Sequence[str]) -> int:
    """An error of the family is told in a sentence; anything else is a fault of ours and says so."""
    if _debugging(arguments):
        import traceback

        traceback.print_exception(problem)
    document = describe_error(problem)
    if "--json" in arguments:
        _print_json(document)
    from rowsmith.cli.output import stderr

    stderr().print(f"[bold red]Error:[/] {_escaped(str(problem) or type(problem).__name__)}", soft_wrap=True)
    if not isinstance(problem, RowsmithError):
        kind = _escaped(type(problem).__name__)
        stderr().print(f"This {kind} is a fault of Rowsmith's, not yours; --debug shows where.", soft_wrap=True)
    return int(document["exit_code"])


def describe_error(problem: Exception) -> JsonObject:
    """What machines read about an error: the parts of its message, and each fault of the data where it lists them."""
    document: JsonObject = {"type": type(problem).__name__, "what": str(problem), "exit_code": 1}
    if isinstance(problem, RowsmithError):
        document["exit_code"] = problem.exit_code
        parts = ("what", "where", "received", "allowed", "next_step")
        document |= {part: getattr(problem, part) for part in parts if getattr(problem, part)}
    if isinstance(problem, SchemaError):
        keys = ("code", "column", "row", "message", "received", "allowed")
        document["faults"] = [{key: getattr(fault, key) for key in keys} for fault in problem.faults]
    return document


def _debugging(arguments: Sequence[str]) -> bool:
    from rowsmith.settings import read_settings

    try:
        return "--debug" in arguments or read_settings().debug
    except RowsmithError:
        return "--debug" in arguments


def _print_json(error: JsonObject) -> None:
    from rowsmith.cli.output import print_json

    print_json({"error": error})


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
