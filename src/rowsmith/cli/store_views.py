"""What people see of the store of snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson
from rich.text import Text

from rowsmith.cli import tables

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rowsmith.types import JsonObject

Parts = Iterator["RenderableType"]
SHORT = 12
# Effect sizes from which a column of a difference stands out.
STABLE, MOVED = 0.1, 0.2


def size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def snapshots(document: JsonObject) -> Parts:
    if not document["snapshots"]:
        yield Text("There is no snapshot yet. Read one in with: rowsmith ingest DATA")
        return
    table = tables.plain_table()
    for name in ("snapshot", "read", "rows", "columns", "size", "after", "needed by", "source"):
        table.add_column(name, justify="right" if name in ("rows", "columns", "size") else "left")
    for item in document["snapshots"]:
        table.add_row(
            item["id"][:SHORT],
            item["created"][:16].replace("T", " "),
            f"{item['rows']:,}",
            str(item["columns"]),
            size(item["bytes"]),
            (item["parent"] or "")[:SHORT],
            ", ".join(item["used_by"]),
            item["source"],
        )
    yield table
    yield Text(f"Kept in {document['where']}", style="dim")


def snapshot(document: JsonObject) -> Parts:
    yield Text.assemble(("Snapshot ", "bold"), document["id"])
    made = document["created"][:16].replace("T", " ")
    yield Text(
        f"{document['rows']:,} rows, {document['columns']} columns, {size(document['bytes'])} "
        f"in {len(document['parts'])} parts, read {made} from {document['source']}"
    )
    for ancestor in document["lineage"]:
        told = "which was pruned" if ancestor["pruned"] else f"of {ancestor['rows']:,} rows"
        yield Text(f"  after {ancestor['id'][:SHORT]}, {told}", style="dim")
    if document["used_by"]:
        yield Text(f"Needed by {', '.join(document['used_by'])}.")
    if document["facts"]:
        yield Text(orjson.dumps(document["facts"]).decode(), style="dim")
    table = tables.plain_table()
    for name in ("column", "type", "missing", "distinct", "low", "median", "high", "levels"):
        table.add_column(name)
    for column in document["profile"] or ():
        deciles = column.get("deciles")
        table.add_row(
            column["name"],
            column["type"],
            tables.percent(column["missing"] / document["rows"]),
            f"{'about ' if column.get('distinct_is_about') else ''}{column['distinct']:,}",
            _figure(column.get("low")),
            _figure(deciles[4] if deciles else None),
            _figure(column.get("high")),
            ", ".join(f"{_figure(value)} ({count:,})" for value, count in column.get("levels", ())[:3]),
        )
    yield table


def _figure(value: Any) -> str:
    if value is None:
        return ""
    return tables.number(value) if isinstance(value, float) else str(value)


def difference(document: JsonObject) -> Parts:
    rows = document["rows"]
    yield Text.assemble((f"{document['before'][:SHORT]} to {document['after'][:SHORT]}", "bold"))
    yield Text(f"{rows['before']:,} rows to {rows['after']:,}: {rows['gone']:,} gone, {rows['come']:,} come.")
    change = document["schema"]
    for kind, names in change.items():
        if names:
            yield Text(f"Columns {kind}: {', '.join(names)}", style="yellow")
    table = tables.plain_table()
    for name in ("column", "missing", "mean", "stability index"):
        table.add_column(name)
    for column in document["columns"]:
        index = column["stability"]
        style = "bold red" if (index or 0) >= MOVED else "yellow" if (index or 0) >= STABLE else ""
        table.add_row(
            column["name"],
            " to ".join(tables.percent(share) for share in column["missing"]),
            " to ".join(tables.number(mean) for mean in column.get("mean", ())),
            Text(tables.number(index, 3), style=style),
        )
    yield table


def verified(document: JsonObject) -> Parts:
    for fault in document["faults"]:
        yield Text(f"{fault['id'][:SHORT]}: {fault['what']}", style="bold red")
    if document["passed"]:
        yield Text(f"{document['snapshots']} snapshots are what their names stand for.", style="green")


def pruned(document: JsonObject) -> Parts:
    verb = "would go" if document["dry_run"] else "removed"
    for item in document["removed"]:
        yield Text(f"{item['id'][:SHORT]}  {item['rows']:,} rows from {item['source']}", style="dim")
    freed = f"{len(document['removed'])} snapshots {verb}, {size(document['bytes'])}"
    yield Text(f"{freed}; {document['kept']} stay.")
    if document["needed_elsewhere"]:
        yield Text(
            f"Needed by others who use this bucket: {document['needed_elsewhere']}. --even-needed takes those, too."
        )


def card(document: JsonObject) -> Parts:
    yield Text(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
