"""Sources: where rows come from. A new one is a file that follows `protocol.Source`, and a line in `SOURCES`.

A file's format (CSV, Parquet, ...) is one file in `formats/`, and a line in its `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import polars as pl

from rowsmith.conform.plain import final_type
from rowsmith.errors import RecipeError, SourceError, StorageError
from rowsmith.ingestion.sources.address import scheme_of, secrets_in
from rowsmith.ingestion.sources.databases.postgresql import PostgreSQL
from rowsmith.ingestion.sources.databases.server import DatabaseServer
from rowsmith.ingestion.sources.databases.sqlite import SqliteFile
from rowsmith.ingestion.sources.dataframes import DataFrames, FrameTable
from rowsmith.ingestion.sources.dlt_resource import DltResource
from rowsmith.ingestion.sources.files import Files
from rowsmith.ingestion.sources.http import Http
from rowsmith.ingestion.sources.objects import Objects
from rowsmith.ingestion.sources.protocol import (
    Context,
    Opened,
    Reading,
    Source,
    Table,
    Unsettled,
    original_of,
)
from rowsmith.ingestion.sources.secrets import REFERENCE, Secrets
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

__all__ = [
    "SOURCES",
    "Context",
    "Reading",
    "Secrets",
    "Source",
    "Table",
    "Unsettled",
    "read_batches",
    "read_frame",
    "read_new",
]

SOURCES: tuple[Source, ...] = (
    DltResource(),
    DataFrames(),
    PostgreSQL(),
    SqliteFile(),
    DatabaseServer(),
    Http(),
    Objects(),
    Files(),
)


def read_batches(source: object, options: DataSection | None = None, context: Context | None = None) -> Reading:
    """Open a source: a path, folder or glob, "-" for standard input, an open binary file, an address, or any dataframe.

    The types of the columns are settled over the whole source before the first batch; the rows then come in
    batches, in order, in bounded memory where the format permits. Every batch has the same columns and types
    (Int64, Float64, Boolean, String, Date, Datetime in microseconds); missing is null, never NaN. Raises SourceError,
    from here or from the iterator, naming the file, and the row and column where there is one; RecipeError for
    options that cannot be used; Unsettled from the iterator, where the context lets types be guessed.
    """
    reading = read_new(source, options or DataSection(), context or Context())
    assert reading is not None, "without a mark there is always something to read"
    return reading


def read_new(source: object, options: DataSection, context: Context) -> Reading | None:
    """What is new since `context.since`, as `read_batches` gives it; None where the source knows that nothing is.

    With a mark a reading may also turn out to have no rows; without one that is an error.
    """
    opened = _open(source, options, context)
    if opened is None:
        return None
    table, secrets = opened.table, context.secrets
    types = _types(table)
    return Reading(
        batches=_batches(table, types, secrets, may_be_empty=context.since is not None),
        columns=dict(table.columns),
        facts=_without_secrets(table.facts, secrets),
        description=secrets.hide(table.description),
        mark=opened.mark,
        only_new=opened.only_new,
        expected_rows=opened.expected_rows,
        original_of=partial(original_of, table),
    )


def read_frame(source: object, options: DataSection | None = None, context: Context | None = None) -> pl.DataFrame:
    """All rows of a source in memory (see `read_batches`). Raises SourceError, RecipeError."""
    context = context or Context()
    opened = _open(source, options or DataSection(), context)
    assert opened is not None, "without a mark there is always something to read"
    table = opened.table
    types = _types(table)
    if isinstance(table, FrameTable):
        frame = table.whole(types)
        if frame.height:
            return frame
    return pl.concat(_batches(table, types, context.secrets, may_be_empty=False))


def _open(source: object, options: DataSection, context: Context) -> Opened | None:
    if isinstance(source, str) and REFERENCE.fullmatch(source):
        # The whole address is a secret, such as ${DATABASE_URL}.
        source = context.secrets.fill(source, where="data.source")
    if scheme_of(source):
        for secret in secrets_in(str(source)):
            context.secrets.keep(secret)
    for kind in SOURCES:
        if kind.accepts(source):
            with _hiding(context.secrets):
                return kind.open(source, options, context)
    raise SourceError(
        "this cannot be read as a table",
        received=f"a {type(source).__module__}.{type(source).__qualname__}",
        allowed="a path, a folder, a glob, - for standard input, an open binary file, an address, or a dataframe",
    )


def _batches(
    table: Table, types: dict[str, pl.DataType], secrets: Secrets, *, may_be_empty: bool
) -> Iterator[pl.DataFrame]:
    rows = 0
    with _hiding(secrets):
        for batch in table.batches(types):
            if batch.height:
                rows += batch.height
                yield batch
        if not rows and not may_be_empty:
            raise SourceError(
                "there are columns here, but no rows", where=table.description, received=f"columns {', '.join(types)}"
            )


@contextmanager
def _hiding(secrets: Secrets) -> Iterator[None]:
    """The net under every source: no part of an error that leaves it holds a secret."""
    try:
        yield
    except (SourceError, RecipeError, StorageError) as problem:
        parts = {part: str(getattr(problem, part)) for part in ("what", "where", "received", "allowed", "next_step")}
        hidden = {part: secrets.hide(text) for part, text in parts.items()}
        if hidden == parts and secrets.hide(str(problem.__cause__)) == str(problem.__cause__):
            raise
        # Not `from problem`: what is hidden here would stand in the traceback.
        raise type(problem)(hidden.pop("what"), **hidden) from None


def _without_secrets(facts: JsonObject, secrets: Secrets) -> JsonObject:
    return {key: secrets.hide(value) if isinstance(value, str) else value for key, value in facts.items()}


def _types(table: Table) -> dict[str, pl.DataType]:
    return {name: final_type(dtype) for name, dtype in table.columns.items()}
