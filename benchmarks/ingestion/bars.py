"""How fast, and in how much memory, sources become snapshots, beside the barest loop that reads the same.

    python benchmarks/ingestion/bars.py postgresql [--rows 1000000]
    python benchmarks/ingestion/bars.py mariadb [--rows 1000000]
    python benchmarks/ingestion/bars.py csv [--megabytes 2000]
    python benchmarks/ingestion/bars.py again [--rows 1000000]     # a second reading, with nothing new
    python benchmarks/ingestion/bars.py kills [--kills 20]         # kill -9 at random moments

Servers are started for the purpose, in temporary folders (they have to be installed: Debian's postgresql and
mariadb-server). Each measurement is a process of its own; the best of `--repeat` counts. Seconds leave out the start of
the program, but for `again`, where it is the whole command.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.ingestion.test_kills import torture  # noqa: E402
from tests.servers import MariaServer, PostgresServer, find_mariadb, find_postgresql  # noqa: E402

MEASURE = Path(__file__).parent / "measure.py"
CHUNK_ROWS = 200_000
POSTGRESQL_TABLE = """
    CREATE TABLE t AS SELECT i::bigint AS id, i % 7 AS a, random() AS b, (random() * 1000)::numeric(12, 2) AS amount,
    'name ' || i % 1000 AS name, i % 2 = 0 AS flag, timestamptz '2026-01-01' + i * interval '1 s' AS moment,
    date '2020-01-01' + i % 1000 AS day, random() AS e, random() AS f, i * 3::bigint AS g,
    CASE WHEN i % 10 > 0 THEN 'x' || i % 50 END AS h FROM generate_series(1, {rows}) i
"""
MARIADB_TABLE = """
    CREATE TABLE t AS SELECT seq AS id, seq % 7 AS a, rand() AS b, cast(rand() * 1000 AS DECIMAL(12, 2)) AS amount,
    concat('name ', seq % 1000) AS name, seq % 2 AS flag,
    cast('2026-01-01' AS DATETIME) + INTERVAL seq SECOND AS moment,
    date '2020-01-01' + INTERVAL seq % 1000 DAY AS day, rand() AS e, rand() AS f, seq * 3 AS g,
    if(seq % 10 > 0, concat('x', seq % 50), NULL) AS h FROM seq_1_to_{rows}
"""


def measure(repeat: int, work: str, *arguments: object) -> dict[str, float]:
    """The best of some runs, each in a new folder, which is its first argument."""
    found = []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as folder:
            found.append(_run(work, folder, *arguments))
    return min(found, key=lambda one: one["seconds"])


def _run(*arguments: object) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, str(MEASURE), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def tell(title: str, found: dict[str, float], bare: dict[str, float] | None = None) -> None:
    ratio = f"{found['seconds'] / bare['seconds']:6.2f} x" if bare else ""
    size = f"{found['peak_mb']:8.0f} MB {found['rows']:>12,.0f} rows"
    print(f"{title:34} {found['seconds']:8.2f} s {found['processor']:8.2f} s of processor {size} {ratio}")


@contextmanager
def running(server: Any) -> Iterator[Any]:
    try:
        server.start()
        yield server
    finally:
        server.close()


@contextmanager
def postgresql_table(rows: int) -> Iterator[str]:
    binaries = find_postgresql() or sys.exit("PostgreSQL is not installed")
    with running(PostgresServer(binaries)) as server:
        url = server.new_database()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(POSTGRESQL_TABLE.format(rows=rows).encode())
            connection.execute("ALTER TABLE t ADD PRIMARY KEY (id)")
            connection.execute("ANALYZE t")
        yield url


def postgresql(options: argparse.Namespace) -> None:
    with postgresql_table(options.rows) as url:
        bare = measure(options.repeat, "adbc", url, "t")
        tell("ADBC batches to Parquet", bare)
        tell("PostgreSQL to snapshot", measure(options.repeat, "snapshot", url, "t"), bare)


def mariadb(options: argparse.Namespace) -> None:
    program = find_mariadb() or sys.exit("MariaDB is not installed")
    with running(MariaServer(program)) as server:
        address = server.new_database().replace("${SECRET}", "hush%2Fp%40ss%20word")
        server.run(MARIADB_TABLE.format(rows=options.rows), database=address.rpartition("/")[2])
        bare = measure(options.repeat, "pymysql", address, "t")
        tell("server-side cursor, kept nowhere", bare)
        tell("MariaDB to snapshot", measure(options.repeat, "snapshot", address, "t"), bare)


def csv(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_csv(path, options.megabytes)
        bare = measure(options.repeat, "sink", path)
        tell("polars scan_csv().sink_parquet()", bare)
        tell("CSV to snapshot", measure(options.repeat, "snapshot", path, ""), bare)


def write_csv(path: Path, megabytes: int) -> None:
    with path.open("wb") as file:
        start = 0
        while file.tell() < megabytes * 1_000_000:
            row = pl.int_range(start, start + CHUNK_ROWS, eager=True)
            noise = [row.hash(seed) % 1_000_000_007 for seed in range(4)]
            frame = pl.DataFrame(
                {
                    "id": row,
                    "a": row % 7,
                    **{name: noise[place] / 1e9 for place, name in enumerate("bef")},
                    "amount": (noise[3] % 100_000) / 100,
                    "name": pl.Series([f"name {i % 1000}" for i in range(CHUNK_ROWS)]),
                    "flag": row % 2 == 0,
                    "moment": pl.Series(["2026-01-01T00:00:00"] * CHUNK_ROWS),
                    "day": pl.Series(["2020-01-01"] * CHUNK_ROWS),
                    "g": row * 3,
                    "h": pl.Series([f"x{i % 50}" if i % 10 else None for i in range(CHUNK_ROWS)]),
                }
            )
            frame.write_csv(file, include_header=start == 0)
            start += CHUNK_ROWS


def again(options: argparse.Namespace) -> None:
    with postgresql_table(options.rows) as url, tempfile.TemporaryDirectory() as folder:
        tell("first reading", _run("again", folder, url, "t", "id"))
        command = [sys.executable, "-m", "rowsmith", "ingest", url, "--table", "t", "--cursor", "id", "--key", "id"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        for _ in range(options.repeat):
            tell("nothing new", _run("again", folder, url, "t", "id"))
            begin = time.perf_counter()
            done = subprocess.run([*command, "--project", folder], capture_output=True, text=True, env=environment)
            seconds = time.perf_counter() - begin
            if "Nothing new" not in done.stdout:
                sys.exit(done.stdout + done.stderr)
            print(f"{'the whole command':34} {seconds:8.2f} s")


def kills(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        struck = torture(Path(folder), kills=options.kills, seed=options.seed)
    print(f"{options.kills} runs, {struck} of them killed at work; every next run was clean")


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "postgresql": postgresql,
    "mariadb": mariadb,
    "csv": csv,
    "again": again,
    "kills": kills,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=COMMANDS)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--megabytes", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    COMMANDS[options.what](options)


if __name__ == "__main__":
    main()
