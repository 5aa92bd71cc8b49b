"""One piece of reading, in a process of its own, so that its seconds and its peak of memory are its alone.

python benchmarks/ingestion/measure.py WORK ARGUMENT...    # prints {"seconds", "processor", "peak_mb", "rows"} as JSON
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# Each work imports what it needs, yields once, which starts the clock, and yields its rows.


def snapshot(folder: str, source: str, table: str) -> Iterator[int]:
    """Into a snapshot, as `rowsmith ingest` does before it looks at the rows."""
    from rowsmith.recipe import Recipe
    from rowsmith.workflows.project import open_project
    from rowsmith.workflows.reading import take

    yield 0
    recipe = Recipe().changed(data={"sql": {"table": table or None}})
    yield take(open_project(folder).with_recipe(recipe), source).snapshot.rows


def again(folder: str, source: str, table: str, cursor: str) -> Iterator[int]:
    """What is new since the last time; 0 rows where nothing is."""
    from rowsmith.recipe import Recipe
    from rowsmith.workflows.project import open_project
    from rowsmith.workflows.reading import take

    yield 0
    recipe = Recipe().changed(data={"sql": {"table": table}, "incremental": {"cursor": cursor, "key": [cursor]}})
    yield take(open_project(folder).with_recipe(recipe), source).added


def adbc(folder: str, source: str, table: str) -> Iterator[int]:
    """Arrow batches of ADBC straight into a Parquet file, numeric columns as they come."""
    import adbc_driver_postgresql.dbapi
    import pyarrow as pa
    import pyarrow.parquet as pq

    yield 0
    rows = 0
    with adbc_driver_postgresql.dbapi.connect(source) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        reader = cursor.fetch_record_batch()
        schema = pa.schema([pa.field(f.name, getattr(f.type, "storage_type", f.type)) for f in reader.schema])
        with pq.ParquetWriter(Path(folder) / "bare.parquet", schema, compression="zstd") as writer:
            for batch in reader:
                plain = [getattr(column, "storage", column) for column in batch.columns]
                writer.write_batch(pa.record_batch(plain, schema=schema))
                rows += batch.num_rows
    yield rows


def pymysql(folder: str, source: str, table: str) -> Iterator[int]:
    """A loop over a cursor of the server's side, which keeps nothing."""
    import pymysql as driver
    from sqlalchemy import make_url

    yield 0
    url = make_url(source)
    rows = 0
    with driver.connect(
        host=url.host,
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        database=url.database,
        cursorclass=driver.cursors.SSCursor,
    ) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT * FROM {table}")
        while batch := cursor.fetchmany(20_000):
            rows += len(batch)
    yield rows


def sink(folder: str, source: str) -> Iterator[int]:
    """polars, from CSV to Parquet in a stream."""
    import polars as pl

    yield 0
    target = Path(folder) / "bare.parquet"
    pl.scan_csv(source).sink_parquet(target)
    rows: int = pl.scan_parquet(target).select(pl.len()).collect().item()
    yield rows


WORKS: dict[str, Callable[..., Iterator[int]]] = {
    "snapshot": snapshot,
    "again": again,
    "adbc": adbc,
    "pymysql": pymysql,
    "sink": sink,
}


def main(arguments: Sequence[str]) -> None:
    work = WORKS[arguments[0]](*arguments[1:])
    next(work)
    begin, begin_of_processor = time.perf_counter(), time.process_time()
    rows = next(work)
    seconds = time.perf_counter() - begin
    processor = time.process_time() - begin_of_processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "processor": processor, "peak_mb": peak, "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
