"""The commands in the order in which a person meets them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from rowsmith.cli import (
    access,
    data,
    erasing,
    lifecycle,
    log,
    prediction,
    shipping,
    signing,
    start,
    store,
    traffic,
    training,
)
from rowsmith.version import __version__

COMMANDS: tuple[tuple[str, tuple[Callable[..., Any], ...]], ...] = (
    ("Start", (start.quickstart, start.init)),
    ("Data", (data.ingest, data.check)),
    ("Training", (training.run, training.train, training.leaderboard, training.show, training.report)),
    ("Prediction", (prediction.predict, prediction.serve)),
    ("Shipping", (shipping.export, shipping.adopt)),
    (
        "Maintenance",
        (
            prediction.label,
            lifecycle.monitor,
            lifecycle.retrain,
            lifecycle.promote,
            lifecycle.rollback,
            lifecycle.verify,
        ),
    ),
    ("Access", (access.audit, signing.sign, erasing.erase)),
)
GROUPS: tuple[tuple[str, str, str, tuple[Callable[..., Any], ...]], ...] = (
    ("Maintenance", "traffic", traffic.TRAFFIC_HELP, traffic.TRAFFIC),
    ("Data", "data", store.DATA_HELP, store.DATA),
    ("Maintenance", "log", log.LOG_HELP, log.LOG),
    ("Access", "keys", access.KEYS_HELP, access.KEYS),
)
"""Commands with commands of their own: panel, name, help, and those."""

app = typer.Typer(
    name="rowsmith",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 an error, 2 wrong usage, 3 bad data, 4 a gate refused, 5 monitoring says act.",
)


COMPILED = (
    "rowsmith.training.families._traverse",
    "rowsmith.transformation._dense",
    "rowsmith.ingestion._row_bytes",
    "rowsmith.ingestion.sources.formats._records",
    *(() if sys.platform == "win32" else ("rowsmith.monitoring._group_append",)),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        are_compiled = all(find_spec(name) for name in COMPILED)
        loops = "compiled" if are_compiled else "in Python: install once more with a C compiler to be fast"
        print(f"rowsmith {__version__} (inner loops: {loops})")
        raise typer.Exit


@app.callback()
def rowsmith(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From rows to a running, watched, documented model.

    New here? `rowsmith quickstart` shows all of it in half a minute;
    `rowsmith run data.csv --target column` does it with your own rows.
    """


def _unwrapped(text: str) -> str:
    """A docstring with its paragraphs unwrapped: the terminal decides where lines end."""
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in inspect.cleandoc(text).split("\n\n"))


def _group(name: str, text: str, functions: tuple[Callable[..., Any], ...]) -> typer.Typer:
    group = typer.Typer(name=name, help=_unwrapped(text), no_args_is_help=True, rich_markup_mode="rich")
    for function in functions:
        group.command(name=function.__name__, help=_unwrapped(function.__doc__ or ""))(function)
    return group


for _panel, _functions in COMMANDS:
    for _function in _functions:
        app.command(rich_help_panel=_panel, help=_unwrapped(_function.__doc__ or ""))(_function)
for _panel, _name, _text, _functions in GROUPS:
    app.add_typer(_group(_name, _text, _functions), name=_name, rich_help_panel=_panel)
