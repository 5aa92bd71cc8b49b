"""DltResource: the rows that a resource of dlt yields, so that its connectors are sources.

A resource is iterated, and nothing else: no pipeline is made, so that dlt loads nothing anywhere and reports nothing to
anybody. Rows that are objects become flat as those of an HTTP API do; tables of Arrow and dataframes stay tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import polars as pl

from rowsmith.conform.dataframes import to_polars
from rowsmith.conform.plain import plain_frame, plain_type
from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.gathered import Gathered
from rowsmith.ingestion.sources.protocol import Context, Opened
from rowsmith.ingestion.sources.records import frame_of_records
from rowsmith.recipe_data import DataSection

ROWS_PER_PIECE = 20_000
MODULE = "dlt."


class DltResource:
    """A resource, or a source that has one; told by its class, so that dlt is not imported for others."""

    name = "dlt"

    def accepts(self, origin: object) -> bool:
        kinds = {(kind.__module__.partition(".")[0] + ".", kind.__name__) for kind in type(origin).__mro__}
        return bool(kinds & {(MODULE, "DltResource"), (MODULE, "DltSource")})

    def open(self, origin: object, options: DataSection, context: Context) -> Opened:
        """Everything is read here, for types are settled over all rows; what does not fit in memory waits on disk."""
        resource = _only_resource(origin)
        table = Gathered(f"dlt resource {resource.name}", {"format": "dlt", "resource": resource.name})
        try:
            for piece in _pieces(resource, table.description):
                table.add(piece)
        except SourceError:
            raise
        except Exception as problem:  # a connector may raise whatever it likes
            raise SourceError(
                f"this resource failed: {problem}",
                where=table.description,
                next_step="look at its arguments and its credentials; iterating it in Python shows the whole error",
            ) from problem
        if not table.columns:
            raise SourceError(
                "this resource yields no rows", where=table.description, next_step="look at its arguments"
            )
        return Opened(table, expected_rows=table.rows)


def _only_resource(origin: Any) -> Any:
    if not hasattr(origin, "selected_resources"):
        return origin
    names = list(origin.selected_resources)
    if len(names) != 1:
        raise SourceError(
            f"this source of dlt has {len(names)} resources",
            where=f"dlt source {origin.name}",
            received=", ".join(names),
            next_step="choose one: source.with_resources(NAME), or source.resources[NAME]",
        )
    return origin.selected_resources[names[0]]


def _pieces(resource: Any, where: str) -> Iterator[pl.DataFrame]:
    """Objects in pieces of many, tables as they come."""
    items = iter(resource)
    records: list[dict[str, Any]] = []
    while chunk := list(islice(items, 1_000)):
        for item in chunk:
            if isinstance(item, Mapping):
                records.append(dict(item))
                continue
            frame = to_polars(item)
            types = {name: plain_type(dtype) for name, dtype in frame.schema.items()}
            yield plain_frame(frame, types, where=where)
        if len(records) >= ROWS_PER_PIECE:
            yield frame_of_records(records, where=where)
            records = []
    if records:
        yield frame_of_records(records, where=where)
