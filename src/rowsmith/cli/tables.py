"""Parts of which the views are made: a table each, out of plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rowsmith.types import JsonObject

BAR_CELLS = 12
NOTHING = "-"
# As a share of the threshold: less is not worth a line.
LEAST_EFFECT = 0.05
SEVERITY = {"error": "bold red", "warning": "yellow", "info": "dim"}
SYSTEMS = {"model": "this model", "dummy": "same answer always", "linear": "simple linear model"}


def plain_table(title: str = "", **options: Any) -> Table:
    return Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", **options)


def bar(share: float | None, cells: int = BAR_CELLS) -> str:
    """A share from 0 to 1 as a row of blocks; something above nothing shows at least one."""
    if share is None or not share > 0:  # NaN is not above nothing either
        return ""
    return "█" * max(1, round(min(share, 1.0) * cells))


def number(value: float | None, digits: int = 4) -> str:
    return NOTHING if value is None or value != value else f"{value:.{digits}g}"


def percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share:.1%}"


def scores(metrics: Sequence[JsonObject], found: JsonObject) -> Table:
    """Every metric of the sealed test, with its interval, beside the simple models."""
    table = plain_table("On the sealed test rows")
    table.add_column("metric")
    for system in found:
        table.add_column(SYSTEMS.get(system, system), justify="right", style="bold" if system == "model" else "")
        if system == "model":
            table.add_column("95 % interval", style="dim")
    for metric in metrics:
        cells = [Text(metric["title"])]
        for system, values in found.items():
            score = values.get(metric["name"]) or {"value": None}
            cells.append(Text(number(score["value"])))
            if system == "model":
                known = score.get("low") is not None
                cells.append(Text(f"{number(score['low'])} to {number(score['high'])}" if known else ""))
        table.add_row(*cells)
    return table


def leaderboard(trials: Sequence[JsonObject], metric: str, most: int) -> Table:
    """The trials, best first, with their share in the ensemble."""
    table = plain_table("Leaderboard", caption_justify="left")
    for name, justify in (("#", "right"), ("family", "left"), (metric, "right"), ("share", "left"), ("s", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # both words are ones it takes
    table.add_column("outcome", overflow="fold")
    for trial in trials[:most]:
        share = f"{bar(trial['weight'])} {trial['weight']:.0%}" if trial["weight"] else ""
        outcome = Text(" ".join(part for part in (trial["status"], trial["message"]) if part), style="dim")
        score, seconds = number(trial["score"]), f"{trial['seconds']:.1f}"
        table.add_row(str(trial["id"]), Text(trial["family"]), score, share, seconds, outcome)
    if len(trials) > most:
        table.caption = f"and {len(trials) - most} more (--json shows all)"
    return table


def findings(found: Sequence[JsonObject]) -> Table:
    """What the checks saw, errors first."""
    table = plain_table("What looks odd")
    table.add_column("", no_wrap=True)
    table.add_column("finding", overflow="fold")
    table.add_column("code", style="dim", no_wrap=True)
    order = list(SEVERITY)
    for item in sorted(found, key=lambda item: order.index(item["severity"])):
        text = Text(f"{item['title']}. ", style="bold").append(str(item["message"]), style="not bold")
        if item["advice"]:
            text.append(f" {item['advice']}", style="not bold dim")
        table.add_row(Text(item["severity"], style=SEVERITY[item["severity"]]), text, item["code"])
    return table


def schema(data: JsonObject) -> Table:
    """The columns: what they are, what they are for, how much is missing, and what their values look like."""
    table = plain_table("Schema")
    for name in ("column", "kind", "role"):
        table.add_column(name)
    table.add_column("missing", justify="right")
    table.add_column("values", overflow="ellipsis", no_wrap=True, max_width=48)
    for column in data["columns"]:
        role = ", ".join(column.get("roles", ()))
        missing = column.get("missing", 0.0)
        style = "yellow" if missing > 0.5 else ""
        share = Text(percent(missing) if missing else "", style=style)
        table.add_row(Text(column["name"]), column["kind"], role, share, Text(_values(column)))
    return table


def _values(column: JsonObject) -> str:
    if column.get("categories"):
        levels = column["categories"]
        more = column.get("level_count", len(levels)) - len(levels[:5])
        return ", ".join(levels[:5]) + (f" and {more:,} more" if more > 0 else "")
    if column["kind"] == "datetime":
        return ""
    if column.get("minimum") is not None:
        return f"{_plain(column['minimum'])} to {_plain(column['maximum'])}"
    return str(column.get("typical") or "")


def _plain(value: float) -> str:
    """A number as a person writes it: whole ones in full."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else number(value, 6)


def gates(report: JsonObject) -> Table:
    """Each gate, open or not, and why."""
    table = plain_table("Gates", show_header=False)
    table.add_column("")
    table.add_column("", overflow="fold")
    for result in report["results"]:
        mark = "[green]open[/]" if result["passed"] else "[bold red]shut[/]"
        table.add_row(mark, Text(result["message"]))
    return table


def drift(items: Sequence[JsonObject], most: int = 10) -> Table | None:
    """What moved most in a window: the effect in units of the threshold from which it counts. None for nothing."""
    moved = [(item["effect"] / item["threshold"], item) for item in items if item["effect"] and item["threshold"]]
    moved = sorted((pair for pair in moved if pair[0] >= LEAST_EFFECT), key=lambda pair: -pair[0])
    if not moved:
        return None
    table = plain_table("What moved most")
    for name in ("column", "part", "of threshold", "what happened"):
        table.add_column(name, overflow="fold")
    for ratio, item in moved[:most]:
        style = "bold yellow" if item["drifted"] else "dim"
        size = f"{ratio:5.0%} {bar(ratio / 2)}"
        table.add_row(Text(item["column"], style=style), item["part"], size, Text(item["sentence"]))
    return table
