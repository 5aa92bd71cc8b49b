"""Options that many commands share, and what they stand for."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from rowsmith.settings import environment, read_settings

if TYPE_CHECKING:
    from rowsmith.workflows.project import Project

COMMON = "Everywhere"
DATABASE = "Databases"
INCREMENTAL = "Reading what is new"

ProjectOption: TypeAlias = Annotated[
    Path, typer.Option("--project", metavar="DIR", help="The project's folder.", rich_help_panel=COMMON)
]
ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The recipe, instead of DIR/rowsmith.toml.", rich_help_panel=COMMON),
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Answer with one JSON document on standard output.", rich_help_panel=COMMON)
]
DebugOption: TypeAlias = Annotated[
    bool, typer.Option("--debug", help="Show where in the code an error came from.", rich_help_panel=COMMON)
]
SeedOption: TypeAlias = Annotated[
    int | None, typer.Option("--seed", metavar="S", min=0, help="Everything random comes from this number.")
]
SecondsOption: TypeAlias = Annotated[
    float | None, typer.Option("--seconds", metavar="N", help="Wall time for the training.", show_default="60")
]
TrialsOption: TypeAlias = Annotated[
    int | None,
    typer.Option("--max-trials", metavar="N", min=1, help="Stop after N configurations; makes the work repeatable."),
]
CoresOption: TypeAlias = Annotated[
    int | None, typer.Option("--cores", metavar="N", min=1, help="Processor cores to use.", show_default="all")
]
VersionArgument: TypeAlias = Annotated[str, typer.Argument(metavar="VERSION", help="A number, `champion` or `latest`.")]
PromoteOption: TypeAlias = Annotated[
    bool, typer.Option("--promote/--no-promote", help="Make the new version champion if the gates let it.")
]
HostOption: TypeAlias = Annotated[
    str | None, typer.Option("--host", metavar="H", help="The address to listen on.", show_default="127.0.0.1")
]
PortOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--port", metavar="P", min=0, max=65535, help="The port to listen on; 0 is a free one.", show_default="8000"
    ),
]
SourceArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help="A file, a folder, a glob of parts, - for standard input, or an address.",
        show_default="the recipe's",
    ),
]
TargetOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--target", "-t", metavar="COLUMN", help="The column to predict.", show_default="the recipe's"),
]
TableOption: TypeAlias = Annotated[
    str | None, typer.Option("--table", metavar="NAME", help="A table of a database.", rich_help_panel=DATABASE)
]
QueryOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--query", metavar="SQL", help="A query that reads, or a file that ends in .sql.", rich_help_panel=DATABASE
    ),
]
ParamOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUE", help="A value for :NAME in the query.", rich_help_panel=DATABASE),
]
CursorOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--cursor", metavar="COLUMN", help="A column that grows with new rows.", rich_help_panel=INCREMENTAL),
]
KeyOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--key", metavar="COLUMN", help="A column that names a row; several may.", rich_help_panel=INCREMENTAL
    ),
]
ModeOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--mode", metavar="MODE", help="append, upsert or replace.", rich_help_panel=INCREMENTAL),
]
SchemaChangeOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--on-schema-change", metavar="POLICY", help="stop, add or ignore.", rich_help_panel=INCREMENTAL),
]
HERE = Path()


def open_here(project: Path, config: Path | None = None) -> Project:
    """The project that a command works on, as the recipe and this installation's settings say."""
    from rowsmith.workflows.project import open_project

    settings = read_settings()
    opened = open_project(
        project,
        config=config,
        store=settings.store,
        database_url=settings.database_url,
        source_date_epoch=settings.source_date_epoch,
        trusted_keys=settings.trusted_keys,
        environment=environment(),
        internal_addresses=settings.internal_addresses,
        secret_files=settings.secret_files,
        snapshots_at=settings.snapshots,
        cache_mb=settings.cache_mb,
        tracking_uri=settings.mlflow_tracking_uri,
    )
    if settings.cores and opened.recipe.train.cores is None:
        return with_recipe(opened, train={"cores": settings.cores})
    return opened


def who(command: str) -> str:
    """Whom the audit and the ledger name for what a command changes."""
    try:
        return f"{getpass.getuser()} ({command})"
    except (OSError, KeyError, ImportError):
        return command


def with_query(project: Project, table: str | None, query: str | None, params: list[str] | None) -> Project:
    """The project with what to ask a database for, in place of what its recipe says."""
    from rowsmith.errors import UsageError

    pairs = [pair.partition("=") for pair in params or ()]
    if wrong := next((name for name, mark, _ in pairs if not name or not mark), None):
        raise UsageError("a value has a name", where="--param", received=wrong, allowed="NAME=VALUE")
    return project.with_recipe(project.recipe.asking(table, query, {name: value for name, _, value in pairs}))


def with_recipe(project: Project, **sections: dict[str, Any]) -> Project:
    """The project with the options of a command line over its recipe; None leaves a key as it is."""
    return project.with_recipe(project.recipe.changed(**sections))
