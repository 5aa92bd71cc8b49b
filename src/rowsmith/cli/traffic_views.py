"""What people see of traffic: the rule in force, the evidence, and the events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from rowsmith.cli import tables

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rowsmith.types import JsonObject

Parts = Iterator["RenderableType"]
STATES = {"better": "bold green", "worse": "bold red", "broken": "bold red", "undecided": "bold yellow"}
# So many looks are drawn, the last ones; each is a line.
LOOKS = 12
CELLS = 41


def changed(document: JsonObject) -> Parts:
    yield Text(_sentence(document), style="bold green")
    if document["rule"]:
        yield Text("Running servers follow within a second. Look with: rowsmith traffic show", style="dim")


def shown(document: JsonObject) -> Parts:
    if document["champion"] is None:
        yield Text(f'"{document["name"]}" has no champion yet.', style="yellow")
        return
    if document["rule"] is None:
        yield Text(f"Version {document['champion']} of {document['name']} answers alone.", style="bold")
    else:
        yield Text(_sentence(document["rule"]), style="bold")
        yield from _evidence(document["evidence"])
    if document["events"]:
        table = tables.plain_table("Events")
        for name in ("when", "what", "challenger", "by", "why"):
            table.add_column(name, overflow="fold")
        for event in document["events"]:
            when = event["created"][:16].replace("T", " ")
            table.add_row(when, event["kind"], str(event["challenger"]), Text(event["actor"]), Text(event["reason"]))
        yield table


def _sentence(event: JsonObject) -> str:
    challenger, rule = f"version {event['challenger']}", event["rule"]
    if event["kind"] == "stop" or rule is None:
        return f"Version {event['champion']} answers alone again; {challenger} sees no more requests."
    share = f"{100 * rule['share']:.4g} %"
    by = f", by {rule['key']}" if rule["key"] else ""
    if event["kind"] == "shadow":
        return f"Shadow: {challenger} answers {share} of the requests too, for the log alone."
    others = f"version {event['champion']} the others"
    return f"{event['kind'].capitalize()}: {challenger} answers {share} of the requests{by}; {others}."


def _evidence(evidence: JsonObject) -> Parts:
    state = (evidence["state"], STATES[evidence["state"]])
    yield Text.assemble(("Evidence: ", "bold"), state, f". {evidence['sentence']}")
    table = tables.plain_table()
    for name in ("version", "as", "rows", "units", "refused", "slow units", "p50 ms", "p95 ms", "mean loss"):
        table.add_column(name, justify="left" if name == "as" else "right")
    contrast = evidence["contrast"] or {}
    for who in ("champion", "challenger"):
        arm = evidence[who]
        table.add_row(
            str(arm["version"]),
            arm["role"],
            f"{arm['rows']:,}",
            f"{arm['units']:,}",
            f"{arm['errors']:,}",
            f"{arm['slow_units']:,}",
            tables.number(arm["latency_p50"], 3),
            tables.number(arm["latency_p95"], 3),
            tables.number(contrast.get(f"{who}_mean")),
        )
    yield table
    for signal in evidence["signals"]:
        mark = ("worse ", "bold red") if signal["worse"] else ("ok    ", "green")
        yield Text.assemble(mark, f"{signal['name']}: {signal['message']} (p = {signal['p_value']:.3g})")
    if agreement := evidence["agreement"]:
        if agreement["same"] is not None:
            yield Text(f"The same label for {agreement['same']:.1%} of the latest {agreement['rows']:,} rows.")
        elif agreement["distance"] is not None:
            yield Text(f"{agreement['distance']:.4g} apart on average, over the latest {agreement['rows']:,} rows.")
    if contrast.get("path"):
        yield from _picture(contrast)


def _picture(contrast: JsonObject) -> Parts:
    """The interval as it was at some looks, one a line; 0 is no difference."""
    path = contrast["path"]
    looks = [path[round(i * (len(path) - 1) / max(LOOKS - 1, 1))] for i in range(min(LOOKS, len(path)))]
    last = path[-1]
    reach = 1.2 * max(abs(last["low"]), abs(last["high"]), 1e-12)
    yield Text(
        f"\nDifference in {contrast['loss']}, challenger less champion (left of the line: the challenger is better)"
    )
    for look in looks:
        cells = [" "] * CELLS
        low, middle, high = (_cell(look[key], reach) for key in ("low", "difference", "high"))
        cells[low : high + 1] = "─" * (high + 1 - low)
        cells[CELLS // 2] = "│"
        cells[middle] = "●"
        figures = f"{look['difference']:+.4f} ({look['low']:+.4f} to {look['high']:+.4f})"
        yield Text(f"{look['units']:>8,}  {''.join(cells)}  {figures}")


def _cell(value: float, reach: float) -> int:
    return round(min(max((value + reach) / (2 * reach), 0.0), 1.0) * (CELLS - 1))
