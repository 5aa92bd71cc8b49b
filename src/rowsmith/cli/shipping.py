"""export and adopt: a version out of its project, and into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rowsmith.cli.options import HERE, ConfigOption, DebugOption, JsonOption, ProjectOption, VersionArgument, open_here


def export(
    version: VersionArgument = "champion",
    format_: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="folder, mlflow, onnx or docker.")
    ] = "folder",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="PATH", help="Where to; nothing may be there.", show_default="after its name"
        ),
    ] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a version in the form that other tools take.

    `folder` is the version as it is, for `rowsmith adopt` in another project. `mlflow` is a pyfunc folder without
    pickle, for `mlflow models serve`. `onnx` is one file, kept only if it answers odd rows as the model does; a model
    of free text is refused. `docker` is a folder for `docker build`, with the version inside.

    [dim]Example:[/] rowsmith export --format onnx --out churn.onnx
    """
    from rowsmith.cli import views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.exports import export as work

    answer(work(open_here(project, config), version, format_, out), views.exported, as_json=as_json)


def adopt(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `rowsmith export --format folder` wrote.")],
    promote: Annotated[bool, typer.Option("--promote/--no-promote", help="Make it champion.")] = False,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Take in a version that was made elsewhere, as the next number here. Where it is already, nothing changes.

    The gates that it passed were those of its own project; here it is judged by nobody. It runs the features of its own
    that came with it, so take in only what you trust.

    [dim]Example:[/] rowsmith adopt churn-4 --promote
    """
    from rowsmith.cli import documents, views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.carried import adopt as work

    opened = open_here(project, config)
    version = work(opened, folder, promote=promote)
    champion = opened.registry.champion(version.name)
    answer(documents.of_version(version, champion.number if champion else None), views.adopted, as_json=as_json)
