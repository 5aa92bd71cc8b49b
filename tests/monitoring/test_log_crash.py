"""A prediction that was acknowledged is there after `kill -9`, and no prediction is there twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from rowsmith.storage.database import open_database
from tests.servers import PostgresServer

ROUNDS = 5
THREADS = 4

# Appends from several threads, one entry or several in a call, and writes the ids out once the call has returned.
WRITER = f"""
import os, sys, threading
from datetime import UTC, datetime
from rowsmith.monitoring.log import LogEntry, PredictionLog, new_ids
from rowsmith.storage.database import open_database

log = PredictionLog(open_database(sys.argv[1]))

def work():
    count = 0
    while True:
        ids = new_ids(1 + count % 3)
        log.append([LogEntry(i, "m", 1, datetime.now(UTC), {{"x": count}}, {{"prediction": 1.0}}) for i in ids])
        os.write(1, ("\\n".join(ids) + "\\n").encode())
        count += 1

for _ in range({THREADS}):
    threading.Thread(target=work).start()
"""


class Writer:
    """A process that appends, and the ids that it has acknowledged so far."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE)
        self.acknowledged: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.acknowledged += (line.decode().strip() for line in iter(self.process.stdout.readline, b""))

    def wait_for_first(self) -> None:
        while not self.acknowledged and self.process.poll() is None:
            time.sleep(0.005)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def stored_ids(url: str) -> Counter[str]:
    database = open_database(url)
    with database.reading() as connection:
        found = Counter(connection.scalars(text("SELECT id FROM rowsmith_predictions")))
    database.close()
    return found


def check(url: str, acknowledged: list[str]) -> None:
    stored = stored_ids(url)
    assert len(acknowledged) > ROUNDS
    assert set(acknowledged) <= set(stored), "an acknowledged prediction was lost"
    assert max(stored.values()) == 1, "a prediction was stored twice"


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_it_acknowledged(database_url: str) -> None:
    dice = random.Random(0)
    acknowledged: list[str] = []
    for _ in range(ROUNDS):
        # Two at a time, so that each is also killed while the other one writes.
        writers = [Writer(database_url) for _ in range(2)]
        for writer in writers:
            writer.wait_for_first()
        for writer in writers:
            time.sleep(dice.uniform(0, 0.1))
            writer.kill()
            acknowledged += writer.acknowledged
    check(database_url, acknowledged)


def test_sqlite_s_file_is_sound_after_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    writer = Writer(url)
    writer.wait_for_first()
    writer.kill()
    database = open_database(url)
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    database.close()


@pytest.mark.postgresql
def test_a_killed_server_loses_nothing_that_was_acknowledged(postgresql: PostgresServer) -> None:
    url = postgresql.new_database()
    acknowledged: list[str] = []
    for _ in range(2):
        writer = Writer(url)
        writer.wait_for_first()
        postgresql.kill()
        writer.kill()
        acknowledged += writer.acknowledged
        postgresql.start()
    check(url, acknowledged)
