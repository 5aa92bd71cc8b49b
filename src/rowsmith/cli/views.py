"""What people see: each view turns the document of a command into parts for a rich console."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from rich.text import Text

from rowsmith.cli import tables

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rowsmith.types import JsonObject

Parts = Iterator["RenderableType"]
LINEAGE = ("source", "snapshot", "recipe", "seed", "rows_trained", "rows_tested", "train_seconds", "python")
LEVELS = {"ok": "bold green", "warn": "bold yellow", "act": "bold red"}


def line(*parts: str | tuple[str, str]) -> Text:
    """One line of text; parts may have a style."""
    return Text.assemble(*parts)


def new_project(document: JsonObject) -> Parts:
    root = Path(document["root"])
    yield line(("Made ", "bold"), str(root))
    for name in document["files"]:
        yield line("  ", (name, "dim"))
    if not document["commit"]:
        yield Text("git is not installed, so this is a folder and not yet a repository.", style="yellow")
    yield line("\nNext: ", (f"cd {shlex.quote(root.name)} && rowsmith run", "bold"))


def ingested(document: JsonObject) -> Parts:
    snapshot = document["snapshot"]
    yield line(
        ("Snapshot ", "bold"),
        snapshot["id"][:12],
        f": {snapshot['rows']:,} rows, {len(snapshot['columns'])} columns from {snapshot['source']}",
    )
    yield from _what_is_new(document)
    yield tables.schema(document["schema"])
    if document["findings"]:
        yield tables.findings(document["findings"])
    else:
        yield Text("Nothing looks odd.", style="green")
    yield line("The schema is in ", document["schema_file"], "; read it, and correct what is wrong.")


def nothing_new(document: JsonObject) -> Parts:
    snapshot = document["snapshot"]
    yield line(
        ("Nothing new ", "bold"),
        f"in {snapshot['source']}: ",
        snapshot["id"][:12],
        f" stands ({snapshot['rows']:,} rows).",
    )


def not_retrained(document: JsonObject) -> Parts:
    """There are no rows that a version has not learned from."""
    version, snapshot = document["known_to"], document["read"]["snapshot"]
    yield from _what_was_read(document["read"])
    yield line(
        ("No newer rows: ", "bold"),
        f"{version['name']} version {version['number']} has learned from {snapshot['id'][:12]}. Nothing was trained.",
    )
    yield line("Train all the same with --force, or name newer rows: rowsmith retrain DATA")


def _what_was_read(document: JsonObject) -> Parts:
    if document["nothing_new"]:
        yield from nothing_new(document)
        return
    snapshot = document["snapshot"]
    yield line(f"Read {snapshot['source']}: {snapshot['rows']:,} rows, snapshot {snapshot['id'][:12]}.")
    yield from _what_is_new(document)


def _what_is_new(document: JsonObject) -> Parts:
    """How it differs from the snapshot before."""
    if not document["before"]:
        return
    added, replaced = document["rows_added"], document["rows_replaced"]
    yield line(f"After {document['before'][:12]}: {added:,} rows added, {replaced:,} replaced.")
    if change := document["schema_change"]:
        parts = [f"{kind}: {', '.join(names)}" for kind, names in change.items() if names]
        yield Text(f"The columns changed. {'; '.join(parts)}.", style="yellow")


def checked(document: JsonObject) -> Parts:
    snapshot = document["snapshot"]
    yield line(("Checked ", "bold"), f"{snapshot['rows']:,} rows, {len(snapshot['columns'])} columns")
    if document["findings"]:
        yield tables.findings(document["findings"])
    verdict = ("No error was found.", "green") if document["passed"] else ("Training would stop here.", "bold red")
    yield Text(verdict[0], style=verdict[1])


def outcome(document: JsonObject) -> Parts:
    version = document["version"]
    yield tables.leaderboard(document["leaderboard"], version["metric"], most=8)
    if document["rows"]["tested"]:
        yield tables.scores(document["metrics"], document["scores"])
    if document["findings"]:
        yield tables.findings(document["findings"])
    yield tables.gates(document["gates"])
    name = f"{version['name']} version {version['number']}"
    if document["promoted"]:
        yield line((f"{name} is champion.", "bold green"))
    elif document["gates"]["passed"]:
        yield line((f"{name} is kept.", "bold"), f" Promote it with: rowsmith promote {version['number']}")
    else:
        yield line((f"{name} is kept, but did not become champion.", "bold yellow"))
    yield from answering(document["answering"], version["metric"])
    if read := document.get("read"):
        yield from _what_was_read(read)
    rows = document["rows"]
    trained, tested = f"{rows['trained']:,}", f"{rows['tested']:,}"
    yield line(f"Trained on {trained} rows in {document['train_seconds']:.1f} s, tested on {tested} sealed ones.")
    yield line("Report: ", document["report"])


def answering(document: JsonObject | None, metric: str) -> Parts:
    """What a row costs, and what one learner alone would do instead."""
    if document is None:
        return
    single = document["single"]
    learners = "1 learner" if document["learners"] == 1 else f"{document['learners']} learners"
    yield line(f"A row takes {learners} about {_milliseconds(document['row_us'])}.")
    if single is not None:
        scores = [tables.number(part["cross_validation"]) for part in (single, document)]
        yield line(
            f"One learner alone (predict --single): {_milliseconds(single['row_us'])}, "
            f"{metric} {scores[0]} instead of {scores[1]} in cross-validation."
        )


def _milliseconds(microseconds: float) -> str:
    return f"{microseconds / 1000:.2g} ms"


def quickstart(document: JsonObject) -> Parts:
    yield from outcome(document)
    yield line("Project: ", document["project"])


def leaderboard(document: JsonObject) -> Parts:
    yield line((f"{document['name']} version {document['version']}", "bold"))
    yield tables.leaderboard(document["leaderboard"], document["metric"], most=50)


def versions(document: JsonObject) -> Parts:
    table = tables.plain_table(document["name"])
    for name in ("", "version", "made", "metric", "score", "snapshot"):
        table.add_column(name, justify="right" if name in {"version", "score"} else "left")
    for item in document["versions"]:
        mark = "[green]champion[/]" if item["champion"] else ""
        made, snapshot = item["created"][:16].replace("T", " "), item["snapshot"][:12]
        table.add_row(mark, str(item["number"]), made, item["metric"], tables.number(item["score"]), snapshot)
    yield table
    if document["ledger"]:
        ledger = tables.plain_table("Who became champion, when and why")
        for name in ("when", "what", "version", "by", "why"):
            ledger.add_column(name, overflow="fold")
        for entry in document["ledger"]:
            made = entry["created"][:16].replace("T", " ")
            who, why = Text(entry["actor"]), Text(entry["reason"])
            ledger.add_row(made, entry["action"], str(entry["to_number"]), who, why)
        yield ledger


def details(document: JsonObject) -> Parts:
    version = document["version"]
    mark = ", the champion" if version["champion"] else ""
    yield line((f"{version['name']} version {version['number']}{mark}", "bold"))
    facts = tables.plain_table(show_header=False)
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    lineage = document["lineage"]
    facts.add_row("made", version["created"])
    for key in LINEAGE:
        if key in lineage:
            facts.add_row(key.replace("_", " "), Text(str(lineage[key])))
    facts.add_row("folder", Text(document["folder"]))
    yield facts
    yield from answering(document["answering"], version["metric"])
    if lineage.get("rows_tested"):
        yield tables.scores(document["metrics"], document["scores"])
    if document["findings"]:
        yield tables.findings(document["findings"])
    yield tables.gates(document["gates"])


def report(document: JsonObject) -> Parts:
    yield line(document["report"])


def scored(document: JsonObject) -> Parts:
    rate = document["rows"] / document["seconds"] if document["seconds"] else 0.0
    model = document["model"]
    yield line((f"{document['rows']:,} rows", "bold"), f" scored by {model['name']} version {model['version']}")
    yield line("Written to ", document["out"], f" in {document['seconds']:.1f} s ({rate:,.0f} rows/s)")
    for warning in document["warnings"][:5]:
        place = f"row {warning['row']}: " if warning["row"] is not None else ""
        yield Text(f"{place}{warning['message']}", style="yellow")
    if len(document["warnings"]) > 5:
        yield Text("and more like these (--json shows them)", style="yellow")


def labelled(document: JsonObject) -> Parts:
    counts = [f"{document[key]:,} {key}" for key in ("added", "changed", "unchanged", "empty") if document[key]]
    yield line(("Outcomes: ", "bold"), ", ".join(counts) or "none")
    if unknown := document["unknown"]:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        yield Text(f"{len(unknown):,} ids belong to no prediction: {shown}", style="yellow")


def serving(document: JsonObject) -> Parts:
    yield line(("Serving at ", "bold"), document["address"], "  (Ctrl-C ends it)")
    if "row" in document:
        body = orjson.dumps({"rows": [document["row"]]}).decode()
        yield line("Try it:\n")
        address = f"{document['address']}/api/v1/predict"
        yield line(f"curl -s {address} -H 'Content-Type: application/json' -d {shlex.quote(body)}\n")


def monitored(document: JsonObject) -> Parts:
    verdict = document["verdict"]
    yield Text.assemble(("Verdict: ", "bold"), (verdict["level"], LEVELS[verdict["level"]]))
    for reason in verdict["reasons"]:
        text = Text(f"- {reason['message']}", style=LEVELS[reason["level"]].removeprefix("bold "))
        yield text.append(f"; {reason['advice']}" if reason["advice"] else "", style="dim")
    if not document["windows"]:
        return
    table = tables.plain_table("Windows")
    for name in ("from", "rows", "labelled", "requests", "errors", "drifted", "score"):
        table.add_column(name, justify="left" if name == "from" else "right")
    for window in document["windows"]:
        drifted = sum(1 for item in window["drift"] if item["drifted"] and not item["natural"])
        known = [score for score in window["scores"] if not score["estimated"]] or window["scores"]
        best = f"{known[0]['metric']} {tables.number(known[0]['value'])}" if known else tables.NOTHING
        table.add_row(
            (window["start"] or "all rows")[:16].replace("T", " "),
            f"{window['rows']:,}",
            f"{window['labelled']:,}",
            tables.NOTHING if window["requests"] is None else f"{window['requests']:,}",
            tables.NOTHING if window["errors"] is None else f"{window['errors']:,}",
            str(drifted) if window["judged"] else "too few rows",
            best + (" (estimated)" if known and known[0]["estimated"] else ""),
        )
    yield table
    moved = tables.drift(document["windows"][-1]["drift"])
    if moved is not None:
        yield moved


def crowned(document: JsonObject) -> Parts:
    before = document["from_number"]
    yield line(
        (f"{document['name']} version {document['to_number']} is champion.", "bold green"),
        f" Before: {'nobody' if before is None else f'version {before}'}. Why: {document['reason']}",
    )
    if "gates" in document:
        yield tables.gates(document["gates"])


def verified(document: JsonObject) -> Parts:
    version = document["version"]
    name = f"{version['name']} version {version['number']}"
    if document["identical"]:
        yield line((f"{name} was built again, bit for bit.", "bold green"))
    else:
        yield line((f"{name} came out different.", "bold red"))
        for item in document["differences"]:
            yield line(f"- {item}")
    for item in document["environment"]:
        yield line((f"since then: {item}", "dim"))


def exported(document: JsonObject) -> Parts:
    yield line(("Exported ", "bold"), f"{document['name']} version {document['version']} to {document['out']}")
    if agreement := document.get("agreement"):
        yield line(
            f"{document['megabytes']:g} MB; in {agreement['rows']:,} rows, odd ones among them, no answer was further "
            f"than {agreement['difference']:.1g} from the model's."
        )
    if next_step := document.get("next_step"):
        yield line("Next: ", (next_step, "bold"))


def adopted(document: JsonObject) -> Parts:
    yield line(("Here as ", "bold"), f"{document['name']} version {document['number']}", _crown(document))


def _crown(document: JsonObject) -> str:
    return ", the champion" if document["champion"] else f"; rowsmith promote {document['number']} makes it champion"
