"""Sources: where rows come from. A new one is a file that follows `protocol.Source`, and a line in `SOURCES`.

A file's format (CSV, Parquet, ...) is one file in `formats/`, and a line in its `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from rowsmith.conform.plain import final_type
from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.dataframes import DataFrames, FrameTable
from rowsmith.ingestion.sources.files import Files
from rowsmith.ingestion.sources.protocol import Reading, Source, Table
from rowsmith.recipe import DataSection

__all__ = ["SOURCES", "Reading", "Source", "Table", "read_batches", "read_frame"]

SOURCES: tuple[Source, ...] = (DataFrames(), Files())


def read_batches(source: object, options: DataSection | None = None) -> Reading:
    """Open a source: a path, folder or glob, "-" for standard input, an open binary file, or any dataframe.

    The types of the columns are settled over the whole source before the first batch; the rows then come in
    batches, in order, in bounded memory where the format permits. Every batch has the same columns and types
    (Int64, Float64, Boolean, String, Date, Datetime in microseconds); missing is null, never NaN. Raises SourceError,
    from here or from the iterator, naming the file, and the row and column where there is one; RecipeError for
    options that cannot be used.
    """
    table = _open(source, options)
    return Reading(_batches(table), dict(table.facts), table.description)


def read_frame(source: object, options: DataSection | None = None) -> pl.DataFrame:
    """All rows of a source in memory (see `read_batches`). Raises SourceError, RecipeError."""
    table = _open(source, options)
    if isinstance(table, FrameTable):
        frame = table.whole(_types(table))
        if frame.height:
            return frame
    return pl.concat(_batches(table))


def _open(source: object, options: DataSection | None) -> Table:
    for kind in SOURCES:
        if kind.accepts(source):
            return kind.open(source, options or DataSection())
    raise SourceError(
        "this cannot be read as a table",
        received=f"a {type(source).__module__}.{type(source).__qualname__}",
        allowed="a path, a folder, a glob, - for standard input, an open binary file, or a dataframe",
    )


def _batches(table: Table) -> Iterator[pl.DataFrame]:
    types = _types(table)
    rows = 0
    for batch in table.batches(types):
        if batch.height:
            rows += batch.height
            yield batch
    if not rows:
        raise SourceError(
            "there are columns here, but no rows", where=table.description, received=f"columns {', '.join(types)}"
        )


def _types(table: Table) -> dict[str, pl.DataType]:
    return {name: final_type(dtype) for name, dtype in table.columns.items()}
