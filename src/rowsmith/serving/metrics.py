"""Counters that add up over all server processes, and their OpenMetrics text.

Each process counts in a memory-mapped file of its own in a shared folder; whoever is asked sums them all. The file of
a process that died stays, so a counter never goes back.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

SEPARATOR = "\x1f"
HEADER = struct.Struct("<q")
LENGTH = struct.Struct("<q")
VALUE = struct.Struct("<d")
FIRST_BYTES = 1 << 16
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, math.inf)
STALE_SECONDS = 10.0
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

Key = tuple[str, ...]
GAP = "log_gap"
"""The counter of predictions that were given and could not be kept."""


class Meter:
    """Adds to named counters. Without a folder the counts are those of this process alone."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._places: dict[Key, int] = {}
        self._end = HEADER.size
        if folder is None:
            self._map = mmap.mmap(-1, FIRST_BYTES)
        else:
            path = folder / f"{os.getpid()}-{id(self)}.count"
            with path.open("w+b") as file:
                file.truncate(FIRST_BYTES)
                self._map = mmap.mmap(file.fileno(), FIRST_BYTES)
        self._values = memoryview(self._map).cast("d")
        HEADER.pack_into(self._map, 0, self._end)

    def add(self, key: Key, amount: float = 1.0) -> None:
        with self._lock:
            self._add(key, amount)

    def _add(self, key: Key, amount: float) -> None:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._new(key)
        self._values[place] += amount

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """One answered request."""
        with self._lock:
            self._add(("requests", method, route, str(status)), 1.0)
            self._add(("seconds_sum", route), seconds)
            self._add(("bucket", route, str(bisect_left(BUCKETS, seconds))), 1.0)

    def put(self, key: Key, value: float) -> None:
        """Set a value that goes up and down."""
        self.add(key, 0.0)
        with self._lock:
            self._values[self._places[key]] = value

    def report_lag(self, seconds: float) -> None:
        """The lag of this process's part of the prediction log."""
        process = str(os.getpid())
        self.put(("log_lag", process), seconds)
        self.put(("log_lag_at", process), time.time())

    def totals(self) -> dict[Key, float]:
        """The sums over all processes."""
        if self._folder is None:
            with self._lock:
                return dict(_read(self._map))
        totals: dict[Key, float] = defaultdict(float)
        for path in sorted(self._folder.glob("*.count")):
            for key, value in _read(path.read_bytes()):
                totals[key] += value
        return dict(totals)

    def _new(self, key: Key) -> int:
        """Room for one more counter, and which of the file's numbers it is. The end is written last, so a reader never
        sees half an entry."""
        name = SEPARATOR.join(part.replace(SEPARATOR, " ") for part in key).encode()
        start = self._end + LENGTH.size
        value = start + _padded(len(name))
        if value + VALUE.size > len(self._map):
            self._grow(value + VALUE.size)
        LENGTH.pack_into(self._map, self._end, len(name))
        self._map[start : start + len(name)] = name
        self._end = value + VALUE.size
        HEADER.pack_into(self._map, 0, self._end)
        return value // VALUE.size

    def _grow(self, size: int) -> None:
        self._values.release()
        try:
            while size > len(self._map):
                self._map.resize(2 * len(self._map))
        finally:
            self._values = memoryview(self._map).cast("d")


def _padded(length: int) -> int:
    """Values lie on multiples of 8, so that no reader sees half of one."""
    return length + -length % VALUE.size


def _read(data: bytes | mmap.mmap) -> Iterator[tuple[Key, float]]:
    end, position = HEADER.unpack_from(data, 0)[0], HEADER.size
    while position < end:
        start = position + LENGTH.size
        length = LENGTH.unpack_from(data, position)[0]
        value = start + _padded(length)
        yield tuple(data[start : start + length].decode().split(SEPARATOR)), VALUE.unpack_from(data, value)[0]
        position = value + VALUE.size


