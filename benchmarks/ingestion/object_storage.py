"""Parquet files in an S3 server: a reading into a snapshot beside polars reading them by itself.

python benchmarks/ingestion/object_storage.py [--files 100] [--megabytes 20]

The server is moto, a program in Python on this machine, which is most of what is measured on both sides; two gigabytes
take a while. Polars reads through its streaming engine and keeps nothing. Bar: at most 1.3 times its time.
"""

from __future__ import annotations

import argparse
import io
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import obstore
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.s3 import KEYS, S3Server

from rowsmith.ingestion.keeping.folder import FolderStore
from rowsmith.ingestion.snapshot import SnapshotStore
from rowsmith.ingestion.sources import Context, Secrets, read_batches
from rowsmith.recipe_data import DataSection

BAR = 1.3
COLUMNS = 10


def parquet(megabytes: int, seed: int) -> tuple[bytes, int]:
    random = np.random.default_rng(seed)
    rows = megabytes * 1_000_000 // (8 * COLUMNS)
    frame = pl.DataFrame({f"x{i}": random.normal(size=rows) for i in range(COLUMNS)})
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue(), rows


def by_polars(server: S3Server) -> int:
    options = {
        "aws_endpoint_url": server.url,
        "aws_access_key_id": KEYS["access_key_id"],
        "aws_secret_access_key": KEYS["secret_access_key"],
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
    }
    frame = pl.scan_parquet("s3://rows/*.parquet", storage_options=options)
    return sum(batch.height for batch in frame.collect_batches())


def source(server: S3Server, *, may_guess: bool) -> object:
    storage = {
        "endpoint": server.url,
        "region": "us-east-1",
        "key_id": KEYS["access_key_id"],
        "secret_key": "${SECRET}",
    }
    context = Context(Secrets({"SECRET": KEYS["secret_access_key"]}), internal=("127.0.0.1",), may_guess=may_guess)
    return read_batches("s3://rows/*.parquet", DataSection.model_validate({"storage": storage}), context)


def as_batches(server: S3Server) -> int:
    return sum(batch.height for batch in source(server, may_guess=False).batches)  # type: ignore[attr-defined]


def snapshot(server: S3Server) -> int:
    reading = source(server, may_guess=True)
    with tempfile.TemporaryDirectory() as folder:
        store = SnapshotStore(FolderStore(Path(folder)))
        return store.add(reading.batches, source=reading.description, original_of=reading.original_of).rows  # type: ignore[attr-defined]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, default=100)
    options.add_argument("--megabytes", type=int, default=20)
    chosen = options.parse_args()
    content, rows = parquet(chosen.megabytes, 0)
    with S3Server() as server:
        bucket = server.bucket("rows")
        for number in range(chosen.files):
            obstore.put(bucket, f"part-{number:03d}.parquet", content)
        base = 0.0
        for name, work in (("polars", by_polars), ("read as batches", as_batches), ("read into a snapshot", snapshot)):
            begin = time.perf_counter()
            assert work(server) == rows * chosen.files
            seconds = time.perf_counter() - begin
            base = base or seconds
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{name:22} {seconds:7.2f} s   {seconds / base:5.2f} x   peak {peak:6,.0f} MB   (bar {BAR} x)")


if __name__ == "__main__":
    main()
