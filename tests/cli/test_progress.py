"""Progress: lines that a log can bear, and a live line for people."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rowsmith.cli.progress import SECONDS_BETWEEN_LINES, LiveLine, PlainLines, describe, watch
from rowsmith.types import Progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_with_each_stage_and_then_now_and_again() -> None:
    clock, stream = Clock(), io.StringIO()
    lines = PlainLines(stream, clock)
    for trial in range(100):
        lines(Progress("search", f"trial {trial}", best_score=0.9))
        clock.now += SECONDS_BETWEEN_LINES / 10
    lines(Progress("evaluate"))
    text = stream.getvalue().splitlines()
    assert len(text) == 11
    assert text[0] == "[   0 s] search: trial 0, best 0.9"
    assert text[1] == "[   5 s] search: trial 10, best 0.9"
    assert text[-1] == "[  50 s] evaluate"


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress("read"), "read"),
        (Progress("read", "big.csv"), "read: big.csv"),
        (Progress("read", fraction=0.5), "read: 50%"),
        (Progress("search", "3 trials", 0.25, 0.92714, 41.6), "search: 3 trials, best 0.9271, 42 s left"),
        (Progress("search", seconds_left=-0.2), "search: 0 s left"),
    ],
)
def test_what_a_report_says(progress: Progress, text: str) -> None:
    assert describe(progress) == text


def test_a_terminal_keeps_a_line_for_each_stage() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    with LiveLine(console) as live:
        live(Progress("read", "a[b]c.csv"))
        live(Progress("search", "trial 1", 0.1, 0.8, 9.0))
        live(Progress("search", "trial 2", 0.5, 0.9, 4.0))
    text = stream.getvalue()
    assert "✓ read a[b]c.csv" in text
    assert "✓ search trial 2, best 0.9 · " in text


def test_a_stage_that_failed_is_not_ticked_off() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="no"), LiveLine(Console(file=stream, force_terminal=True)) as live:
        live(Progress("read"))
        raise ValueError("no")
    assert "✓" not in stream.getvalue()


def test_without_a_terminal_there_are_plain_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with watch() as report:
        report(Progress("read", "x"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "[   0 s] read: x\n"
