"""log: what the prediction log holds, and tidying it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rowsmith.cli.options import HERE, ConfigOption, DebugOption, JsonOption, ProjectOption, open_here, who
from rowsmith.settings import read_settings

LOG_HELP = """The prediction log: tidy it.

A server tidies its log by itself once an hour, as ROWSMITH_LOG_COMPACT_DAYS and ROWSMITH_LOG_KEEP_DAYS say."""


def tidy(
    compact_days: Annotated[
        int | None,
        typer.Option(
            "--compact-days",
            metavar="N",
            min=0,
            help="Move what is older into Parquet files; 0 moves nothing.",
            show_default="ROWSMITH_LOG_COMPACT_DAYS",
        ),
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option(
            "--keep-days",
            metavar="N",
            min=0,
            help="Remove what is older for good; 0 removes nothing.",
            show_default="ROWSMITH_LOG_KEEP_DAYS",
        ),
    ] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Move the inputs and answers of older days into Parquet files, and remove what is too old to be kept.

    Monitoring reads both as one. Whole days (UTC) are moved and removed; the audit says what was removed.

    [dim]Example:[/] rowsmith log tidy --keep-days 365
    """
    from rowsmith.cli import access_views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.tidy import tidy as work

    settings = read_settings()
    done = work(
        open_here(project, config),
        compact_days=settings.log_compact_days if compact_days is None else compact_days,
        keep_days=settings.log_keep_days if keep_days is None else keep_days,
        actor=who("rowsmith log tidy"),
    )
    answer(asdict(done), access_views.tidied, as_json=as_json)


LOG = (tidy,)
