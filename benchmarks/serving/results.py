"""What a benchmark found, beside what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """A line of the table; `good` is None where there is no bar."""

    what: str
    figure: str
    bar: str = ""
    good: bool | None = None


def show(rows: Sequence[Row], failed: int) -> None:
    table = Table("what", "figure", "bar", "")
    for row in rows:
        table.add_row(row.what, row.figure, row.bar, {True: "yes", False: "NO", None: ""}[row.good])
    table.add_row("requests that failed", str(failed), "0", "yes" if failed == 0 else "NO")
    Console(width=110).print(table)
