"""The supervisor with real processes: a unit that dies, one that hangs, one that raises, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rowsmith.training import supervisor as module
from rowsmith.training.executor import Workplace
from rowsmith.training.supervisor import DIED, Outcome, Supervisor
from rowsmith.training.unit import Unit
from rowsmith.types import Task
from tests.training.tables import make_table


def run_all(units: list[Unit], tmp_path: Path) -> dict[int, Outcome]:
    """Every unit through two workers."""
    outcomes: dict[int, Outcome] = {}
    waiting = list(units)
    data = make_table(Task.BINARY, rows=60)
    with Workplace(data, workers=2, threads=1, executor=None, work_dir=tmp_path) as workplace:
        supervisor = Supervisor(workplace)
        while waiting or not supervisor.is_idle:
            while waiting and supervisor.has_room:
                supervisor.start(waiting.pop(0))
            for outcome in supervisor.collect(0.5):
                outcomes[outcome.unit.trial] = outcome
    assert list(tmp_path.iterdir()) == []
    return outcomes


def unit(trial: int, **changes: object) -> Unit:
    return Unit(trial, "constant", {}, 0, **changes)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_worker_that_dies_takes_its_own_unit_alone(tmp_path: Path) -> None:
    """The rows wanted are more than memory holds for one unit, which the kernel would kill; here it kills itself."""
    deadly = Unit(1, "constant", {"rows": Deadly()}, 0)
    outcomes = run_all([unit(0), deadly, unit(2), unit(3)], tmp_path)
    assert outcomes[1].message == DIED
    assert all(outcomes[trial].result is not None for trial in (0, 2, 3))


class Deadly:
    """Ends the process that looks at it."""

    def __ge__(self, other: object) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return True


class Hanging:
    """Keeps whoever looks at it."""

    def __ge__(self, other: object) -> bool:
        time.sleep(600)
        return True


@pytest.mark.slow
def test_a_unit_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 3.0)
    hanging = Unit(1, "constant", {"rows": Hanging()}, 0, seconds=0.1)
    outcomes = run_all([unit(0), hanging, unit(2)], tmp_path)
    assert "did not end" in outcomes[1].message
    assert outcomes[0].result is not None
    assert outcomes[2].result is not None


def test_an_error_is_a_message(tmp_path: Path) -> None:
    outcomes = run_all([unit(0, repeat=7), unit(1)], tmp_path)
    assert outcomes[0].message.startswith("IndexError")
    assert outcomes[1].result is not None


SCRIPT = """
import sys, time
import numpy as np
from rowsmith.recipe import TrainSection
from rowsmith.training import run_search
from rowsmith.training.data import TrainingData
from rowsmith.types import Task
from tests.training.tables import make_table, LOG_LOSS

def progress(report):
    print("running", flush=True)

run_search(make_table(Task.BINARY, rows=20000), LOG_LOSS, TrainSection(cores=2),
           deadline=time.monotonic() + 120, on_progress=progress, work_dir={folder!r})
"""


@pytest.mark.slow
def test_an_interrupt_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    work = tmp_path / "work"
    work.mkdir()
    script.write_text(textwrap.dedent(SCRIPT.replace("{folder!r}", f"__import__('pathlib').Path({str(work)!r})")))
    mark = f"ROWSMITH_TEST_{os.getpid()}"
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), mark: "1"}
    with subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) != 0
    assert list(work.iterdir()) == []
    limit = time.monotonic() + 10
    while (left := processes_with(mark)) and time.monotonic() < limit:
        time.sleep(0.1)
    assert left == []


def processes_with(mark: str) -> list[int]:
    """Processes of ours that carry a name in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
