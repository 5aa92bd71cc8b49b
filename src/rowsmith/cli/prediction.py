"""predict, serve and label: answers out, outcomes back in."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowsmith.cli.options import (
    HERE,
    ConfigOption,
    DebugOption,
    HostOption,
    JsonOption,
    PortOption,
    ProjectOption,
    open_here,
    who,
)

if TYPE_CHECKING:
    from rowsmith.types import JsonObject
    from rowsmith.workflows.project import Project


def predict(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file, a folder, a glob of parts, or - .")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="A .parquet or .csv file to write.")],
    version: Annotated[
        str, typer.Option("--version", metavar="V", help="A number, `champion` or `latest`.")
    ] = "champion",
    keep_inputs: Annotated[bool, typer.Option("--keep-inputs", help="Write the columns of DATA as well.")] = False,
    single: Annotated[
        bool,
        typer.Option("--single", help="Ask one learner alone: quicker, if less accurate (see rowsmith show)."),
    ] = False,
    log: Annotated[
        bool | None, typer.Option("--log/--no-log", help="Keep the predictions for monitoring.", show_default="log")
    ] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Score every row of a table, of any size, in its order.

    Logged predictions get a column `id`, by which `rowsmith label` joins the true outcomes later.

    [dim]Example:[/] rowsmith predict customers.csv --out scores.parquet --keep-inputs
    """
    from rowsmith.cli import views
    from rowsmith.cli.output import answer
    from rowsmith.cli.progress import watch
    from rowsmith.settings import read_settings
    from rowsmith.workflows.deploy import deploy
    from rowsmith.workflows.predict import predict_source

    opened = open_here(project, config)
    found = opened.version(version)
    # What one learner answers must not stand in the log as the version's own answers.
    keep = read_settings().log_predictions and not single if log is None else log
    with watch() as progress:
        scored = predict_source(
            deploy(opened, found, single=single),
            data,
            out,
            options=opened.recipe.data,
            keep_inputs=keep_inputs,
            log=opened.log if keep else None,
            role="champion" if version == "champion" else "named",
            on_progress=progress,
        )
    document = {
        "model": {"name": found.name, "version": found.number},
        "out": str(scored.out),
        "rows": scored.rows,
        "seconds": scored.seconds,
        "logged": keep,
        "warnings": [asdict(fault) for fault in scored.warnings],
    }
    answer(document, views.scored, as_json=as_json)


def serve(
    host: HostOption = None,
    port: PortOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, help="Server processes.", show_default="2")
    ] = None,
    require_keys: Annotated[
        bool | None,
        typer.Option(
            "--require-keys/--no-require-keys",
            help="Ask for a key on this machine's own addresses, too; on all others one is always asked for.",
            show_default="no-require-keys",
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="The certificate chain (PEM), to speak HTTPS.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="The certificate's private key (PEM).")
    ] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Open the page and the REST API of the champion, until Ctrl-C.

    A promotion or a rollback takes effect while it runs. Unless told otherwise it listens on this machine only and asks
    nobody for a key; on any other address it asks for one (rowsmith keys create). PORT, ROWSMITH_HOST,
    ROWSMITH_TLS_CERT and so on stand for the options.

    [dim]Example:[/] rowsmith serve --port 8080
    """
    serve_project(
        open_here(project, config),
        host=host,
        port=port,
        workers=workers,
        require_keys=require_keys,
        tls_cert=None if tls_cert is None else str(tls_cert),
        tls_key=None if tls_key is None else str(tls_key),
        as_json=as_json,
    )


def label(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A table with an id and a true outcome in each row.")],
    id_column: Annotated[str, typer.Option("--id", metavar="COLUMN", help="The column of prediction ids.")] = "id",
    label_column: Annotated[
        str, typer.Option("--label", metavar="COLUMN", help="The column of true outcomes.")
    ] = "label",
    actor: Annotated[str, typer.Option("--by", metavar="WHO", help="Who says so; it is kept.")] = "rowsmith label",
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Join true outcomes to the predictions that were made, so that monitoring can score them.

    A row without an outcome is passed over; an outcome given again replaces the one before.

    [dim]Example:[/] rowsmith label outcomes.csv --id id --label churned
    """
    from rowsmith.cli import views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.monitor import label as work

    result = work(open_here(project, config), data, id_column=id_column, label_column=label_column, actor=actor)
    answer({**asdict(result), "unknown": list(result.unknown)}, views.labelled, as_json=as_json)


def serve_project(
    project: Project,
    *,
    as_json: bool = False,
    **given: Any,
) -> None:
    """Serve until the process is told to end; the address is printed as soon as it answers.

    `given` are settings that the command line named; those that are None come from the environment.
    """
    from rowsmith.cli import views
    from rowsmith.cli.output import answer, stderr
    from rowsmith.serving.server import serve as work
    from rowsmith.settings import read_settings

    settings = read_settings()
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    work(
        project,
        settings,
        actor=who("rowsmith serve"),
        on_ready=lambda address: answer({"address": address, **_example(project)}, views.serving, as_json=as_json),
        warn=lambda text: stderr().print(text, style="yellow", markup=False),
    )


def _example(project: Project) -> JsonObject:
    """A row to try the API with; nothing while there is no champion yet. Looked up once the server answers."""
    from rowsmith.errors import RowsmithError
    from rowsmith.serving.examples import example_row
    from rowsmith.workflows.inputs import inputs_of

    try:
        return {"row": example_row(inputs_of(project, project.version()))}
    except RowsmithError:
        return {}
