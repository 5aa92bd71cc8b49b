"""An HTTP API of 100,000 rows in 100 pages: a reading into a snapshot beside a bare loop over httpx.

python benchmarks/ingestion/http_api.py [--rows 100000] [--pages 100] [--repeats 7]

The server is another process on this machine and answers from memory. The bare loop asks for every page and parses it;
it makes no table. The best of the repeats counts. Bar: at most twice its time.
"""

from __future__ import annotations

import argparse
import http.server
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson

from rowsmith.ingestion.keeping.folder import FolderStore
from rowsmith.ingestion.snapshot import SnapshotStore
from rowsmith.ingestion.sources import read_batches
from rowsmith.recipe_data import DataSection

BAR = 2.0


def serve(rows: int, pages: int, ready: Connection) -> None:
    size = rows // pages
    bodies = [
        orjson.dumps({"rows": [_row(number) for number in range(page * size, (page + 1) * size)]})
        for page in range(pages)
    ]
    empty = orjson.dumps({"rows": []})

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            page = int(parse_qs(urlsplit(self.path).query)["page"][0])
            body = bodies[page - 1] if page <= pages else empty
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the terminal."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ready.send(server.server_port)
    server.serve_forever()


def _row(number: int) -> dict[str, object]:
    return {
        "id": number,
        "amount": number * 0.25,
        "name": f"customer {number}",
        "city": ("Lyon", "Oslo", "Turin")[number % 3],
        "active": number % 7 > 0,
        "joined": f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
        "score": number % 101,
        "note": None,
    }


def bare(url: str) -> int:
    rows = page = 0
    with httpx.Client() as client:
        while True:
            page += 1
            found = orjson.loads(client.get(url, params={"page": page}).content)["rows"]
            if not found:
                return rows
            rows += len(found)


def reading(url: str) -> int:
    reading = read_batches(url, DataSection.model_validate({"http": {"paging": "page"}}))
    return sum(batch.height for batch in reading.batches)


def snapshot(url: str) -> int:
    read = read_batches(url, DataSection.model_validate({"http": {"paging": "page"}}))
    with tempfile.TemporaryDirectory() as folder:
        return SnapshotStore(FolderStore(Path(folder))).add(read.batches, source=url).rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--pages", type=int, default=100)
    options.add_argument("--repeats", type=int, default=7)
    chosen = options.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(chosen.rows, chosen.pages, there), daemon=True
    )
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/rows"
    try:
        seconds: dict[str, list[float]] = {}
        for _ in range(chosen.repeats):
            for name, work in (
                ("bare httpx loop", bare),
                ("read as batches", reading),
                ("read into a snapshot", snapshot),
            ):
                begin = time.perf_counter()
                assert work(url) == chosen.rows
                seconds.setdefault(name, []).append(time.perf_counter() - begin)
    finally:
        server.terminate()
    base = min(seconds["bare httpx loop"])
    for name, taken in seconds.items():
        best = min(taken)
        print(f"{name:22} {best:7.2f} s   {best / base:5.2f} x   (bar {BAR} x)")


if __name__ == "__main__":
    main()
