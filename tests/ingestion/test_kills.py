"""kill -9 at random moments of an ingest: what is there stays whole, and the next run is as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rowsmith.ingestion.keeping.folder import FolderStore
from rowsmith.ingestion.snapshot import SnapshotStore
from rowsmith.workflows.project import open_project
from rowsmith.workflows.reading import take_snapshot

ROWS = 60_000
RECIPE = '[data]\nsource = "rows.db"\n[data.incremental]\nkey = ["id"]\ncursor = "version"\n'
READER = """
import sys
from rowsmith.ingestion import snapshot
from rowsmith.workflows.reading import take_snapshot
from rowsmith.workflows.project import open_project
snapshot.PART_ROWS = 5_000
print("go", flush=True)
take_snapshot(open_project(sys.argv[1]))
"""


def change(path: Path, version: int) -> None:
    """Every fiftieth row changes, and a hundred come."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v REAL, version INTEGER)")
        rows = ROWS if version == 0 else 100
        (start,) = connection.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM t").fetchone()
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", ((start + i, i / 7, version) for i in range(rows)))
        connection.execute("UPDATE t SET v = v + 1, version = ? WHERE id % 50 = ?", (version, version))
    connection.close()


def killed(root: Path, seconds: float) -> bool:
    """Whether the reader was still at work when it was killed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", READER, str(root)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment) as program:
        assert program.stdout is not None and program.stdout.readline() == b"go\n"
        time.sleep(seconds)
        program.send_signal(signal.SIGKILL)
        return program.wait() == -signal.SIGKILL


def require_whole(root: Path) -> None:
    """Every snapshot can be read with its hashes checked, no two parts too many, nothing half-written."""
    store = SnapshotStore(FolderStore(root))
    parts = {f"{part.sha256}.parquet" for found in store.list() for part in found.parts}
    for found in store.list():
        store.read(found)
    assert {path.name for path in (root / "parts").iterdir()} == parts
    assert not any((root / "incoming").iterdir())


def torture(root: Path, kills: int, seed: int) -> int:
    """How many of the runs died at work. Each is followed by a whole one, which must read what is in the table."""
    dice = random.Random(seed)
    (root / "rowsmith.toml").write_text(RECIPE)
    struck = 0
    for version in range(kills):
        change(root / "rows.db", version)
        struck += killed(root, dice.uniform(0, 0.4 if version == 0 else 0.15))
        project = open_project(root)
        found = take_snapshot(project)
        require_whole(project.store / "snapshots")
        with sqlite3.connect(root / "rows.db") as connection:
            expected = connection.execute("SELECT id, v, version FROM t ORDER BY id").fetchall()
        connection.close()
        assert project.snapshots.read(found).sort("id").rows() == expected
        assert take_snapshot(project).id == found.id
    return struck


@pytest.mark.slow
def test_kills_leave_a_clean_next_run(tmp_path: Path) -> None:
    assert torture(tmp_path, kills=4, seed=0) > 0
