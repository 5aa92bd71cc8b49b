"""Snapshots: tables as they were read, kept for ever under the hash of their rows.

Where their manifests and parts lie, in a folder or in a bucket, is the matter of `keeping`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from rowsmith.conform.plain import (
    common_type,
    final_type,
    named_type,
    plain_frame,
    plain_series,
    plain_type,
    type_name,
)
from rowsmith.errors import NotFoundError, SourceError, StorageError
from rowsmith.ingestion.behind import Behind
from rowsmith.ingestion.keeping.protocol import PartStore
from rowsmith.ingestion.parts import Part, named, pack, read_part, scan_parts, take
from rowsmith.ingestion.row_hash import BLOCK_ROWS, RowHash
from rowsmith.ingestion.sources.protocol import Original, no_original
from rowsmith.types import JsonObject, OnProgress, Progress, no_progress

FORMAT = 1
ID = re.compile(r"[0-9a-f]{1,64}")
WHOLE_ID = re.compile(r"[0-9a-f]{64}")
PART_BYTES = 1 << 26
PART_ROWS = 1 << 20
LARGER = 2
"""A file that stays as it came may be so many times as large as a part that is packed here."""
SMALL_BYTES = 1 << 22
"""Smaller files are packed together."""
MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`id` is the logical hash of the ordered rows with the names and types of their columns (see `row_hash`).

    `columns` maps names, in order, to names of plain types. `created` is the moment of the first reading, ISO 8601 in
    UTC. `parent` is the id of the snapshot that this one was appended to. `facts` is what the source said.
    """

    id: str
    rows: int
    columns: Mapping[str, str]
    parts: tuple[Part, ...]
    blocks: tuple[str, ...]
    source: str
    created: str
    parent: str | None = None
    facts: JsonObject = field(default_factory=dict)

    def to_dict(self) -> JsonObject:
        # Pairs, because the order of columns is part of what a table is.
        return {"format": FORMAT, **asdict(self), "columns": list(map(list, self.columns.items()))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Snapshot:
        return cls(
            id=data["id"],
            rows=data["rows"],
            columns=dict(data["columns"]),
            parts=tuple(Part(**part) for part in data["parts"]),
            blocks=tuple(data["blocks"]),
            source=data["source"],
            created=data["created"],
            parent=data["parent"],
            facts=data["facts"],
        )


class SnapshotStore:
    """Several programs may use one store at the same time. `now` tells the time that is written down."""

    def __init__(self, kept: PartStore, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.kept = kept
        self._now = now

    def add(
        self,
        batches: Iterable[pl.DataFrame],
        *,
        source: str,
        facts: JsonObject | None = None,
        append_to: str | None = None,
        parent: str | None = None,
        original_of: Callable[[pl.DataFrame], Original | None] = no_original,
        expected_rows: int | None = None,
        on_progress: OnProgress = no_progress,
    ) -> Snapshot:
        """Keep the rows, after those of `append_to` if given; equal rows give the snapshot that is there already.

        All or nothing: an error, also one of the batches, leaves no trace. Raises SourceError for batches without
        rows or of different columns, NotFoundError for an unknown `append_to`, StorageError. `parent` is the id of the
        snapshot that these rows were made from, where none of its parts are shared. `original_of` tells of each batch,
        as it comes, which Parquet file holds it just so: a file of which all batches came becomes a part as it is.
        `expected_rows` is for progress.
        """
        before = self.get(append_to) if append_to is not None else None
        with (
            self.filling() as folder,
            Behind("rowsmith-hash", waiting=2) as hashing,
            Behind("rowsmith-sync") as syncing,
            Behind("rowsmith-write") as writing,
        ):
            writer = _Writer(folder, before, self._tail(before), source, hashing, writing, syncing)
            told = Told(expected_rows, on_progress)
            for batch in batches:
                writer.write(batch, original_of(batch))
                told.more(batch)
            snapshot = writer.finish(facts or {}, self._now())
            return self.publish(folder, snapshot if parent is None else replace(snapshot, parent=parent))

    @contextmanager
    def filling(self) -> Iterator[Path]:
        """A folder for new parts, each under its own hash; gone when the block ends. Raises StorageError."""
        with _translated(self.kept.where), self.kept.filling() as folder:
            yield folder

    def publish(self, folder: Path, snapshot: Snapshot) -> Snapshot:
        """Keep a snapshot whose new parts lie in `folder`; the one that is there already, if there is."""
        text = json.dumps(snapshot.to_dict(), ensure_ascii=False, indent=1)
        is_new = self.kept.publish(folder, snapshot.id, text, snapshot.parts)
        return snapshot if is_new else self.get(snapshot.id)

    def claim(self, snapshot: Snapshot) -> None:
        """Say that this project needs it, wherever it came from. Raises StorageError where it is gone."""
        self.kept.claim(snapshot.id)

    def now(self) -> str:
        """The time that is written down."""
        return self._now().isoformat(timespec="microseconds")

    def get(self, id_or_prefix: str) -> Snapshot:
        """By id, or as much of its beginning as no other has. Raises NotFoundError, StorageError."""
        found = [id_or_prefix] if WHOLE_ID.fullmatch(id_or_prefix) else self._beginning_with(id_or_prefix)
        if len(found) > 1:
            raise NotFoundError(
                f"{len(found)} snapshots begin like this", received=id_or_prefix, next_step="give more of the id"
            )
        for name, text in self.kept.texts(found).items():
            return self._read_manifest(name, text)
        shown = ", ".join(snapshot.id[:12] for snapshot in self.list()[-MAX_LISTED:])
        raise NotFoundError("there is no such snapshot", received=id_or_prefix, allowed=shown or "none is kept yet")

    def scan(self, snapshot: Snapshot, *, verified: bool = True) -> pl.LazyFrame:
        """The rows in order, not read yet. Raises StorageError for a part that is missing or was changed.

        Without `verified` no hash is checked: for a look at a few rows of a large table.
        """
        may_skip = not any(part.as_it_came for part in snapshot.parts)
        return scan_parts(self.kept.paths(snapshot.parts, verified=verified), may_skip=may_skip)

    def batches(self, snapshot: Snapshot) -> Iterator[pl.DataFrame]:
        """The rows in order, a part at a time. Raises StorageError."""
        for part in snapshot.parts:
            with _translated(self.kept.where):
                (path,) = self.kept.paths([part])
                yield read_part(path)

    def types(self, snapshot: Snapshot) -> dict[str, pl.DataType]:
        """The types of its columns, from its manifest alone."""
        return {name: named_type(name_of_type) for name, name_of_type in snapshot.columns.items()}

    def verify(self, snapshot: Snapshot) -> None:
        """Compare the bytes of every part with their hash, and the rows with the id. Raises StorageError."""
        digest = RowHash(snapshot.columns)
        for part in snapshot.parts:
            with _translated(self.kept.where):
                digest.update(read_part(self.kept.recheck(part)))
        if digest.hexdigest() != snapshot.id:
            raise StorageError(
                "the rows of this snapshot are not those that its name stands for",
                where=self.kept.shown(snapshot.id),
                next_step="restore the manifest from a backup, or read the source again",
            )

    def needed_elsewhere(self, snapshots: Iterable[Snapshot]) -> set[str]:
        """The ids of those that another project, or a machine with a registry of its own, has a claim to."""
        return self.kept.needed_elsewhere([snapshot.id for snapshot in snapshots])

    def remove(self, ids: Sequence[str], *, even_needed: bool = False) -> None:
        """Forget snapshots, remove the parts that no other has, and what killed programs left."""
        self.kept.remove(ids, even_needed=even_needed)
        for name in ids:
            self._profile_path(name).unlink(missing_ok=True)

    def profile_path(self, snapshot: Snapshot) -> Path:
        """Where others keep what they found out about a snapshot."""
        return self._profile_path(snapshot.id)

    def path(self, part: Part) -> Path:
        """A file of this machine with the rows of a part, whose hash is not checked."""
        return self.kept.paths([part], verified=False)[0]

    def read(self, snapshot: Snapshot) -> pl.DataFrame:
        """The rows in order, in memory."""
        with _translated(self.kept.where):
            return self.scan(snapshot).collect()

    def _profile_path(self, name: str) -> Path:
        return self.kept.derived / "profiles" / f"{name}.json"

    def _ids(self) -> list[str]:
        return [name for name in self.kept.names() if ID.fullmatch(name)]

    def _beginning_with(self, prefix: str) -> list[str]:
        return [name for name in self._ids() if name.startswith(prefix)] if ID.fullmatch(prefix) else []

    def _read_manifest(self, name: str, text: str) -> Snapshot:
        where = self.kept.shown(name)
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise StorageError(
                    "this snapshot has a format that this release does not know",
                    where=where,
                    received=f"format {data['format']!r}",
                    allowed=f"format {FORMAT}",
                )
            return Snapshot.from_dict(data)
        except (ValueError, KeyError, TypeError) as problem:
            raise StorageError(f"the manifest of this snapshot cannot be read: {problem}", where=where) from problem

    def _tail(self, parent: Snapshot | None) -> pl.DataFrame | None:
        """The rows after the last whole block, which the hash of an append begins with."""
        if parent is None:
            return None
        wanted = parent.rows % BLOCK_ROWS
        parts: list[Part] = []
        while sum(part.rows for part in parts) < wanted or not parts:
            parts.insert(0, parent.parts[-1 - len(parts)])
        return scan_parts(self.kept.paths(parts)).slice(sum(part.rows for part in parts) - wanted).collect()

    def list(self) -> tuple[Snapshot, ...]:
        """All, the oldest first."""
        snapshots = [self._read_manifest(name, text) for name, text in self.kept.texts(self._ids()).items()]
        return tuple(sorted(snapshots, key=lambda snapshot: (snapshot.created, snapshot.id)))


class _Writer:
    """Cuts a stream of batches into parts, and hashes it on the way; both go on while what comes next is read.

    Memory holds a part that grows, one that is written, and a few batches.
    """

    def __init__(
        self,
        folder: Path,
        parent: Snapshot | None,
        tail: pl.DataFrame | None,
        source: str,
        hashing: Behind,
        writing: Behind,
        syncing: Behind,
    ) -> None:
        self._folder = folder
        self._parent = parent
        self._source = source
        self._parts = list(parent.parts) if parent else []
        self._types: dict[str, pl.DataType] | None = None
        self._hash: RowHash | None = None
        # To wait for the disk is work of its own: the next part is packed meanwhile.
        self._hashing, self._writing, self._syncing = hashing, writing, syncing
        if parent is not None and tail is not None:
            self._begin(dict(tail.schema))
            assert self._hash is not None
            self._hash.update(tail)
        self._buffer: list[pl.DataFrame] = []
        self._buffered_bytes = 0
        self._buffered_rows = 0
        self._original: Original | None = None
        self._gathered: Original | None = None
        self._written = 0
        self.rows = 0

    def write(self, batch: pl.DataFrame, original: Original | None) -> None:
        if self._types is None:
            self._begin({name: final_type(plain_type(dtype)) for name, dtype in batch.schema.items()})
        assert self._types is not None and self._hash is not None
        plain = fitted(batch, self._types, self._source, is_append=self._parent is not None)
        self._follow(original if plain is batch else None)
        self._hashing.do(self._hash.update, plain)
        self.rows += plain.height
        self._buffer.append(plain)
        self._buffered_rows += plain.height
        self._buffered_bytes += int(plain.estimated_size())
        times = LARGER if self._gathered else 1
        if self._gathered and self._buffered_rows == self._gathered.rows:
            self._keep(self._gathered)
        elif self._buffered_bytes >= times * PART_BYTES or self._buffered_rows >= times * PART_ROWS:
            self._flush()

    def finish(self, facts: JsonObject, created: datetime) -> Snapshot:
        if not self.rows or self._types is None or self._hash is None:
            raise SourceError("there are no rows here", where=self._source)
        self._flush()
        self._hashing.finish()
        self._writing.finish()
        self._syncing.finish()
        return Snapshot(
            id=self._hash.hexdigest(),
            rows=self._hash.rows,
            columns={name: type_name(dtype) for name, dtype in self._types.items()},
            parts=tuple(self._parts),
            blocks=self._hash.blocks,
            source=self._source,
            created=created.isoformat(timespec="microseconds"),
            parent=self._parent.id if self._parent else None,
            facts=facts,
        )

    def _begin(self, types: dict[str, pl.DataType]) -> None:
        self._types = types
        blocks = self._parent.blocks if self._parent else ()
        self._hash = RowHash({name: type_name(dtype) for name, dtype in types.items()}, blocks)

    def _follow(self, original: Original | None) -> None:
        """Begin to gather the batches of another file; those of one that did not come to its end are packed."""
        if original is self._original:
            return
        self._original, self._gathered = original, None
        if original is None or not _may_be_a_part(original):
            return
        # Else what waits would become a part that is too small.
        if not self._buffered_rows or self._buffered_bytes >= SMALL_BYTES:
            self._flush()
            self._gathered = original

    def _keep(self, original: Original) -> None:
        self._writing.do(self._take, original)
        self._forget()

    def _flush(self) -> None:
        if self._buffered_rows:
            self._writing.do(self._pack, self._buffer)
        self._forget()

    def _forget(self) -> None:
        self._buffer, self._buffered_bytes, self._buffered_rows, self._gathered = [], 0, 0, None

    def _pack(self, batches: Sequence[pl.DataFrame]) -> None:
        frame, path = pl.concat(batches), self._next_path()
        pack(frame, path)
        self._syncing.do(self._sync, path, frame.height, False)

    def _take(self, original: Original) -> None:
        path = self._next_path()
        take(original.file.path, path)
        self._syncing.do(self._sync, path, original.rows, True)

    def _next_path(self) -> Path:
        # Two are here at a time: one that is written, and one that goes to the disk.
        self._written += 1
        return self._folder / f"part-{self._written % 2}"

    def _sync(self, path: Path, rows: int, as_it_came: bool) -> None:
        self._parts.append(named(path, rows, as_it_came=as_it_came))


class Told:
    """Progress of rows that come in: how many, how many bytes they take here, and how long it will go on."""

    def __init__(self, expected_rows: int | None, on_progress: OnProgress) -> None:
        self._expected = expected_rows
        self._on_progress = on_progress
        self._begin = time.monotonic()
        self._rows = self._bytes = 0

    def more(self, batch: pl.DataFrame) -> None:
        self._rows += batch.height
        self._bytes += int(batch.estimated_size())
        fraction = seconds_left = None
        if self._expected and self._rows <= self._expected:
            fraction = self._rows / self._expected
            seconds_left = (time.monotonic() - self._begin) * (1 - fraction) / fraction
        message = f"{self._rows:,} rows, {self._bytes / 1e6:,.1f} MB"
        self._on_progress(Progress("ingest", message, fraction=fraction, seconds_left=seconds_left))


def _may_be_a_part(original: Original) -> bool:
    size = original.file.path.stat().st_size
    return SMALL_BYTES <= size <= LARGER * PART_BYTES and original.rows <= LARGER * PART_ROWS


def fitted(batch: pl.DataFrame, types: Mapping[str, pl.DataType], source: str, *, is_append: bool) -> pl.DataFrame:
    """The batch with the columns and types of those before it; the very batch where it has them.

    Raises SourceError where it has others.
    """
    if dict(batch.schema) == types:
        return plain_frame(batch, types, where=source)
    missing = [name for name in types if name not in batch.columns]
    added = [name for name in batch.columns if name not in types]
    if missing or added:
        raise SourceError(
            "these rows have other columns than those before them",
            where=source,
            received=f"missing: {', '.join(missing) or 'none'}; new: {', '.join(added) or 'none'}",
            allowed=", ".join(types),
            next_step="read them as a snapshot of their own" if is_append else "",
        )
    return pl.DataFrame([_fitted_series(batch[name], dtype, source) for name, dtype in types.items()])


def _fitted_series(series: pl.Series, dtype: pl.DataType, source: str) -> pl.Series:
    if series.null_count() == len(series):
        return pl.Series(series.name, [None] * len(series), dtype=dtype)
    found = plain_type(series.dtype)
    if common_type([dtype, found]) != dtype:
        raise SourceError(
            f'the column "{series.name}" changes its type',
            where=source,
            received=type_name(found),
            allowed=type_name(dtype),
            next_step="read all files together as one snapshot: types are then settled over all rows",
        )
    return plain_series(series, dtype, where=source)


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Errors of the disk as StorageError."""
    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as problem:
        raise StorageError(f"the store of snapshots failed: {problem}", where=where) from problem
