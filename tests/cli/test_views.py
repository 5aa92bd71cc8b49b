"""Views: ugly values are shown as they are, and never as markup."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from rowsmith.cli import tables, views


def shown(*parts: Any) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=100, color_system=None)
    for part in parts:
        console.print(part)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (float("nan"), "-"), (0.0, "0"), (0.98765, "0.9877"), (1e9, "1e+09")]
)
def test_numbers(value: float | None, text: str) -> None:
    assert tables.number(value) == text


@pytest.mark.parametrize(
    ("share", "cells"), [(None, 0), (0, 0), (-0.1, 0), (1e-9, 1), (0.5, 6), (1, 12), (7, 12), (float("nan"), 0)]
)
def test_bars(share: float | None, cells: int) -> None:
    assert tables.bar(share) == "█" * cells


def test_a_schema_with_ugly_names_and_ranges() -> None:
    columns = [
        {"name": "[red]a[/red]", "kind": "integer", "minimum": 12285.0, "maximum": 1490400.0},
        {"name": "b", "kind": "number", "minimum": 0.25, "maximum": 1e300, "missing": 0.7},
        {"name": "c", "kind": "category", "categories": ["[x]", "y"], "level_count": 2000, "roles": ["sensitive"]},
        {"name": "d", "kind": "datetime", "minimum": 0.0, "maximum": 1e9},
    ]
    text = shown(tables.schema({"columns": columns}))
    for expected in ("[red]a[/red]", "12,285 to 1,490,400", "0.25 to 1e+300", "70.0%", "[x], y and 1,998 more"):
        assert expected in text


def test_findings_come_with_errors_first() -> None:
    finding = {"message": "m", "advice": "", "columns": [], "evidence": {}}
    found = [{**finding, "severity": level, "code": level, "title": level} for level in ("info", "warning", "error")]
    text = shown(tables.findings(found))
    assert text.index("error.") < text.index("warning.") < text.index("info.")


def test_drift_shows_what_moved_and_nothing_else() -> None:
    item = {"part": "feature", "threshold": 0.2, "drifted": False, "sentence": "s"}
    still = {**item, "column": "still", "effect": 0.001}
    moved = {**item, "column": "moved", "effect": 0.3, "drifted": True}
    unknown = {**item, "column": "unknown", "effect": None, "threshold": None}
    assert tables.drift([still, unknown]) is None
    text = shown(tables.drift([still, unknown, moved]))
    assert "moved" in text and "150%" in text
    assert "still" not in text


def test_monitoring_with_nothing_seen_shows_no_empty_table() -> None:
    reason = {"message": "there was nothing to look at", "advice": "", "level": "ok"}
    document = {"verdict": {"level": "ok", "reasons": [reason]}, "windows": []}
    text = shown(*views.monitored(document))
    assert text == "Verdict: ok\n- there was nothing to look at\n"


def test_a_curl_line_can_be_pasted_whatever_the_values() -> None:
    import shlex

    row = {"name": 'O\'Brien "x" $HOME', "n": 1.5}
    text = "".join(part.plain for part in views.serving({"address": "http://h:1", "row": row}))  # type: ignore[union-attr]
    words = shlex.split(text[text.index("curl") :])
    assert words[-1] == '{"rows":[{"name":"O\'Brien \\"x\\" $HOME","n":1.5}]}'
