"""How fast predictions are logged, durably: `python benchmarks/prediction_log.py [--postgresql URL]`.

Prints medians for one entry from one thread, entries a second from many threads and processes, and the time for
10,000 entries in one call. SQLite lies in the folder given by `--folder` (a temporary one by default): the disk
there is what is measured.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rowsmith.monitoring.log import LogEntry, PredictionLog, new_ids
from rowsmith.storage.database import open_database

SINGLE = 2_000
MANY = 10_000
SECONDS = 3.0
INPUTS = {f"column {i}": value for i, value in enumerate([39, "State-gov", 77516.0, "Bachelors", None, True, 0.1] * 2)}
ANSWER = {"prediction": "<=50K", "probabilities": {"<=50K": 0.8812345678901234, ">50K": 0.1187654321098766}}


def entries(count: int) -> list[LogEntry]:
    now = datetime.now(UTC)
    return [LogEntry(id_, "model", 1, now, INPUTS, ANSWER, 1.5) for id_ in new_ids(count)]


def seconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def append_until(url: str, stop: float, threads: int, times: multiprocessing.SimpleQueue[list[float]]) -> None:
    log = PredictionLog(open_database(url))
    taken: list[float] = []

    def work() -> None:
        while time.time() < stop:
            taken.append(seconds(lambda: log.append(entries(1))))

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    times.put(taken)


def crowd(url: str, processes: int, threads: int) -> list[float]:
    """Seconds of every append of `processes` x `threads` that append one entry after the other."""
    context = multiprocessing.get_context("spawn")
    times = context.SimpleQueue()
    stop = time.time() + 2.0 + SECONDS
    workers = [context.Process(target=append_until, args=(url, stop, threads, times)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    taken = [item for _ in workers for item in times.get()]
    for worker in workers:
        worker.join()
    return sorted(taken)


def measure(title: str, url: str) -> None:
    database = open_database(url)
    log = PredictionLog(database)
    log.append(entries(10))
    single = [seconds(lambda: log.append(entries(1))) for _ in range(SINGLE)]
    many = statistics.median(seconds(lambda: log.append(entries(MANY))) for _ in range(3))
    print(f"{title:12} one entry, one thread      p50 {1000 * statistics.median(single):8.3f} ms")
    print(f"{title:12} {MANY:,} entries in one call   {1000 * many:8.1f} ms")
    for processes, threads in ((1, 16), (2, 8)):
        taken = crowd(url, processes, threads)
        p50, p99 = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
        rate = len(taken) / SECONDS
        print(
            f"{title:12} {processes} x {threads:2} threads"
            f"  p50 {1000 * p50:7.2f} ms  p99 {1000 * p99:7.2f} ms  about {rate:,.0f}/s"
        )
    database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgresql", metavar="URL", help="a PostgreSQL database to measure as well")
    parser.add_argument("--folder", type=Path, help="where the SQLite file is made")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measure("SQLite", f"sqlite:///{folder}/benchmark.db")
    if arguments.postgresql:
        measure("PostgreSQL", arguments.postgresql)


if __name__ == "__main__":
    main()
