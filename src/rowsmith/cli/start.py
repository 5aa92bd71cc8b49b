"""quickstart and init: the first minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rowsmith.cli.options import HERE, DebugOption, HostOption, JsonOption, PortOption


def quickstart(
    folder: Annotated[
        Path, typer.Option("--project", metavar="DIR", help="Where the folder rowsmith-quickstart is made.")
    ] = HERE,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="N", help="Wall time for the training.", show_default="20")
    ] = None,
    serve: Annotated[bool, typer.Option(help="Open the page and the API when the model is ready.")] = True,
    host: HostOption = None,
    port: PortOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Train on a real table that comes along, and open the result: half a minute, nothing to prepare.

    [dim]Example:[/] rowsmith quickstart --no-serve
    """
    from rowsmith.cli import documents, prediction, views
    from rowsmith.cli.output import answer
    from rowsmith.cli.progress import watch
    from rowsmith.settings import read_settings
    from rowsmith.workflows.quickstart import quickstart as work

    settings = read_settings()
    with watch() as progress:
        project, outcome = work(
            folder, seconds=seconds, store=settings.store, database_url=settings.database_url, on_progress=progress
        )
    answer({"project": str(project.root), **documents.of_outcome(outcome)}, views.quickstart, as_json=as_json)
    if serve:
        prediction.serve_project(project, host=host, port=port)


def init(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="The new folder; its name becomes the project's.")],
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make a repository of your own: recipe, tests, CI and a place for your features. `rowsmith run` works in it.

    [dim]Example:[/] rowsmith init churn
    """
    from rowsmith.cli import views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.init import init_project

    made = init_project(name)
    document = {"root": str(made.root), "package": made.package, "files": list(made.files), "commit": made.commit}
    answer(document, views.new_project, as_json=as_json)
