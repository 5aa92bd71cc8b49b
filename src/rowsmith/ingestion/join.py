"""Join: one training table out of several snapshots, by a query, with a guard that no row of the base comes twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.hashes import Hashes, hashes_of
from rowsmith.ingestion.snapshot import Snapshot, SnapshotStore
from rowsmith.ingestion.sources.databases.question import TOKEN

# A column of the base that only the guard knows; the query's own columns come after it.
ROW = "rowsmith_row_of_base"
STRETCH_ROWS = 1 << 19
"""Of the base; so many are sorted at a time."""
ROWS_OF_GROUP = 1 << 16
DIGITS = 12
WITHOUT_BASE = "without"
FILES = re.compile(r"\bread_\w+\s*\(", re.IGNORECASE)
# Whose rows are no longer those of the base.
GROUPING = re.compile(r"\b(GROUP\s+BY|DISTINCT|UNION|INTERSECT|EXCEPT)\b", re.IGNORECASE)
FIRST_SELECT = re.compile(r"\A\s*SELECT\b", re.IGNORECASE)


@dataclass(frozen=True)
class Joined:
    """The result in files of `folder`, one for each stretch of the base; None in `lost` where nobody knows which row of
    the base a row comes from, else how many rows of the base are not among these."""

    folder: Path
    rows: int
    lost: int | None

    def batches(self) -> Iterator[pl.DataFrame]:
        """The rows in the order of the base, and those that it has no part in at the end; rows that cannot be traced in
        the order of their values."""
        for path in _files(self.folder):
            rows = pl.read_parquet(path)
            yield rows.sort(sorted(rows.columns, key=lambda name: name != ROW), nulls_last=True).drop(ROW, strict=False)


def join(
    store: SnapshotStore,
    tables: Mapping[str, Snapshot],
    query: str,
    *,
    base: str,
    folder: Path,
    may_multiply: bool = False,
) -> Joined:
    """Run a query of polars SQL over snapshots, of which `base` is one, into files in an empty `folder`.

    The engine streams; in memory are the smaller side of a join, one stretch of the base, and the whole result of a
    query whose rows cannot be traced. Raises RecipeError for a query that cannot be run, SourceError for a join that
    makes several rows out of one of the base, with the table that does it; StorageError.
    """
    _require_no_files(query)
    frames = {name: store.scan(snapshot) for name, snapshot in tables.items()}
    frames[base] = frames[base].with_row_index(ROW)
    is_tracked = _run(query, frames, folder)
    rows = distinct = known = 0
    for path in _files(folder):
        found = pl.scan_parquet(path)
        rows += int(found.select(pl.len()).collect().item())
        if is_tracked:
            # A row that the base has no part in (of a full or right join) counts for itself.
            numbers = found.select(pl.col(ROW)).collect()[ROW].drop_nulls()
            known += len(numbers)
            distinct += numbers.n_unique()
    before, after = (distinct, known) if is_tracked else (tables[base].rows, rows)
    if after > before and not may_multiply:
        raise _multiplied(store, tables, base, after, before)
    return Joined(folder, rows, tables[base].rows - distinct if is_tracked else None)


def _files(folder: Path) -> list[Path]:
    """In the order of the base; the rows that it has no part in come last."""
    return sorted(folder.glob("*.parquet"))


def _run(query: str, frames: Mapping[str, pl.LazyFrame], folder: Path) -> bool:
    """Write the result; whether it tells of each of its rows which row of the base it is."""
    with_row = FIRST_SELECT.sub(f"SELECT {ROW}, ", query)
    groups = GROUPING.search(_bare(query)) is not None
    try:
        context = pl.SQLContext(frames=dict(frames))
        plain = context.execute(query, eager=False)
        if ROW in plain.collect_schema():
            if groups:
                raise RecipeError(
                    "a join that groups names its columns, for * has a number of every row in it",
                    where="join.query",
                    next_step="write the columns instead of *",
                )
            _write(plain, folder)
            return True
        if with_row == query or groups:
            plain.sink_parquet(folder / "all.parquet", engine="streaming")
            return False
        _write(context.execute(with_row, eager=False), folder)
        return True
    except pl.exceptions.PolarsError as problem:
        raise RecipeError(
            f"the query of the join cannot be run: {str(problem).splitlines()[0]}",
            where="join.query",
            allowed=f"polars SQL over {', '.join(frames)}",
            next_step="mend the query",
        ) from problem


def _write(result: pl.LazyFrame, folder: Path) -> None:
    """Rows come in any order, and each goes to the file of its stretch of the base."""
    stretch = (pl.col(ROW) // STRETCH_ROWS).cast(pl.String).str.zfill(DIGITS).fill_null(WITHOUT_BASE)
    parts = pl.PartitionBy(
        folder, key={"stretch": stretch}, include_key=False, file_path_provider=_place, approximate_bytes_per_file=None
    )
    result.sink_parquet(parts, engine="streaming", row_group_size=ROWS_OF_GROUP)


def _place(file: Any) -> str:
    return f"{file.partition_keys.item(0, 0)}-{file.index_in_partition}.parquet"


def _bare(query: str) -> str:
    """The query without texts, quoted names and comments."""
    return TOKEN.sub(" ", query)


def _require_no_files(query: str) -> None:
    if FILES.search(_bare(query)):
        raise RecipeError(
            "a join reads its sources, and no files of its own",
            where="join.query",
            next_step="name the file under [join.sources], and its name in the query",
        )


def _multiplied(
    store: SnapshotStore, tables: Mapping[str, Snapshot], base: str, rows: int, distinct: int
) -> SourceError:
    doubled = {
        name: [column for column in snapshot.columns if _comes_twice(store, snapshot, column)]
        for name, snapshot in tables.items()
        if name != base
    }
    told = "; ".join(f"{name}: {', '.join(columns)}" for name, columns in doubled.items() if columns)
    return SourceError(
        f'the join multiplies rows: {distinct:,} rows of "{base}" become {rows:,}',
        where="join.query",
        received=f"columns that hold a value more than once: {told}" if told else f"{rows:,} rows",
        next_step="join by columns that are unique in the other table, or group it first; may_multiply = true under "
        "[join] takes the rows as they come",
    )


def _comes_twice(store: SnapshotStore, snapshot: Snapshot, column: str) -> bool:
    """Whether a column that looks like a key, with a value in every row, is none; others are not worth naming."""
    values = Hashes()
    for batch in store.batches(snapshot):
        if batch[column].null_count():
            return False
        values.add(hashes_of(batch.select(column)))
    return 0 < values.repeats <= values.total - values.total // 2
