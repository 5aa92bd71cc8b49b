"""run and train, and what is to be seen of a version: leaderboard, show, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowsmith.cli.options import (
    HERE,
    ConfigOption,
    CoresOption,
    DebugOption,
    JsonOption,
    ParamOption,
    ProjectOption,
    PromoteOption,
    QueryOption,
    SecondsOption,
    SeedOption,
    SourceArgument,
    TableOption,
    TargetOption,
    TrialsOption,
    VersionArgument,
    open_here,
    with_query,
    with_recipe,
)

if TYPE_CHECKING:
    from rowsmith.types import JsonObject
    from rowsmith.workflows.project import Project
    from rowsmith.workflows.run import Outcome

REFUSED = 4

MetricOption = Annotated[str | None, typer.Option("--metric", metavar="M", help="What to optimise, such as roc_auc.")]
TaskOption = Annotated[
    str | None, typer.Option("--task", metavar="K", help="binary, multiclass or regression.", show_default="inferred")
]


def run(
    data: SourceArgument = None,
    target: TargetOption = None,
    table: TableOption = None,
    query: QueryOption = None,
    param: ParamOption = None,
    seconds: SecondsOption = None,
    metric: MetricOption = None,
    task: TaskOption = None,
    seed: SeedOption = None,
    max_trials: TrialsOption = None,
    cores: CoresOption = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """From a table to a tested, documented champion: read, check, train, test once, report, promote.

    Works in any folder; what it keeps goes into .rowsmith/. Ends with exit code 4 when a gate refuses the new
    version, which is kept all the same.

    [dim]Example:[/] rowsmith run adult.parquet --target income --seconds 60
    """
    from rowsmith.cli.progress import watch
    from rowsmith.workflows.run import run as work

    opened = with_recipe(
        open_here(project, config),
        target={"column": target, "metric": metric, "task": task},
        train={"seconds": seconds, "max_trials": max_trials, "cores": cores, "seed": seed},
    )
    opened = with_query(opened, table, query, param)
    with watch() as progress:
        outcome = work(opened, data, on_progress=progress)
    finish(opened, outcome, as_json=as_json, wanted=True)


def train(
    snapshot: Annotated[
        str | None,
        typer.Option("--snapshot", metavar="ID", help="Rows that were read before.", show_default="the newest"),
    ] = None,
    target: TargetOption = None,
    seconds: SecondsOption = None,
    metric: MetricOption = None,
    seed: SeedOption = None,
    max_trials: TrialsOption = None,
    cores: CoresOption = None,
    promote: PromoteOption = True,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Train a version on rows that `rowsmith ingest` has read.

    [dim]Example:[/] rowsmith train --seconds 600 --no-promote
    """
    from rowsmith.cli.progress import watch
    from rowsmith.workflows.ingest import find_snapshot
    from rowsmith.workflows.run import train_version

    opened = with_recipe(
        open_here(project, config),
        target={"column": target, "metric": metric},
        train={"seconds": seconds, "max_trials": max_trials, "cores": cores, "seed": seed},
    )
    with watch() as progress:
        outcome = train_version(opened, find_snapshot(opened, snapshot), promote=promote, on_progress=progress)
    finish(opened, outcome, as_json=as_json, wanted=promote)


def leaderboard(
    version: VersionArgument = "latest",
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """What was tried on the way to a version, the best first, and what of it is in the ensemble.

    [dim]Example:[/] rowsmith leaderboard 3
    """
    from rowsmith.cli import views
    from rowsmith.cli.output import answer

    opened = open_here(project, config)
    found = opened.version(version)
    document = run_document(opened, found)
    keys = ("name", "metric", "cross_validation", "leaderboard")
    answer({"version": found.number, **{key: document[key] for key in keys}}, views.leaderboard, as_json=as_json)


def show(
    version: Annotated[
        str | None,
        typer.Argument(metavar="VERSION", help="A number, `champion` or `latest`.", show_default="list them"),
    ] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the versions and who became champion when and why; or show one version in full.

    [dim]Example:[/] rowsmith show champion
    """
    from rowsmith.cli import documents, views
    from rowsmith.cli.output import answer

    opened = open_here(project, config)
    found = opened.version(version or "latest")
    champion = opened.registry.champion(found.name)
    reigning = champion.number if champion else None
    if version is not None:
        document = documents.of_details(
            documents.of_version(found, reigning),
            run_document(opened, found),
            str(opened.registry.folder(found)),
        )
        answer(document, views.details, as_json=as_json)
        return
    listed = [documents.of_version(item, reigning) for item in opened.registry.list(found.name)]
    ledger = [entry.to_dict() for entry in opened.registry.ledger(found.name)]
    answer({"name": found.name, "versions": listed, "ledger": ledger}, views.versions, as_json=as_json)


def report(
    version: VersionArgument = "champion",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Copy the report there.")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Where the report of a version is: one HTML file that needs no network.

    [dim]Example:[/] rowsmith report --open
    """
    from rowsmith.cli import views
    from rowsmith.cli.output import answer
    from rowsmith.storage.files import write_atomically
    from rowsmith.workflows.run import CARD_FILE, REPORT_FILE

    opened = open_here(project, config)
    found = opened.version(version)
    folder = opened.registry.folder(found)
    path = folder / REPORT_FILE
    if out is not None:
        write_atomically(out, path.read_bytes())
        path = out.resolve()
    if open_it:
        typer.launch(path.as_uri())
    document = {"name": found.name, "version": found.number, "report": str(path), "card": str(folder / CARD_FILE)}
    answer(document, views.report, as_json=as_json)


def finish(project: Project, outcome: Outcome, *, as_json: bool, wanted: bool, read: JsonObject | None = None) -> None:
    """Tell what a training came to; a version that was wanted as champion and refused ends with exit code 4.

    `read` is what was read for it, where that is worth telling.
    """
    from rowsmith.cli import documents, views
    from rowsmith.cli.output import answer

    told = {"trained": True, "read": read} if read else {}
    answer({**documents.of_outcome(outcome), **told}, views.outcome, as_json=as_json)
    if wanted and not outcome.promoted:
        raise typer.Exit(REFUSED)


def run_document(project: Project, version: Any) -> JsonObject:
    """What the run of a version wrote down."""
    from rowsmith.workflows.run import DOCUMENT_FILE

    path = project.registry.folder(version) / DOCUMENT_FILE
    document: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    return document
