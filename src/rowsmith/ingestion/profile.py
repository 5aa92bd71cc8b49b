"""Profile: what the columns of a snapshot hold, as plain data; and how far two snapshots are apart."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import polars as pl

from rowsmith.conform.plain import type_name
from rowsmith.ingestion.hashes import Hashes, Sketch, apart, hashes_of
from rowsmith.ingestion.schema_change import compare
from rowsmith.ingestion.snapshot import Snapshot, SnapshotStore
from rowsmith.ingestion.table import Holding, Table
from rowsmith.types import JsonObject

DECILES = tuple(tenth / 10 for tenth in range(1, 10))
# The values of columns with more levels are not told: they may be names of people.
MAX_LEVELS = 20
SMOOTHING = 0.5


def profile(store: SnapshotStore, snapshot: Snapshot) -> list[JsonObject]:
    """For each column its name, type, missing values, distinct values and distribution, gathered in batches.

    Numbers and dates have low, high, mean, deviation and deciles; columns of few levels have those with their counts.
    Where the table is larger than what is held, deciles are those of a sample (`sampled_rows`), and more distinct
    values than a sketch holds are an estimate (`distinct_is_about`). Raises StorageError for a part that is missing or
    was changed.
    """
    columns = {name: _Column(name, Sketch(len(snapshot.columns))) for name in snapshot.columns}
    holding = Holding(seed=0)
    for start, batch in Table.of_snapshot(store, snapshot).batches():
        holding.see(start, batch)
        for name, column in columns.items():
            column.see(batch[name])
    held = holding.held()
    return [column.document(held.frame[name], is_sample=not held.is_whole) for name, column in columns.items()]


class _Column:
    """Adds up what there is to tell of one column."""

    def __init__(self, name: str, sketch: Sketch) -> None:
        self._name = name
        self._missing = self._rows = 0
        self._mean = self._squares = 0.0
        self._low: Any = None
        self._high: Any = None
        self._levels: dict[Any, int] | None = {}
        self._sketch = sketch

    def see(self, series: pl.Series) -> None:
        present = series.drop_nulls()
        self._missing += len(series) - len(present)
        self._sketch.add(hashes_of(present.to_frame()))
        if not len(present):
            return
        self._see_levels(present)
        if _is_ordered(present.dtype):
            low, high = present.min(), present.max()
            self._low = low if self._low is None else min(self._low, low)
            self._high = high if self._high is None else max(self._high, high)
        if present.dtype.is_numeric():
            self._see_moments(present)
        self._rows += len(present)

    def document(self, held: pl.Series, *, is_sample: bool) -> JsonObject:
        document: JsonObject = {
            "name": self._name,
            "type": type_name(held.dtype),
            "missing": self._missing,
            "distinct": self._sketch.different,
        }
        if not self._sketch.is_exact:
            document["distinct_is_about"] = True
        if self._levels:
            # Ties come in any order, and a document is the same every time.
            levels = sorted(self._levels.items(), key=lambda pair: (-pair[1], str(pair[0])))
            document["levels"] = [[_plain(value), count] for value, count in levels]
        if not _is_ordered(held.dtype) or not self._rows:
            return document
        document |= {"low": _plain(self._low), "high": _plain(self._high)}
        ordered = held.drop_nulls().sort()
        document["deciles"] = [_plain(ordered[round(share * (len(ordered) - 1))]) for share in DECILES if len(ordered)]
        if is_sample:
            document["sampled_rows"] = len(held)
        if held.dtype.is_numeric():
            deviation = math.sqrt(self._squares / (self._rows - 1)) if self._rows > 1 else None
            document |= {"mean": _plain(self._mean), "deviation": _plain(deviation)}
        return document

    def _see_levels(self, present: pl.Series) -> None:
        if self._levels is None:
            return
        if present.n_unique() > MAX_LEVELS:
            self._levels = None
            return
        for value, count in present.rename("value").value_counts(name="rows").iter_rows():
            self._levels[value] = self._levels.get(value, 0) + count
        if len(self._levels) > MAX_LEVELS:
            self._levels = None

    def _see_moments(self, present: pl.Series) -> None:
        """Of two sets of rows as of one (Chan, Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115)."""
        numbers = present.cast(pl.Float64)
        rows, mean = len(numbers), float(numbers.mean())  # type: ignore[arg-type]
        gap, every = mean - self._mean, self._rows + rows
        self._squares += float(((numbers - mean) ** 2).sum()) + gap**2 * self._rows * rows / every
        self._mean += gap * rows / every


def _is_ordered(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype.is_temporal()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat()


def difference(store: SnapshotStore, before: Snapshot, after: Snapshot) -> JsonObject:
    """Of schema, counts and distributions. `rows` counts rows that only one of them holds, by the columns of both.

    Missing values, means and rows are counted in all rows, `stability` in the rows that are held of each.
    """
    change = compare(store.types(before), store.types(after))
    common = [name for name in before.columns if name in after.columns and name not in change.changed]
    shared = {part.sha256 for part in before.parts} & {part.sha256 for part in after.parts}
    was, now = (_Side(Table.of_snapshot(store, snapshot), common) for snapshot in (before, after))
    gone, come = apart(was.hashes, now.hashes) if common else (0, 0)
    return {
        "before": before.id,
        "after": after.id,
        "schema": change.to_dict(),
        "rows": {"before": before.rows, "after": after.rows, "gone": gone, "come": come},
        "bytes_shared": sum(part.bytes for part in after.parts if part.sha256 in shared),
        "columns": [_apart(name, was, now) for name in common],
    }


class _Side:
    """Through one of two snapshots: a hash of each row, missing values and sums of columns, and some rows."""

    def __init__(self, table: Table, columns: list[str]) -> None:
        self.rows = table.rows
        self.hashes = Hashes()
        self.missing = dict.fromkeys(columns, 0)
        self.sums = dict.fromkeys(columns, 0.0)
        holding = Holding(seed=0)
        for start, batch in table.batches():
            some = batch.select(columns)
            holding.see(start, some)
            self.hashes.add(hashes_of(some))
            for series in some:
                self.missing[series.name] += series.null_count()
                if series.dtype.is_numeric():
                    self.sums[series.name] += float(series.cast(pl.Float64).sum())
        self.held = holding.held()

    def mean(self, name: str) -> float | None:
        present = self.rows - self.missing[name]
        return self.sums[name] / present if present else None


def _apart(name: str, before: _Side, after: _Side) -> JsonObject:
    old, new = before.held.frame[name], after.held.frame[name]
    document: JsonObject = {
        "name": name,
        "missing": [side.missing[name] / max(side.rows, 1) for side in (before, after)],
        "stability": _stability(old.drop_nulls(), new.drop_nulls()),
    }
    if not (before.held.is_whole and after.held.is_whole):
        document["sampled_rows"] = [len(old), len(new)]
    if old.dtype.is_numeric():
        document["mean"] = [_plain(side.mean(name)) for side in (before, after)]
    return document


def _stability(before: pl.Series, after: pl.Series) -> float | None:
    """Population stability index over the deciles, or the frequent levels, of the values before; 0 for equal ones."""
    if before.is_empty() or after.is_empty():
        return None
    if _is_ordered(before.dtype):
        edges = pl.Series([before.quantile(share, "nearest") for share in DECILES]).unique().sort()
        groups = [Counter(edges.search_sorted(values, side="left").to_list()) for values in (before, after)]
    else:
        frequent = before.rename("level").value_counts(sort=True)["level"].head(MAX_LEVELS).implode()
        groups = [
            Counter(values.to_frame("v").select(pl.when(pl.col("v").is_in(frequent)).then(pl.col("v")))["v"].to_list())
            for values in (before, after)
        ]
    places = groups[0].keys() | groups[1].keys()
    shares = [
        {place: (group[place] + SMOOTHING) / (group.total() + SMOOTHING * len(places)) for place in places}
        for group in groups
    ]
    return sum(
        (shares[1][place] - shares[0][place]) * math.log(shares[1][place] / shares[0][place]) for place in places
    )
