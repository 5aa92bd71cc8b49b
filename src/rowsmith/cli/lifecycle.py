"""monitor, retrain, promote, rollback and verify: a model's life after its first day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from rowsmith.cli.options import (
    HERE,
    ConfigOption,
    CoresOption,
    DebugOption,
    JsonOption,
    ProjectOption,
    PromoteOption,
    SecondsOption,
    SourceArgument,
    TrialsOption,
    VersionArgument,
    open_here,
    who,
    with_recipe,
)
from rowsmith.settings import read_settings

DIFFERENT = 1

ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the ledger.")]


def monitor(
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="Rows to judge instead of the logged ones.", show_default="the log"),
    ] = None,
    version: Annotated[
        str, typer.Option("--version", metavar="V", help="A number, `champion` or `latest`.")
    ] = "champion",
    time: Annotated[
        str | None, typer.Option("--time", metavar="COLUMN", help="The column that DATA is cut into windows by.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--since", metavar="DATE", help="Look at what was asked from then on (UTC).")
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Look at what the version answered as a shadow, which nobody was given.")
    ] = False,
    until: Annotated[datetime | None, typer.Option("--until", metavar="DATE", help="And before then (UTC).")] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare what is asked and answered with what was trained on: volume, errors, drift, scores.

    Ends with exit code 5 when something has to be done, so that cron can tell; ROWSMITH_ALERTS names whom to tell.

    [dim]Example:[/] rowsmith monitor --since 2026-11-01 || echo "look at the model"
    """
    from rowsmith.cli import views
    from rowsmith.cli.output import answer
    from rowsmith.cli.progress import watch
    from rowsmith.workflows.monitor import alert
    from rowsmith.workflows.monitor import monitor as work

    start, end = (moment.replace(tzinfo=UTC) if moment else None for moment in (since, until))
    opened = open_here(project, config)
    with watch() as progress:
        report = work(
            opened,
            data,
            ref=version,
            time=time,
            start=start,
            end=end,
            role="shadow" if shadow else None,
            on_progress=progress,
        )
    for failure in alert(opened, report, read_settings().alerts).failures:
        typer.echo(f"warning: {failure}", err=True)
    answer(report.to_dict(), views.monitored, as_json=as_json)
    if report.verdict.exit_code:
        raise typer.Exit(report.verdict.exit_code)


def retrain(
    data: SourceArgument = None,
    append: Annotated[
        bool, typer.Option("--append", help="The rows come after those of the champion, rather than instead of them.")
    ] = False,
    seconds: SecondsOption = None,
    max_trials: TrialsOption = None,
    cores: CoresOption = None,
    promote: PromoteOption = True,
    force: Annotated[bool, typer.Option("--force", help="Train also where there are no newer rows.")] = False,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Train a challenger with the champion's recipe on newer rows, and let the gates decide between the two.

    Without DATA the recipe's source is read again, and only what is new of it where the recipe says so; without a
    source in the recipe the newest snapshot is taken. Where that is nothing new, nothing is trained. Ends with exit
    code 4 when the champion stays after a challenge.

    [dim]Example:[/] rowsmith retrain november.csv --append
    """
    from rowsmith.cli import documents, views
    from rowsmith.cli.output import answer
    from rowsmith.cli.progress import watch
    from rowsmith.cli.training import finish
    from rowsmith.workflows.retrain import retrain as work

    options = {"seconds": seconds, "max_trials": max_trials, "cores": cores}
    opened = with_recipe(open_here(project, config), train=options)
    with watch() as progress:
        done = work(opened, data, append=append, promote=promote, force=force, on_progress=progress)
    read = documents.of_reading(done.read)
    if done.outcome is None:
        assert done.known_to is not None
        document = {"trained": False, "read": read, "known_to": documents.of_version(done.known_to)}
        answer(document, views.not_retrained, as_json=as_json)
    else:
        finish(opened, done.outcome, as_json=as_json, wanted=promote, read=read)


def promote(
    version: VersionArgument = "latest",
    reason: ReasonOption = "",
    force: Annotated[bool, typer.Option("--force", help="Promote it against the gates; the ledger says so.")] = False,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make a version champion, if it passes the gates against the present one (exit code 4 when it does not).

    [dim]Example:[/] rowsmith promote 4 --reason "agreed in the review of 3 November"
    """
    from rowsmith.cli import views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.promote import promote as work

    opened = open_here(project, config)
    entry, gates = work(opened, version, reason=reason, force=force, actor=who("rowsmith promote"))
    answer({**entry.to_dict(), "gates": gates.to_dict()}, views.crowned, as_json=as_json)


def rollback(
    reason: ReasonOption = "",
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Restore the champion before the present one. A running server follows without a failed request.

    [dim]Example:[/] rowsmith rollback --reason "complaints since noon"
    """
    from rowsmith.cli import views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.promote import rollback as work

    opened = open_here(project, config)
    entry = work(opened, reason=reason, actor=who("rowsmith rollback"))
    answer(entry.to_dict(), views.crowned, as_json=as_json)


def verify(
    version: VersionArgument = "champion",
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Build a version again from its snapshot and its journal, and compare the two bit for bit.

    Ends with exit code 1 when they differ, and says which packages are others than then.

    [dim]Example:[/] rowsmith verify 2
    """
    from rowsmith.cli import documents, views
    from rowsmith.cli.output import answer
    from rowsmith.cli.progress import watch
    from rowsmith.workflows.verify import verify as work

    with watch() as progress:
        result = work(open_here(project, config), version, on_progress=progress)
    document = {
        "version": documents.of_version(result.version),
        "identical": result.identical,
        "differences": list(result.differences),
        "environment": list(result.environment),
    }
    answer(document, views.verified, as_json=as_json)
    if not result.identical:
        raise typer.Exit(DIFFERENT)
