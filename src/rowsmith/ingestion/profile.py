"""Profile: what the columns of a snapshot hold, as plain data; and how far two snapshots are apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import polars as pl

from rowsmith.conform.plain import type_name
from rowsmith.ingestion.schema_change import compare
from rowsmith.ingestion.snapshot import Snapshot, SnapshotStore
from rowsmith.types import JsonObject

DECILES = tuple(tenth / 10 for tenth in range(1, 10))
# The values of columns with more levels are not told: they may be names of people.
MAX_LEVELS = 20
SMOOTHING = 0.5


def profile(store: SnapshotStore, snapshot: Snapshot) -> list[JsonObject]:
    """For each column its name, type, missing values, distinct values and distribution; one column is in memory.

    Numbers and dates have low, high, mean, deviation and deciles; columns of few levels have those with their counts.
    Raises StorageError for a part that is missing or was changed.
    """
    rows = store.scan(snapshot)
    return [_column(rows.select(name).collect().to_series()) for name in snapshot.columns]


def _column(series: pl.Series) -> JsonObject:
    present = series.drop_nulls()
    distinct = present.n_unique()
    document: JsonObject = {
        "name": series.name,
        "type": type_name(series.dtype),
        "missing": series.null_count(),
        "distinct": distinct,
    }
    if 0 < distinct <= MAX_LEVELS:
        counts = present.value_counts(sort=True)
        # Ties come in any order, and a document is the same every time.
        levels = sorted(counts.iter_rows(), key=lambda pair: (-pair[1], str(pair[0])))
        document["levels"] = [[_plain(value), count] for value, count in levels]
    if _is_ordered(series.dtype) and len(present):
        numbers = present.dtype.is_numeric()
        document |= {"low": _plain(present.min()), "high": _plain(present.max())}
        ordered = present.sort()
        document["deciles"] = [_plain(ordered[round(share * (len(ordered) - 1))]) for share in DECILES]
        if numbers:
            document |= {"mean": _plain(present.mean()), "deviation": _plain(present.std())}
    return document


def _is_ordered(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype.is_temporal()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat()


def difference(store: SnapshotStore, before: Snapshot, after: Snapshot) -> JsonObject:
    """Of schema, counts and distributions. `rows` counts rows that only one of them holds, by the columns of both."""
    old, new = store.scan(before), store.scan(after)
    change = compare(old.collect_schema(), new.collect_schema())
    common = [name for name in before.columns if name in after.columns and name not in change.changed]
    shared = {part.sha256 for part in before.parts} & {part.sha256 for part in after.parts}
    return {
        "before": before.id,
        "after": after.id,
        "schema": change.to_dict(),
        "rows": {"before": before.rows, "after": after.rows, **_rows_apart(store, before, after, common)},
        "bytes_shared": sum(part.bytes for part in after.parts if part.sha256 in shared),
        "columns": [
            _apart(old.select(name).collect().to_series(), new.select(name).collect().to_series()) for name in common
        ],
    }


def _rows_apart(store: SnapshotStore, before: Snapshot, after: Snapshot, columns: list[str]) -> JsonObject:
    counts = [_hashes(store.batches(snapshot), columns) for snapshot in (before, after)]
    joined = counts[0].join(counts[1], on="hash", how="full", coalesce=True, suffix="_after").fill_null(0)
    gap = pl.col("count").cast(pl.Int64) - pl.col("count_after").cast(pl.Int64)
    gone, come = joined.select(gap.clip(lower_bound=0).sum().alias("a"), (-gap).clip(lower_bound=0).sum()).row(0)
    return {"gone": gone, "come": come}


def _hashes(batches: Iterable[pl.DataFrame], columns: list[str]) -> pl.DataFrame:
    """How often each row is there, by its hash: eight bytes of memory a row."""
    hashes = [batch.select(columns).hash_rows(seed=0) for batch in batches] if columns else []
    found = pl.concat(hashes) if hashes else pl.Series(dtype=pl.UInt64)
    return found.alias("hash").to_frame().group_by("hash").agg(pl.len().alias("count"))


def _apart(before: pl.Series, after: pl.Series) -> JsonObject:
    document: JsonObject = {
        "name": before.name,
        "missing": [before.null_count() / max(len(before), 1), after.null_count() / max(len(after), 1)],
        "stability": _stability(before.drop_nulls(), after.drop_nulls()),
    }
    if before.dtype.is_numeric():
        document["mean"] = [_plain(before.mean()), _plain(after.mean())]
    return document


def _stability(before: pl.Series, after: pl.Series) -> float | None:
    """Population stability index over the deciles, or the frequent levels, of the values before; 0 for equal ones."""
    if before.is_empty() or after.is_empty():
        return None
    if _is_ordered(before.dtype):
        edges = pl.Series([before.quantile(share, "nearest") for share in DECILES]).unique().sort()
        groups = [Counter(edges.search_sorted(values, side="left").to_list()) for values in (before, after)]
    else:
        frequent = before.value_counts(sort=True)[before.name].head(MAX_LEVELS).implode()
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
