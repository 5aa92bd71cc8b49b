"""A long time under load, with changes going on: `python benchmarks/serving/soak.py [--minutes 30] [--share 0.7]`.

A server of two workers is first asked for the rate that it reaches, then for so many minutes at a share of that rate.
Meanwhile, every few seconds, its other version is promoted or the promotion is rolled back, the metrics are scraped,
and answers to known rows are compared with what the version that they name answers to them, bit for bit. Prints each
minute as it passes and, in the end, what was promised beside what was found. Predictions are logged, durably: half an
hour leaves some gigabytes in the folder for temporary files, which are removed. Needs wrk (a Debian package).
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import polars as pl
from load import Load, apply
from plain_model import NAME, TREES, make_plain
from results import Row, show
from tables import bodies_of, table_of

from rowsmith.workflows.project import Project
from servers import Running, rowsmith

PREDICT = "/api/v1/predict"
JSON = {"Content-Type": "application/json"}
CONNECTIONS = 16
PACED_CONNECTIONS = 48
WARM_SECONDS = 3.0
PEAK_SECONDS = 10.0
CHECK_SECONDS = 0.1
EFFECT_SECONDS = 1.0
"""Within which a promotion has to be in force."""
MOST_GROWTH = 1.05
MOST_SLOWER = 1.25
LEAST_RATE = 0.95


@dataclass
class Changes:
    """What goes on beside the load: a thread that changes the champion and scrapes, and one that compares answers."""

    server: Running
    project: Project
    rows: Sequence[bytes]
    every: float
    promoted: int = 0
    scraped: int = 0
    compared: int = 0
    slowest: float = 0.0
    problems: list[str] = field(default_factory=list)
    _champion: int = 1
    _since: float = -math.inf
    _counted: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        models = {number: self.project.model(number) for number in (1, 2)}
        self._right = {
            number: [model.predict_row(orjson.loads(row)["row"]).to_dict() for row in self.rows]
            for number, model in models.items()
        }
        self._threads = [threading.Thread(target=self._run, args=(what,)) for what in (self._change, self._compare)]

    def __enter__(self) -> Changes:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, what: Any) -> None:
        try:
            with httpx.Client(base_url=self.server.address, trust_env=False, timeout=20.0) as client:
                what(client)
        except Exception as problem:  # told at the end, beside what else went wrong
            self.problems.append(f"{what.__name__}: {problem!r}")

    def _change(self, client: httpx.Client) -> None:
        registry = self.project.registry
        while not self._stop.wait(self.every):
            if self._champion == 1:
                registry.promote(NAME, 2, reason="a change", actor="benchmarks/serving")
            else:
                registry.rollback(NAME, reason="a change back", actor="benchmarks/serving")
            self._champion, self._since = 3 - self._champion, time.monotonic()
            self.promoted += 1
            self._scrape(client)

    def _scrape(self, client: httpx.Client) -> None:
        response = client.get("/metrics")
        lines = [line for line in response.text.splitlines() if line.startswith("rowsmith_requests_total")]
        counted = sum(float(line.rsplit(" ", 1)[1]) for line in lines)
        if response.status_code != 200 or counted < self._counted:
            self.problems.append(f"a scrape: status {response.status_code}, {counted:.0f} after {self._counted:.0f}")
        self._counted = counted
        self.scraped += 1

    def _compare(self, client: httpx.Client) -> None:
        while not self._stop.wait(CHECK_SECONDS):
            turn = self.compared % len(self.rows)
            champion, since, asked = self._champion, self._since, time.monotonic()
            response = client.post(PREDICT, content=self.rows[turn], headers=JSON)
            self.compared += 1
            if response.status_code != 200:
                self.problems.append(f"status {response.status_code}: {response.text[:200]}")
                continue
            document = response.json()
            number = document["model"]["version"]
            answer = {name: value for name, value in document["predictions"][0].items() if name != "id"}
            if answer != self._right[number][turn]:
                self.problems.append(f"an answer that is not version {number}'s")
            if number != champion and champion == self._champion:
                self.slowest = max(self.slowest, asked - since)


@dataclass(frozen=True)
class Minute:
    load: Load
    megabytes: dict[int, float]


def pace(rate: float, latency: float, connections: int) -> float:
    """The mean pause in milliseconds with which so many connections come to a rate."""
    return max(1000 * connections / rate - latency, 0.0)


def pass_minutes(server: Running, rows: Sequence[bytes], rate: float, options: argparse.Namespace) -> list[Minute]:
    minutes: list[Minute] = []
    pause = pace(rate, 1.0, PACED_CONNECTIONS)
    for number in range(options.minutes):
        load = apply(
            server.address,
            PREDICT,
            rows,
            connections=PACED_CONNECTIONS,
            seconds=options.minute,
            headers=JSON,
            pause=pause,
        )
        # Towards the rate that was meant: how long an answer takes is not known beforehand.
        pause = max(pause + 1000 * PACED_CONNECTIONS * (1 / rate - 1 / load.rate), 0.0)
        minutes.append(Minute(load, server.megabytes()))
        sizes = " ".join(f"{size:.0f}" for size in minutes[-1].megabytes.values())
        print(
            f"minute {number + 1}: {load.rate:,.0f}/s, p50 {load.p50:.2f} ms, p99 {load.p99:.2f} ms, "
            f"{load.failed} failed, workers {sizes} MB",
            flush=True,
        )
    return minutes


def judged(minutes: Sequence[Minute], changes: Changes, rate: float) -> list[Row]:
    part = max(len(minutes) // 3, 1)
    first = statistics.median(minute.load.p99 for minute in minutes[:part])
    last = statistics.median(minute.load.p99 for minute in minutes[-part:])
    reached = statistics.median(minute.load.rate for minute in minutes)
    begin, end = minutes[0].megabytes, minutes[-1].megabytes
    rows = [
        Row(
            "requests/s, of those that were meant",
            f"{reached:,.0f} of {rate:,.0f}",
            "95 %",
            reached >= LEAST_RATE * rate,
        )
    ]
    for worker, size in end.items():
        growth = size / begin[worker] if worker in begin else math.inf
        said = f"{begin.get(worker, math.nan):.1f} to {size:.1f} MB, {100 * (growth - 1):+.1f} %"
        rows.append(Row(f"memory of worker {worker} since the first minute", said, "<= 5 %", growth <= MOST_GROWTH))
    flat = last <= MOST_SLOWER * first
    rows.append(Row("p99, last third of the minutes over the first", f"{last:.2f} / {first:.2f} ms", "<= 1.25", flat))
    in_time = changes.slowest <= EFFECT_SECONDS
    rows.append(Row("the old version was last seen after a change: s", f"{changes.slowest:.2f}", "<= 1", in_time))
    rows.append(Row("promotions and rollbacks; scrapes", f"{changes.promoted}; {changes.scraped}"))
    found = f"{len(changes.problems)} of {changes.compared}"
    rows.append(Row("wrong answers, and what failed beside the load", found, "0", not changes.problems))
    return rows


def soak(options: argparse.Namespace, folder: Path) -> bool:
    table = table_of(options, folder)
    rows = bodies_of(pl.read_parquet(table), options.target).one
    root = folder / "plain"
    root.mkdir()
    project = make_plain(root, table, options.target, trees=(TREES, TREES - 50))
    with rowsmith(root, rows[0]) as server:
        apply(server.address, PREDICT, rows, connections=CONNECTIONS, seconds=WARM_SECONDS, headers=JSON)
        peak = apply(server.address, PREDICT, rows, connections=CONNECTIONS, seconds=PEAK_SECONDS, headers=JSON)
        rate = options.share * peak.rate
        print(
            f"peak: {peak.rate:,.0f}/s, p99 {peak.p99:.2f} ms; {options.share:.0%} of it is {rate:,.0f}/s", flush=True
        )
        with Changes(server, project, rows[:20], options.every) as changes:
            minutes = pass_minutes(server, rows, rate, options)
    size = sum(path.stat().st_size for path in root.glob(".rowsmith/*.db*"))
    project.database.close()
    verdict = judged(minutes, changes, rate)
    failed = peak.failed + sum(minute.load.failed for minute in minutes)
    show([*verdict, Row("the log at the end: MB", f"{size / 1e6:,.0f}")], failed)
    for problem in changes.problems[:20]:
        print(problem)
    return failed == 0 and all(row.good is not False for row in verdict)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a Parquet file; scikit-learn's data on breast cancer when absent")
    parser.add_argument("--target", help="its column to predict")
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--minute", type=float, default=60.0, help="seconds that a minute has here")
    parser.add_argument("--share", type=float, default=0.7, help="of the rate that the server reaches")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two changes of the champion")
    arguments = parser.parse_args()
    if arguments.data and not arguments.target:
        parser.error("--target names the column to predict")
    if shutil.which("wrk") is None:
        parser.error("wrk is not installed (apt-get install wrk)")
    with tempfile.TemporaryDirectory() as temporary:
        is_good = soak(arguments, Path(temporary))
    raise SystemExit(0 if is_good else 1)
