"""data: what the store of snapshots holds, whether it is whole, and what may go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rowsmith.cli.options import (
    HERE,
    ConfigOption,
    DebugOption,
    JsonOption,
    ProjectOption,
    open_here,
)

DATA_HELP = """The snapshots of a project: list, look into, compare, verify, prune and describe them.

A snapshot is a table as it was read, named by the hash of its rows. As much of its id will do as no other has."""
DAMAGED = 1

SnapshotArgument = Annotated[str | None, typer.Argument(metavar="ID", help="A snapshot.", show_default="the newest")]


def list_(
    project: ProjectOption = HERE, config: ConfigOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """All snapshots, the newest first: how large, from where, after which other, and which models need them.

    [dim]Example:[/] rowsmith data list
    """
    from rowsmith.cli import store_views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.data import list_data

    opened = open_here(project, config)
    document = {"where": opened.snapshots.kept.where, "snapshots": list_data(opened)}
    answer(document, store_views.snapshots, as_json=as_json)


def show(
    snapshot: SnapshotArgument = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """One snapshot: where it came from, what its columns hold, and the snapshots before it.

    [dim]Example:[/] rowsmith data show 3f2a
    """
    from rowsmith.cli import store_views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.data import show_data

    answer(show_data(open_here(project, config), snapshot), store_views.snapshot, as_json=as_json)


def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A snapshot.")],
    after: Annotated[
        str | None, typer.Argument(metavar="AFTER", help="Another one.", show_default="the newest")
    ] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """How two snapshots differ: columns, rows that only one has, missing values, distributions.

    [dim]Example:[/] rowsmith data diff 3f2a 91cc
    """
    from rowsmith.cli import store_views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.data import diff_data

    answer(diff_data(open_here(project, config), before, after), store_views.difference, as_json=as_json)


def verify(
    snapshot: Annotated[str | None, typer.Argument(metavar="ID", help="A snapshot.", show_default="all")] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare the bytes of every part, and the rows, with their hashes. Ends with exit code 1 when one differs.

    [dim]Example:[/] rowsmith data verify
    """
    from rowsmith.cli import store_views
    from rowsmith.cli.output import answer
    from rowsmith.cli.progress import watch
    from rowsmith.workflows.data import verify_data

    opened = open_here(project, config)
    with watch() as progress:
        document = verify_data(opened, snapshot, on_progress=progress)
    answer(document, store_views.verified, as_json=as_json)
    if not document["passed"]:
        raise typer.Exit(DAMAGED)


def prune(
    keep: Annotated[int, typer.Option("--keep", metavar="N", min=0, help="The newest that stay in any case.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    even_needed: Annotated[
        bool, typer.Option("--even-needed", help="Of a shared bucket also what other machines or projects need.")
    ] = False,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Remove snapshots that nothing needs: no version of a model, and no source that is read incrementally.

    [dim]Example:[/] rowsmith data prune --keep 5 --dry-run
    """
    from rowsmith.cli import store_views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.data import prune_data

    document = prune_data(open_here(project, config), keep=keep, dry_run=dry_run, even_needed=even_needed)
    answer(document, store_views.pruned, as_json=as_json)


def card(
    snapshot: SnapshotArgument = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there.")] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """A data card: Croissant metadata (JSON-LD), which tools for data sets read.

    [dim]Example:[/] rowsmith data card --out croissant.json
    """
    import json

    from rowsmith.cli import store_views
    from rowsmith.cli.output import answer
    from rowsmith.storage.files import write_atomically
    from rowsmith.workflows.data import data_card

    document = data_card(open_here(project, config), snapshot)
    if out is not None:
        write_atomically(out, json.dumps(document, ensure_ascii=False, indent=2))
    answer(document, store_views.card, as_json=as_json)


list_.__name__ = "list"
DATA = (list_, show, diff, verify, prune, card)
