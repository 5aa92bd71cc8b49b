"""erase: somebody asks to be forgotten."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rowsmith.cli.options import (
    HERE,
    ConfigOption,
    DebugOption,
    JsonOption,
    ProjectOption,
    open_here,
    who,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rowsmith.types import JsonObject
    from rowsmith.workflows.erase import Trace


def erase(
    people: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="A file with one value a line, or - for standard input; never the value itself, which a shell keeps.",
            show_default="asks for one value",
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            "--column", metavar="COLUMN", help="The column that names a person.", show_default="the recipe's subject_id"
        ),
    ] = None,
    ids: Annotated[bool, typer.Option("--ids", help="The lines are ids of predictions.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what is there, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to go on.")] = False,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Remove every row about a person for good: predictions and their outcomes, results of batch jobs, snapshots.

    The prediction log is searched by columns that models look at, by pseudonyms, and by the ids that results of jobs
    hold beside the column. Models that were trained on the rows are named. May be repeated; what was cut off goes on.

    [dim]Example:[/] rowsmith erase people.txt --column customer_id --dry-run
    """
    from rowsmith.cli import access_views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.erase import erase as work
    from rowsmith.workflows.erase import find, person_of

    opened = open_here(project, config)
    named = column or opened.recipe.columns.subject_id
    person = person_of(named, _lines(people, "id" if ids else named or "value"), are_ids=ids)
    if dry_run:
        trace = find(opened, person)
    else:
        if not yes:
            _confirm(find(opened, person), asked_by_pipe=people == "-" or as_json)
        trace = work(opened, person, actor=who("rowsmith erase"))
    answer(_document(trace, dry_run=dry_run), access_views.erased, as_json=as_json)


def _lines(people: str | None, what: str) -> Iterable[str]:
    from rowsmith.workflows.erase import lines_of

    if people == "-":
        return sys.stdin
    if people is None:
        return [str(typer.prompt(what, err=True))]
    return lines_of(Path(people))


def _confirm(trace: Trace, *, asked_by_pipe: bool) -> None:
    from rowsmith.cli import access_views
    from rowsmith.cli.output import stderr
    from rowsmith.errors import UsageError

    if trace.is_empty:
        return
    if asked_by_pipe:
        raise UsageError("nobody can be asked whether to go on", next_step="look with --dry-run, then give --yes")
    for part in access_views.erased(_document(trace, dry_run=True)):
        stderr().print(part, soft_wrap=True)
    typer.confirm("There is no way back. Go on?", abort=True, err=True)


def _document(trace: Trace, *, dry_run: bool) -> JsonObject:
    return trace.to_dict() | {"empty": trace.is_empty, "dry_run": dry_run}