def render(totals: Mapping[Key, float], *, info: Mapping[str, str] | None, ready: bool, openmetrics: bool) -> str:
    """The text exposition. `info` names the model that answers (None while there is none)."""
    kinds: dict[str, list[tuple[Key, float]]] = defaultdict(list)
    for key, value in sorted(totals.items()):
        kinds[key[0]].append((key[1:], value))
    lines = [
        *_head("rowsmith_ready", "gauge", "Whether there is a model to answer.", openmetrics),
        f"rowsmith_ready {int(ready)}",
    ]
    if info is not None:
        lines += _head("rowsmith_model", "info", "The model that answers.", openmetrics)
        lines.append(f"rowsmith_model_info{_labels(info)} 1")
    lines += _head("rowsmith_requests", "counter", "Answered requests.", openmetrics)
    for (method, route, status), value in kinds["requests"]:
        lines.append(
            f"rowsmith_requests_total{_labels({'method': method, 'route': route, 'status': status})} {_number(value)}"
        )
    lines += _head("rowsmith_predictions", "counter", "Predictions given, by class.", openmetrics)
    for (model, version, answer), value in kinds["predictions"]:
        labels = {"model": model, "version": version} | ({"class": answer} if answer else {})
        lines.append(f"rowsmith_predictions_total{_labels(labels)} {_number(value)}")
    lines += _head("rowsmith_shadow_rows", "counter", "Rows that a shadow answered, failed at or missed.", openmetrics)
    for (model, version, result), value in kinds["shadow"]:
        labels = {"model": model, "version": version, "result": result}
        lines.append(f"rowsmith_shadow_rows_total{_labels(labels)} {_number(value)}")
    lines += _head("rowsmith_log_lag_seconds", "gauge", "Age of the oldest entry not in the database yet.", openmetrics)
    lines.append(f"rowsmith_log_lag_seconds {_log_lag(kinds)!r}")
    lines += _head("rowsmith_log_gap", "counter", "Predictions that were given and could not be kept.", openmetrics)
    lines.append(f"rowsmith_log_gap_total {_number(totals.get((GAP,), 0.0))}")
    lines += _head("rowsmith_request_duration_seconds", "histogram", "Time from a request to its answer.", openmetrics)
    lines += _histogram(kinds)
    return "\n".join([*lines, "# EOF", ""]) if openmetrics else "\n".join([*lines, ""])


def _log_lag(kinds: Mapping[str, list[tuple[Key, float]]]) -> float:
    """The largest of the processes that still report one."""
    told = {process: at for (process,), at in kinds["log_lag_at"]}
    now = time.time()
    return max((lag for (process,), lag in kinds["log_lag"] if now - told[process] < STALE_SECONDS), default=0.0)


def _histogram(kinds: Mapping[str, list[tuple[Key, float]]]) -> Iterator[str]:
    name = "rowsmith_request_duration_seconds"
    counts: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(BUCKETS))
    for (route, bucket), value in kinds["bucket"]:
        counts[route][int(bucket)] = value
    sums = {key[0]: value for key, value in kinds["seconds_sum"]}
    for route, values in counts.items():
        running = 0.0
        for bound, value in zip(BUCKETS, values, strict=True):
            running += value
            le = "+Inf" if math.isinf(bound) else f"{bound:g}"
            yield f"{name}_bucket{_labels({'route': route, 'le': le})} {_number(running)}"
        # The count is the last bucket, not a counter of its own: a scrape between two additions stays consistent.
        yield f"{name}_count{_labels({'route': route})} {_number(running)}"
        yield f"{name}_sum{_labels({'route': route})} {sums.get(route, 0.0)!r}"


def _head(name: str, kind: str, text: str, openmetrics: bool) -> list[str]:
    """OpenMetrics names the family; the older text format names the sample and does not know `info`."""
    if not openmetrics:
        name += {"counter": "_total", "info": "_info"}.get(kind, "")
        kind = "gauge" if kind == "info" else kind
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _labels(labels: Mapping[str, str]) -> str:
    escaped = {
        name: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
