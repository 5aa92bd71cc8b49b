"""Tables of objects: of Parquet the last bytes are looked at, and the rest is fetched in passing; others come first.

Where types may be guessed, all Parquet is taken to be like the first, until it is there.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import polars as pl

from rowsmith.conform.plain import plain_type
from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.address import shown
from rowsmith.ingestion.sources.files import Parts, since_mark
from rowsmith.ingestion.sources.formats import known_extensions, open_file
from rowsmith.ingestion.sources.local_file import decompressed
from rowsmith.ingestion.sources.objects.keys import Place, is_table, partition_type, partitions
from rowsmith.ingestion.sources.objects.store import Kept, Store, changed
from rowsmith.ingestion.sources.protocol import Context, Opened, Original, Table, Unsettled, original_of
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

AHEAD = 3
"""Objects that are fetched while the one before them is read."""
FOOTER_BYTES = 1 << 16
PARQUET = b"PAR1"


def open_objects(origin: str, options: DataSection, context: Context) -> Opened | None:
    """Several objects are one table: ordered by name, all with the same columns."""
    place = Place.of(context.secrets.fill(origin, where="data.source"))
    store = Store(place, options.storage, context)
    found = _find(store)
    mark: JsonObject = {"files": {kept.key: [kept.size, kept.tag or kept.changed] for kept in found}}
    fresh = set(since_mark([kept.key for kept in found], mark, context.since))
    if not fresh:
        return None
    new = [kept for kept in found if kept.key in fresh]
    said = partitions([kept.key for kept in found], place.folder)
    chosen = [values for kept, values in zip(found, said, strict=True) if kept.key in fresh]
    tables = _tables(store, new, options, context)
    labelled: list[Table] = [
        Labelled(table, values) if values else table for table, values in zip(tables, chosen, strict=True)
    ]
    table = labelled[0] if len(found) == 1 else Parts(shown(origin), Ahead.of(labelled))
    return Opened(table, mark=lambda: mark, only_new=len(new) < len(found))


def _find(store: Store) -> list[Kept]:
    place = store.place
    if place.is_glob:
        found = [kept for kept in store.list(place.folder) if place.matches(kept.key) and is_table(kept.key)]
        nothing = "no object matches this pattern"
    else:
        one = store.find(place.key) if place.key and not place.key.endswith("/") else None
        if one is not None:
            return [one]
        prefix = place.key.rstrip("/")
        found = [kept for kept in store.list(prefix) if is_table(kept.key)]
        nothing = "there are no objects here"
    if not found:
        raise SourceError(
            nothing,
            where=place.shown(place.key),
            allowed=f"objects that end in {', '.join(known_extensions())}",
            next_step=_neighbours(store),
        )
    return found


def _neighbours(store: Store) -> str:
    near = [kept.key for kept in store.list(store.place.folder)[:5]]
    return f"what is there: {', '.join(near)}" if near else "look at the name of the bucket and the folder"


def _tables(store: Store, found: Sequence[Kept], options: DataSection, context: Context) -> list[Table]:
    first = next(filter(_is_large_parquet, found), None)
    guess = None if first is None or not context.may_guess else footer(store, first)

    def table(kept: Kept) -> Table:
        if _is_large_parquet(kept):
            return ParquetObject(store, kept, options, guess)
        if kept.size == 0:
            where = store.place.shown(kept.key)
            raise SourceError("this object is empty", where=where, next_step="it may be half-uploaded: try again later")
        return open_file(decompressed(store.fetch(kept)), options)

    with ThreadPoolExecutor(AHEAD) as pool:
        return list(pool.map(table, found))


def _is_large_parquet(kept: Kept) -> bool:
    return kept.key.lower().endswith((".parquet", ".pq")) and kept.size > FOOTER_BYTES


class ParquetObject:
    """The columns are known from the footer; the object is fetched when its rows are walked, and then forgotten.

    `guess` stands for a footer that nobody has looked at.
    """

    facts: JsonObject

    def __init__(self, store: Store, kept: Kept, options: DataSection, guess: Mapping[str, pl.DataType] | None) -> None:
        self.description = store.place.shown(kept.key)
        self.facts = {"format": "parquet"}
        self._store = store
        self._kept = kept
        self._options = options
        self._fetched: Future[Table] | None = None
        self._open: Table | None = None
        self._is_guessed = guess is not None
        self.columns = footer(store, kept) if guess is None else guess

    def fetch_ahead(self, pool: ThreadPoolExecutor) -> None:
        self._fetched = pool.submit(self._fetch)

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        fetched, self._fetched = self._fetched, None
        self._open = self._fetch() if fetched is None else fetched.result()
        yield from self._open.batches(types)
        self._open = None

    def original_of(self, batch: pl.DataFrame) -> Original | None:
        return original_of(self._open, batch)

    def _fetch(self) -> Table:
        table = open_file(self._store.fetch(self._kept), self._options)
        if table.columns != self.columns:
            raise Unsettled if self._is_guessed else changed(self.description)
        return table


def footer(store: Store, kept: Kept) -> Mapping[str, pl.DataType]:
    """The columns of a Parquet object. Raises SourceError for one that is damaged."""
    tail = store.tail(kept, FOOTER_BYTES)
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if tail[-4:] != PARQUET or length > kept.size:
        raise _damaged(store, kept, "its end is not that of a Parquet file")
    if length > len(tail):
        tail = store.tail(kept, length)
    try:
        stored = pl.read_parquet_schema(io.BytesIO(PARQUET + tail[-length:]))
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise _damaged(store, kept, str(problem).partition("\n")[0]) from problem
    return {name: plain_type(dtype) for name, dtype in stored.items()}


def _damaged(store: Store, kept: Kept, reason: str) -> SourceError:
    return SourceError(
        f"this Parquet file is damaged or cut off: {reason}",
        where=store.place.shown(kept.key),
        next_step="it may be half-uploaded: try again later, or write it again",
    )


class Labelled:
    """A table with what the folders above it say, the same in every row."""

    def __init__(self, table: Table, values: Mapping[str, int | str | None]) -> None:
        self.inner = table
        self._values = {name: value for name, value in values.items() if name not in table.columns}
        self.columns = {**table.columns, **{name: partition_type(value) for name, value in self._values.items()}}
        self.facts = table.facts
        self.description = table.description

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        own = {name: dtype for name, dtype in types.items() if name not in self._values}
        for batch in self.inner.batches(own):
            labels = [
                pl.Series(name, [value], dtype=types[name]).new_from_index(0, batch.height)
                for name, value in self._values.items()
            ]
            yield batch.with_columns(labels).select(list(types))


class Ahead:
    """A part of several, which has those after it fetched while it is read itself."""

    def __init__(self, table: Table, waiting: deque[ParquetObject], pool: ThreadPoolExecutor) -> None:
        self.columns, self.facts, self.description = table.columns, table.facts, table.description
        self._table = table
        self._waiting = waiting
        self._pool = pool

    @classmethod
    def of(cls, tables: Sequence[Table]) -> list[Table]:
        remote = [inner for table in tables if isinstance(inner := _inner(table), ParquetObject)]
        waiting, pool = deque(remote), ThreadPoolExecutor(AHEAD, thread_name_prefix="rowsmith-fetch")
        return [cls(table, waiting, pool) if remote else table for table in tables]

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        # The first begins with several; each that ends makes room for one more.
        room = AHEAD if self._waiting and self._waiting[0] is _inner(self._table) else 1
        for _ in range(min(room, len(self._waiting))):
            self._waiting.popleft().fetch_ahead(self._pool)
        yield from self._table.batches(types)

    def original_of(self, batch: pl.DataFrame) -> Original | None:
        return original_of(self._table, batch)


def _inner(table: Table) -> Table:
    return table.inner if isinstance(table, Labelled) else table
