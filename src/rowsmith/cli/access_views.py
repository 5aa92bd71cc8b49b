"""What people see of keys, the audit, signatures, the tidied log and erasures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from rowsmith.cli import tables

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rowsmith.types import JsonObject

Parts = Iterator["RenderableType"]


def key_made(document: JsonObject) -> Parts:
    yield Text.assemble(
        (f"Key {document['number']} for {document['name']}, role {document['role']}. ", "bold"),
        "It is shown this once:",
    )
    yield Text(document["key"], style="bold green")
    yield Text("Send it as the header  Authorization: Bearer KEY", style="dim")


def keys(document: JsonObject) -> Parts:
    if not document["keys"]:
        yield Text("There is no key yet. Make one with: rowsmith keys create NAME --role predict")
        return
    table = tables.plain_table()
    for name in ("number", "name", "role", "a minute", "created", "by", "ends", "last use"):
        table.add_column(name)
    for key in document["keys"]:
        ended = key["revoked"] is not None
        table.add_row(
            str(key["number"]),
            Text(key["name"]),
            key["role"],
            tables.NOTHING if key["rate"] is None else f"{key['rate']:,}",
            _minute(key["created"]),
            Text(key["created_by"]),
            f"revoked {_minute(key['revoked'])}" if ended else _minute(key["expires"]),
            _minute(key["last_used"]),
            style="dim" if ended else "",
        )
    yield table


def key_revoked(document: JsonObject) -> Parts:
    yield Text(f"Key {document['number']} ({document['name']}) is revoked; servers refuse it within a second.")


def audit_lines(document: JsonObject) -> Parts:
    if not document["lines"]:
        yield Text("Nothing was changed yet.")
        return
    table = tables.plain_table()
    for name in ("time (UTC)", "who", "what", "of", "details"):
        table.add_column(name)
    for item in document["lines"]:
        details = json.dumps(item["details"], ensure_ascii=False)
        table.add_row(
            item["time"][:19].replace("T", " "),
            *(Text(text) for text in (item["actor"], item["action"], item["subject"], details)),
        )
    yield table


def signed(document: JsonObject) -> Parts:
    name = f"{document['name']} version {document['version']}"
    if document["signed"]:
        yield Text(f"{name} is signed. Servers that trust the key are told with")
        yield Text(f"ROWSMITH_TRUSTED_KEYS={document['public_key']}", style="bold")
    else:
        yield Text(f"{name} is signed by {document['public_key']}, and is what was signed.", style="bold green")


def tidied(document: JsonObject) -> Parts:
    yield Text(
        f"{document['moved']:,} predictions moved into {document['files']:,} files; "
        f"{document['removed']:,} removed for good."
    )


def erased(document: JsonObject) -> Parts:
    if document["empty"]:
        yield Text(f"Nothing here is about them ({document['by']}).")
        return
    yield Text("To be erased:" if document["dry_run"] else "Erased:", style="bold")
    yield Text(
        f"{document['predictions']:,} predictions with {document['outcomes']:,} outcomes; "
        f"{document['log_files']:,} files of older days written anew"
    )
    if document["jobs"]:
        yield Text(f"{document['job_rows']:,} rows of the results of batch jobs: {', '.join(document['jobs'])}")
    if document["jobs_ended"]:
        yield Text(f"batch jobs that are ended, since their rows are among them: {', '.join(document['jobs_ended'])}")
    for item in document["snapshots"]:
        yield Text(f"{item['rows']:,} rows of snapshot {item['id'][:12]}, which gets another id")
    for id_ in document["joins_removed"]:
        yield Text(
            f"snapshot {id_[:12]}, a join of these without the column: removed, and made again by rowsmith ingest"
        )
    if document["needed_elsewhere"]:
        ids = ", ".join(id_[:12] for id_ in document["needed_elsewhere"])
        yield Text(f"another project uses {ids}: erase there, too", style="bold")
    if document["trained_on_them"]:
        yield Text(f"trained on these rows: {', '.join(document['trained_on_them'])}. Train anew: rowsmith retrain")


def _minute(moment: str | None) -> str:
    return tables.NOTHING if moment is None else moment[:16].replace("T", " ")
