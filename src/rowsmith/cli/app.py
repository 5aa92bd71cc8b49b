"""The commands in the order in which a person meets them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from rowsmith.cli import data, lifecycle, prediction, start, training
from rowsmith.version import __version__

COMMANDS: tuple[tuple[str, tuple[Callable[..., Any], ...]], ...] = (
    ("Start", (start.quickstart, start.init)),
    ("Data", (data.ingest, data.check)),
    ("Training", (training.run, training.train, training.leaderboard, training.show, training.report)),
    ("Prediction", (prediction.predict, prediction.serve)),
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
)

app = typer.Typer(
    name="rowsmith",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 an error, 2 wrong usage, 3 bad data, 4 a gate refused, 5 monitoring says act.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"rowsmith {__version__}")
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


def _help(function: Callable[..., Any]) -> str:
    """A command's docstring with its paragraphs unwrapped: the terminal decides where lines end."""
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs)


for _panel, _functions in COMMANDS:
    for _function in _functions:
        app.command(rich_help_panel=_panel, help=_help(_function))(_function)
