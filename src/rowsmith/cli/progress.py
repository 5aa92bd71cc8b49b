"""Progress on standard error: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rowsmith.cli.interruption import hear_ctrl_c
from rowsmith.cli.output import stderr

if TYPE_CHECKING:
    from rich.console import Console

    from rowsmith.types import OnProgress, Progress

# A log wants to hear of every stage, but within one not more often than this.
SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def watch() -> Iterator[OnProgress]:
    """The callback to hand to a workflow; what it shows disappears from a terminal when the work ends."""
    hear_ctrl_c()
    console = stderr()
    if not console.is_terminal:
        yield PlainLines(sys.stderr)
        return
    live = LiveLine(console)
    with live:
        yield live


class PlainLines:
    """One line when a stage begins, then at most one every few seconds: `[  12 s] search: 14 trials, best 0.927`."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._begin = clock()
        self._stage = ""
        self._last = self._begin
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            now = self._clock()
            if progress.stage == self._stage and now - self._last < SECONDS_BETWEEN_LINES:
                return
            self._stage, self._last = progress.stage, now
            print(f"[{now - self._begin:4.0f} s] {describe(progress)}", file=self._stream, flush=True)


class LiveLine:
    """The current stage with a bar, the best score and the time left; each finished stage leaves one line behind."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = console
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}[/]"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bars.add_task("starting", total=None, detail="")
        self._stage = ""
        self._begin = time.monotonic()
        self._result = ""
        self._lock = threading.Lock()

    def __enter__(self) -> LiveLine:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._leave_stage()
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            if progress.stage != self._stage:
                self._leave_stage()
                self._stage, self._begin = progress.stage, time.monotonic()
                self._bars.reset(self._task, total=None)
            self._result = _escaped(", ".join(results(progress)))
            known = progress.fraction is not None
            self._bars.update(
                self._task,
                description=_escaped(progress.stage),
                total=1.0 if known else None,
                completed=progress.fraction if known else 0.0,
                detail=_escaped(", ".join(details(progress))),
            )

    def _leave_stage(self) -> None:
        if self._stage:
            seconds = time.monotonic() - self._begin
            self._console.print(f"[green]✓[/] {_escaped(self._stage)} [dim]{self._result} · {seconds:.1f} s[/]")


def describe(progress: Progress) -> str:
    """A report in one line of text."""
    found = details(progress)
    return f"{progress.stage}: {', '.join(found)}" if found else progress.stage


def details(progress: Progress) -> list[str]:
    """What a report knows, in words."""
    found = results(progress)
    if progress.seconds_left is not None:
        found.append(f"{max(progress.seconds_left, 0):.0f} s left")
    elif progress.fraction is not None:
        found.append(f"{progress.fraction:.0%}")
    return found


def results(progress: Progress) -> list[str]:
    """What of a report is still worth knowing when its stage is over."""
    found = [progress.message] if progress.message else []
    if progress.best_score is not None:
        found.append(f"best {progress.best_score:.4g}")
    return found


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
