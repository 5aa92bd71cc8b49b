"""Join: one training table out of several snapshots, by a query, with a guard that no row of the base comes twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.snapshot import Snapshot, SnapshotStore
from rowsmith.ingestion.sources.databases.question import TOKEN

# A column of the base that only the guard knows; the query's own columns come after it.
ROW = "rowsmith_row_of_base"
BATCH_ROWS = 1 << 17
FILES = re.compile(r"\bread_\w+\s*\(", re.IGNORECASE)
# Whose rows are no longer those of the base.
GROUPING = re.compile(r"\b(GROUP\s+BY|DISTINCT|UNION|INTERSECT|EXCEPT)\b", re.IGNORECASE)
FIRST_SELECT = re.compile(r"\A\s*SELECT\b", re.IGNORECASE)


@dataclass(frozen=True)
class Joined:
    """`rows` in the order of the base. `lost` are rows of the base that are not among them (None: grouped away)."""

    rows: pl.DataFrame
    lost: int | None

    def batches(self) -> Iterator[pl.DataFrame]:
        yield from self.rows.iter_slices(BATCH_ROWS)


def join(
    store: SnapshotStore, tables: Mapping[str, Snapshot], query: str, *, base: str, may_multiply: bool = False
) -> Joined:
    """Run a query of polars SQL over snapshots, of which `base` is one. The result is held in memory.

    Raises RecipeError for a query that cannot be run, SourceError for a join that makes several rows out of one of
    the base, with the table that does it; StorageError.
    """
    _require_no_files(query)
    frames = {name: store.scan(snapshot) for name, snapshot in tables.items()}
    frames[base] = frames[base].with_row_index(ROW)
    rows, is_tracked = _run(query, frames)
    if not is_tracked:
        if rows.height > tables[base].rows and not may_multiply:
            raise _multiplied(store, tables, base, rows.height, tables[base].rows)
        return Joined(rows.sort(rows.columns, nulls_last=True), None)
    # A row that the base has no part in (of a full or right join) counts for itself.
    present = rows[ROW].drop_nulls()
    distinct = present.n_unique()
    if distinct < len(present) and not may_multiply:
        raise _multiplied(store, tables, base, len(present), distinct)
    return Joined(rows.sort(ROW, nulls_last=True, maintain_order=True).drop(ROW), tables[base].rows - distinct)


def _run(query: str, frames: Mapping[str, pl.LazyFrame]) -> tuple[pl.DataFrame, bool]:
    """The result, and whether it tells of each of its rows which row of the base it is."""
    with_row = FIRST_SELECT.sub(f"SELECT {ROW}, ", query)
    can_be_tracked = with_row != query and not GROUPING.search(_bare(query))
    try:
        context = pl.SQLContext(frames=dict(frames))
        plain = context.execute(query, eager=False)
        if ROW in plain.collect_schema():
            if GROUPING.search(_bare(query)):
                raise RecipeError(
                    "a join that groups names its columns, for * has a number of every row in it",
                    where="join.query",
                    next_step="write the columns instead of *",
                )
            return plain.collect(), True
        if can_be_tracked:
            return context.execute(with_row, eager=False).collect(), True
        return plain.collect(), False
    except pl.exceptions.PolarsError as problem:
        raise RecipeError(
            f"the query of the join cannot be run: {str(problem).splitlines()[0]}",
            where="join.query",
            allowed=f"polars SQL over {', '.join(frames)}",
            next_step="mend the query",
        ) from problem


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
    values = store.scan(snapshot, verified=False).select(column).collect().to_series()
    return not values.null_count() and len(values) // 2 <= values.n_unique() < len(values)
