"""ingest and check: what came in, and what looks odd."""

from __future__ import annotations

from typing import Annotated

import typer

from rowsmith.cli.options import (
    HERE,
    ConfigOption,
    CursorOption,
    DebugOption,
    JsonOption,
    KeyOption,
    ModeOption,
    ParamOption,
    ProjectOption,
    QueryOption,
    SchemaChangeOption,
    SourceArgument,
    TableOption,
    TargetOption,
    open_here,
    with_query,
    with_recipe,
)

BAD_DATA = 3


def ingest(
    data: SourceArgument = None,
    target: TargetOption = None,
    table: TableOption = None,
    query: QueryOption = None,
    param: ParamOption = None,
    cursor: CursorOption = None,
    key: KeyOption = None,
    mode: ModeOption = None,
    on_schema_change: SchemaChangeOption = None,
    append_to: Annotated[
        str | None, typer.Option("--append-to", metavar="ID", help="A snapshot that these rows come after.")
    ] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Read a table into a snapshot, write down its schema, and say what looks odd.

    The same rows give the same snapshot. The schema is written to schema.toml, to be read and corrected.

    With --cursor, --key or --mode, the next time reads only what is new, and joins it to the last snapshot.

    [dim]Example:[/] rowsmith ingest 'postgresql://reader:${PASSWORD}@host/shop' --table sales.loans --target churned
    """
    from rowsmith.cli import documents, views
    from rowsmith.cli.output import answer
    from rowsmith.cli.progress import watch
    from rowsmith.workflows.reading import read_in

    incremental = {"cursor": cursor, "key": key, "mode": mode, "on_schema_change": on_schema_change}
    opened = with_recipe(open_here(project, config), target={"column": target}, data={"incremental": incremental})
    opened = with_query(opened, table, query, param)
    with watch() as progress:
        taken, ingested = read_in(opened, data, append_to=append_to, on_progress=progress)
    document = documents.of_reading(taken)
    if ingested is None:
        answer(document, views.nothing_new, as_json=as_json)
    else:
        answer(
            {**documents.of_ingested(ingested, str(opened.schema_path)), **document}, views.ingested, as_json=as_json
        )


def check(
    data: SourceArgument = None,
    target: TargetOption = None,
    table: TableOption = None,
    query: QueryOption = None,
    param: ParamOption = None,
    snapshot: Annotated[
        str | None, typer.Option("--snapshot", metavar="ID", help="Check rows that were read before.")
    ] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Run the checks of the data, and end with exit code 3 when one finds an error.

    Without DATA the newest snapshot is checked.

    [dim]Example:[/] rowsmith check new-rows.csv --target churned
    """
    from rowsmith.cli import documents, views
    from rowsmith.cli.output import answer
    from rowsmith.cli.progress import watch
    from rowsmith.errors import UsageError
    from rowsmith.workflows.ingest import examine, find_snapshot
    from rowsmith.workflows.reading import take_snapshot

    if data is not None and snapshot is not None:
        raise UsageError("name either DATA or --snapshot, not both")
    opened = with_recipe(open_here(project, config), target={"column": target})
    opened = with_query(opened, table, query, param)
    with watch() as progress:
        chosen = find_snapshot(opened, snapshot) if data is None else take_snapshot(opened, data, on_progress=progress)
        ingested = examine(opened, chosen, on_progress=progress)
    document = documents.of_ingested(ingested, str(opened.schema_path))
    accepted = opened.recipe.checks.ignore
    errors = [item for item in document["findings"] if item["severity"] == "error" and item["code"] not in accepted]
    answer({"passed": not errors, **document}, views.checked, as_json=as_json)
    if errors:
        raise typer.Exit(BAD_DATA)
