"""How fast and how small a server is, by wrk on loopback: the bars of serving, and beside them a bare echo and peers.

    python benchmarks/serving [--data TABLE.parquet --target COLUMN] [--champion PROJECT | --seconds 60]
        [--repeats 5] [--length 5] [--mlflow-python PYTHON] [--bentoml-python PYTHON] [--no-champion]

Two models are asked: one plain LightGBM of 300 trees with 63 leaves, and the champion of a project (one that exists,
or one that is trained here for so many seconds). Without a table: scikit-learn's data on breast cancer. Every figure is
the median of the repeats; what is divided by another was measured in turns with it. Predictions are logged, durably.
Needs wrk (a Debian package). A Python of a peer needs lightgbm beside mlflow or bentoml.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl
from load import Load, apply
from plain_model import make_plain
from results import Row, show
from tables import ROWS_AT_ONCE, Bodies, bodies_of, table_of

from servers import Running, free_port, rowsmith, running

HERE = Path(__file__).parent
JSON = {"Content-Type": "application/json"}
ARROW_TYPE = "application/vnd.apache.arrow.stream"
ARROW = {"Content-Type": ARROW_TYPE, "Accept": ARROW_TYPE}
PREDICT = "/api/v1/predict"


class Bench:
    def __init__(self, repeats: int, length: float) -> None:
        self._repeats = repeats
        self._length = length
        self.failed = 0

    def in_turns(self, *asks: Callable[[float], Load]) -> list[list[Load]]:
        """Each load of each repeat; a short one of each comes first, to warm the servers up."""
        for ask in asks:
            ask(min(self._length, 1.0))
        loads = [[ask(self._length) for ask in asks] for _ in range(self._repeats)]
        self.failed += sum(load.failed for turn in loads for load in turn)
        return [list(column) for column in zip(*loads, strict=True)]


def median(loads: Sequence[Load], figure: str) -> float:
    return float(statistics.median(getattr(load, figure) for load in loads))


def asker(server: Running, path: str, bodies: list[bytes], connections: int, headers: dict[str, str]) -> Any:
    def ask(seconds: float) -> Load:
        return apply(server.address, path, bodies, connections=connections, seconds=seconds, headers=headers)

    return ask


def measure_plain(bench: Bench, server: Running, echo: Running, bodies: Bodies) -> Iterator[Row]:
    one, bare = bench.in_turns(asker(server, PREDICT, bodies.one, 1, JSON), asker(echo, "/echo", bodies.one, 1, JSON))
    ratio = statistics.median(a.p50 / b.p50 for a, b in zip(one, bare, strict=True))
    yield Row("plain, one row, 1 connection: p50 ms", f"{median(one, 'p50'):.3f}", "<= 0.4", median(one, "p50") <= 0.4)
    yield Row("bare Flask on granian, echo: p50 ms", f"{median(bare, 'p50'):.3f}")
    yield Row("plain / echo", f"{ratio:.2f}", "<= 2.5", ratio <= 2.5)
    many, arrow = bench.in_turns(
        asker(server, PREDICT, bodies.many, 4, JSON), asker(server, PREDICT, bodies.arrow, 4, ARROW)
    )
    for what, loads, bar in (("JSON", many, 100_000), ("Arrow", arrow, 250_000)):
        rate = ROWS_AT_ONCE * median(loads, "rate")
        yield Row(f"plain, 1,000 rows a request as {what}: rows/s", f"{rate:,.0f}", f">= {bar:,}", rate >= bar)
    (explained,) = bench.in_turns(asker(server, f"{PREDICT}?explain=true", bodies.one, 1, JSON))
    p50 = median(explained, "p50")
    yield Row("plain, with an explanation: p50 ms", f"{p50:.2f}", "<= 5", p50 <= 5)


def measure_many(bench: Bench, server: Running, peers: dict[str, Any], bodies: Bodies) -> Iterator[Row]:
    """16 connections, in turns with the peers."""
    ours, *others = bench.in_turns(asker(server, PREDICT, bodies.one, 16, JSON), *peers.values())
    rate, p99 = median(ours, "rate"), median(ours, "p99")
    yield Row("plain, one row, 16 connections: requests/s", f"{rate:,.0f}", ">= 5,000", rate >= 5000)
    yield Row("plain, one row, 16 connections: p99 ms", f"{p99:.2f}", "<= 10", p99 <= 10)
    for name, loads in zip(peers, others, strict=True):
        bar = {"MLflow": 8.0, "BentoML": 3.0}[name]
        ratio = statistics.median(a.rate / b.rate for a, b in zip(ours, loads, strict=True))
        yield Row(f"{name}, the same LightGBM: requests/s", f"{median(loads, 'rate'):,.0f}")
        yield Row(f"plain / {name}", f"{ratio:.1f}", f">= {bar:g}", ratio >= bar)


def measure_champion(bench: Bench, server: Running, bodies: Bodies) -> Iterator[Row]:
    (one,) = bench.in_turns(asker(server, PREDICT, bodies.one, 1, JSON))
    (many,) = bench.in_turns(asker(server, PREDICT, bodies.one, 16, JSON))
    p50, rate = median(one, "p50"), median(many, "rate")
    yield Row("champion, one row, 1 connection: p50 ms", f"{p50:.3f}", "<= 0.6", p50 <= 0.6)
    yield Row("champion, one row, 16 connections: requests/s", f"{rate:,.0f}", ">= 2,000", rate >= 2000)


def measure_size(name: str, starts: list[float], megabytes: float) -> Iterator[Row]:
    seconds = statistics.median(starts)
    yield Row(f"{name}, start to first answer: s", f"{seconds:.2f}", "<= 1.5", seconds <= 1.5)
    yield Row(f"{name}, memory of the largest worker: MB", f"{megabytes:.0f}", "<= 250", megabytes <= 250)


def starts_of(root: Path, body: bytes, repeats: int) -> list[float]:
    seconds = []
    for _ in range(repeats):
        with rowsmith(root, body) as server:
            seconds.append(server.seconds)
    return seconds


def serve_peers(stack: ExitStack, options: argparse.Namespace, table: Path, bodies: Bodies, folder: Path) -> Any:
    """Peers whose Python was named, ready to be asked over 16 connections."""
    peers: dict[str, Any] = {}
    if options.mlflow_python:
        subprocess.run(_pipeline(options.mlflow_python, "mlflow", table, options.target, folder / "mlflow"), check=True)
        port = free_port()
        command = [options.mlflow_python, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--workers", "2"]
        command += ["-m", str(folder / "mlflow"), "-p", str(port), "-h", "127.0.0.1"]
        path = f"{Path(options.mlflow_python).parent}:/usr/bin:/bin"
        server = stack.enter_context(
            running(command, port=port, ready="/ping", folder=folder, environment={"PATH": path, "PYTHONPATH": ""})
        )
        peers["MLflow"] = asker(server, "/invocations", bodies.split, 16, JSON)
    if options.bentoml_python:
        kept = folder / "bento.joblib"
        subprocess.run(_pipeline(options.bentoml_python, "bentoml", table, options.target, kept), check=True)
        shutil.copy(HERE / "peers" / "bento.py", folder / "bento.py")
        port = free_port()
        command = [options.bentoml_python, "-m", "bentoml", "serve", "bento:Scoring", "-p", str(port)]
        environment = {"PIPELINE": str(kept), "PYTHONPATH": "", "BENTOML_DO_NOT_TRACK": "true"}
        server = stack.enter_context(
            running(command, port=port, ready="/livez", folder=folder, environment=environment)
        )
        peers["BentoML"] = asker(server, "/predict", bodies.bento, 16, JSON)
    return peers


def _pipeline(python: str, peer: str, table: Path, target: str, place: Path) -> list[str]:
    return [python, str(HERE / "peers" / "pipeline.py"), peer, str(table), target, str(place)]


def champion_of(options: argparse.Namespace, table: Path, folder: Path) -> Path:
    if options.champion:
        return Path(options.champion).resolve()
    root = folder / "champion"
    root.mkdir()
    command = [sys.executable, "-m", "rowsmith", "run", str(table), "--target", options.target]
    subprocess.run([*command, "--seconds", str(options.seconds), "--json"], cwd=root, check=True, capture_output=True)
    return root


def measure(options: argparse.Namespace, folder: Path) -> tuple[list[Row], int]:
    table = table_of(options, folder)
    bodies = bodies_of(pl.read_parquet(table), options.target)
    plain = folder / "plain"
    plain.mkdir()
    make_plain(plain, table, options.target).database.close()
    bench = Bench(options.repeats, options.length)
    rows: list[Row] = []
    echo_port = free_port()
    echo_command = [sys.executable, str(HERE / "echo.py"), str(echo_port)]
    with (
        rowsmith(plain, bodies.one[0]) as server,
        running(echo_command, port=echo_port, ready="/echo", body=b"{}", folder=folder) as echo,
    ):
        rows += measure_plain(bench, server, echo, bodies)
        megabytes = server.worker_megabytes()
    with ExitStack() as stack, rowsmith(plain, bodies.one[0]) as server:
        rows += measure_many(bench, server, serve_peers(stack, options, table, bodies, folder), bodies)
        megabytes = max(megabytes, server.worker_megabytes())
    rows += measure_size("plain", starts_of(plain, bodies.one[0], options.repeats), megabytes)
    if not options.no_champion:
        root = champion_of(options, table, folder)
        with rowsmith(root, bodies.one[0]) as server:
            rows += measure_champion(bench, server, bodies)
            megabytes = server.worker_megabytes()
        rows += measure_size("champion", starts_of(root, bodies.one[0], options.repeats), megabytes)
    return rows, bench.failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a Parquet file; scikit-learn's data on breast cancer when absent")
    parser.add_argument("--target", help="its column to predict")
    parser.add_argument("--champion", help="the folder of a project whose champion is asked")
    parser.add_argument("--seconds", type=int, default=60, help="training of a champion, where no project is given")
    parser.add_argument("--no-champion", action="store_true", help="the plain model alone")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--length", type=float, default=5.0, help="seconds of each load")
    parser.add_argument("--mlflow-python", help="a Python with mlflow and lightgbm")
    parser.add_argument("--bentoml-python", help="a Python with bentoml, lightgbm, scikit-learn, pandas and pyarrow")
    arguments = parser.parse_args()
    if arguments.data and not arguments.target:
        parser.error("--target names the column to predict")
    if shutil.which("wrk") is None:
        parser.error("wrk is not installed (apt-get install wrk)")
    with tempfile.TemporaryDirectory() as temporary:
        show(*measure(arguments, Path(temporary)))
