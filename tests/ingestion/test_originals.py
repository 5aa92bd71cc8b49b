"""Parquet files that become parts of a snapshot as they are: the same rows and ids as if they were packed again."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.conform.sought import Sought
from rowsmith.ingestion import erasure, row_hash, snapshot
from rowsmith.ingestion.keeping.folder import FolderStore
from rowsmith.ingestion.merge import merge
from rowsmith.ingestion.snapshot import Snapshot, SnapshotStore
from rowsmith.ingestion.sources import read_batches, read_frame
from rowsmith.ingestion.sources.formats import lazy_table, parquet
from rowsmith.ingestion.sources.local_file import TemporaryFile
from rowsmith.ingestion.sources.protocol import Original

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = 3000
PLAIN = pl.DataFrame(
    {
        "id": range(ROWS),
        "x": [None if i % 5 == 0 else i / 7 for i in range(ROWS)],
        "city": [(None, "Lyon", "Zürich", "")[i % 4] for i in range(ROWS)],
        "left": [(True, False, None)[i % 3] for i in range(ROWS)],
        "day": [date(2026, 1, i % 28 + 1) for i in range(ROWS)],
        "at": [datetime(2026, 1, 1, i % 24, tzinfo=None) for i in range(ROWS)],
        "zoned": pl.Series([datetime(2026, 1, 1, i % 24) for i in range(ROWS)]).dt.replace_time_zone("UTC"),
    }
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of some kilobytes count as large, and batches are shorter than they are."""
    monkeypatch.setattr(snapshot, "SMALL_BYTES", 1)
    monkeypatch.setattr(parquet, "MOST_FOOTER", 0.4)
    monkeypatch.setattr(lazy_table, "MAX_ROWS_PER_BATCH", 1000)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(FolderStore(tmp_path / "snapshots"))


def written(table: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else table.to_arrow(), out, **options)
    return out.getvalue()


def kept(store: SnapshotStore, content: bytes, **options: Any) -> Snapshot:
    """A stream is copied to a temporary file, as an object of a bucket is."""
    reading = read_batches(io.BytesIO(content))
    return store.add(reading.batches, source="file", original_of=reading.original_of, **options)


def packed(tmp_path: Path, *frames: pl.DataFrame) -> Snapshot:
    """The same rows in another store, which has never seen their file."""
    return SnapshotStore(FolderStore(tmp_path / "other")).add(frames, source="frames")


def came_as_they_are(made: Snapshot) -> list[bool]:
    return [part.as_it_came for part in made.parts]


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_file_with_the_very_columns_stays_as_it_came(
    store: SnapshotStore, tmp_path: Path, compression: str, dictionary: bool, version: str
) -> None:
    content = written(
        PLAIN, compression=compression, use_dictionary=dictionary, data_page_version=version, row_group_size=700
    )
    made = kept(store, content)
    assert [(part.sha256, part.bytes, part.rows, part.as_it_came) for part in made.parts] == [
        (hashlib.sha256(content).hexdigest(), len(content), ROWS, True)
    ]
    assert made.id == packed(tmp_path, PLAIN).id
    assert store.read(made).equals(PLAIN) and store.get(made.id) == made
    assert store.scan(made).filter(pl.col("id") == ROWS - 1, pl.col("left").is_null()).collect().height == 1
    assert pl.concat(store.batches(made)).equals(PLAIN)
    store.verify(made)


@pytest.mark.parametrize("encoding", ["DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT", "PLAIN"])
def test_other_encodings_do_as_well(store: SnapshotStore, encoding: str) -> None:
    frame = PLAIN.select(pl.col("id") * 7919 % 104_729)
    made = kept(store, written(frame, use_dictionary=False, column_encoding=encoding))
    assert came_as_they_are(made) == [True] and store.read(made).equals(frame)


def test_columns_that_are_never_missing(store: SnapshotStore) -> None:
    table = PLAIN.select("id", "day").to_arrow()
    schema = pa.schema([field.with_nullable(False) for field in table.schema])
    made = kept(store, written(table.cast(schema)))
    whole = kept(store, written(PLAIN.select("id", "day")), append_to=made.id)
    assert came_as_they_are(whole) == [True, True]
    assert store.read(whole).equals(pl.concat([PLAIN.select("id", "day")] * 2))


NAN = PLAIN.select("id", x=pl.when(pl.col("id") == ROWS - 1).then(float("nan")).otherwise(1.0))
ODD: dict[str, Callable[[], bytes]] = {
    "integers of 32 bits": lambda: written(PLAIN.select(pl.col("id").cast(pl.Int32))),
    "integers without a sign": lambda: written(PLAIN.select(pl.col("id").cast(pl.UInt64))),
    "floats of 32 bits": lambda: written(PLAIN.select(pl.col("x").cast(pl.Float32))),
    "nanoseconds": lambda: written(PLAIN.select(pl.col("at").dt.cast_time_unit("ns"))),
    "milliseconds": lambda: written(PLAIN.select(pl.col("at").dt.cast_time_unit("ms"))),
    "INT96": lambda: written(PLAIN.select("at"), use_deprecated_int96_timestamps=True),
    "categories": lambda: written(PLAIN.select(pl.col("city").cast(pl.Categorical))),
    "a dictionary": lambda: written(pa.table({"a": pa.array(["x", "y"] * 500).dictionary_encode()})),
    "decimals": lambda: written(pa.table({"a": [Decimal("1.25"), Decimal("2.50")] * 500})),
    "times of day": lambda: written(pl.DataFrame({"a": [time(1, 2, 3)] * 1000})),
    "durations": lambda: written(PLAIN.select(pl.col("at") - datetime(2025, 1, 1))),
    "bytes": lambda: written(pl.DataFrame({"a": [b"x"] * 1000})),
    "lists": lambda: written(pl.DataFrame({"a": [[1, 2]] * 1000})),
    "structures": lambda: written(pl.DataFrame({"a": [{"b": 1}] * 1000})),
    "no value at all": lambda: written(pa.table({"i": range(1000), "a": pa.nulls(1000)})),
    "NaN": lambda: written(NAN),
    "an order that is said": lambda: written(PLAIN, sorting_columns=[pq.SortingColumn(0)]),
    "many small groups": lambda: written(PLAIN, row_group_size=10),
    "fewer bytes than a part": lambda: written(PLAIN.head(1)),
}


@pytest.mark.parametrize("what", ODD)
def test_any_other_file_is_packed(
    store: SnapshotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    content = ODD[what]()
    if what == "fewer bytes than a part":
        monkeypatch.setattr(snapshot, "SMALL_BYTES", len(content) + 1)
    made = kept(store, content)
    assert not any(came_as_they_are(made))
    frame = read_frame(io.BytesIO(content))
    assert made.id == packed(tmp_path, frame).id
    assert store.read(made).equals(frame)


def test_what_a_file_says_of_its_order_is_not_believed() -> None:
    content = written(pa.table({"a": [3, 1, 2] * 1000}), sorting_columns=[pq.SortingColumn(0)])
    assert pl.read_parquet(content).flags["a"]["SORTED_ASC"]
    frame = read_frame(io.BytesIO(content))
    assert frame["a"].max() == 3 and not frame.flags["a"]["SORTED_ASC"]


def test_what_a_file_says_of_its_values_is_not_believed(store: SnapshotStore) -> None:
    out = io.BytesIO()
    PLAIN.write_parquet(out)
    content = out.getvalue()
    start = len(content) - int.from_bytes(content[-8:-4], "little") - 8
    greatest = struct.pack("<q", ROWS - 1)
    assert greatest in content[start:]
    lying = content[:start] + content[start:].replace(greatest, struct.pack("<q", 5))
    made = kept(store, lying)
    assert came_as_they_are(made) == [True]
    assert store.scan(made).filter(pl.col("id") == ROWS - 1).collect().height == 1
    assert store.read(made).equals(PLAIN)


def test_a_file_that_did_not_come_to_its_end_is_packed(store: SnapshotStore, tmp_path: Path) -> None:
    reading = read_batches(io.BytesIO(written(PLAIN)))
    first = next(reading.batches)
    made = store.add(iter([first]), source="file", original_of=reading.original_of)
    assert came_as_they_are(made) == [False]
    assert made.id == packed(tmp_path, first).id


def test_rows_that_were_changed_on_the_way_are_packed(store: SnapshotStore) -> None:
    reading = read_batches(io.BytesIO(written(PLAIN)))
    changed = (batch.with_columns(pl.col("id") + 1) for batch in reading.batches)
    made = store.add(changed, source="file", original_of=reading.original_of)
    assert came_as_they_are(made) == [False]
    assert store.read(made)["id"].to_list() == list(range(1, ROWS + 1))


def test_a_file_that_is_larger_than_a_part_may_be_is_packed(
    store: SnapshotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "PART_ROWS", 600)
    made = kept(store, written(PLAIN))
    assert not any(came_as_they_are(made)) and len(made.parts) > 1
    assert made.id == packed(tmp_path, PLAIN).id


def test_others_may_read_what_was_a_temporary_file(store: SnapshotStore, tmp_path: Path) -> None:
    (part,) = kept(store, written(PLAIN)).parts
    (tmp_path / "like any other").touch()
    assert store.path(part).stat().st_mode == (tmp_path / "like any other").stat().st_mode


def test_the_next_readings_share_and_change_such_parts(
    store: SnapshotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_hash, "BLOCK_ROWS", 64)
    monkeypatch.setattr(snapshot, "BLOCK_ROWS", 64)
    first = kept(store, written(PLAIN))
    second = kept(store, written(PLAIN[::-1]), append_to=first.id)
    assert second.parts[:1] == first.parts and came_as_they_are(second) == [True, True]
    assert second.id == packed(tmp_path, PLAIN, PLAIN[::-1]).id
    new = PLAIN[7:8].with_columns(x=pl.lit(0.5))
    merged = merge(store, first, [new], ["id"], replaces=True, source="new", facts={}).snapshot
    assert merged is not None and store.read(merged)["x"][7] == 0.5
    (found,) = (each for each in erasure.find(store, Sought("city", ("Zürich",))) if each.snapshot == first)
    left = erasure.without(store, found, Sought("city", ("Zürich",)), {})
    assert left is not None and left.rows == ROWS - ROWS // 4 and came_as_they_are(left) == [False]
    store.remove([first.id])
    store.verify(second)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_however_rows_come_their_snapshot_is_the_same(data: st.DataObject, tmp_path_factory: Any) -> None:
    """Some in files, of which some are cut off or changed, and some not; in batches of any length."""
    pieces: list[tuple[pl.DataFrame, Original | None]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "PART_ROWS", data.draw(st.integers(20, 2000)))
        patch.setattr(snapshot, "SMALL_BYTES", data.draw(st.sampled_from([1, 3000, 20_000])))
        for start, rows in data.draw(st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 900)), min_size=1)):
            frame = PLAIN[start : start + rows]
            original = _file_of(frame) if data.draw(st.booleans()) else None
            slices = list(frame.iter_slices(data.draw(st.integers(max(1, rows // 3), rows))))
            end = data.draw(st.sampled_from([len(slices), len(slices), max(1, len(slices) - 1)]))
            pieces.extend((batch, original) for batch in slices[:end])
        current: list[Original | None] = []

        def batches() -> Iterator[pl.DataFrame]:
            for batch, original in pieces:
                current[:] = [original]
                yield batch

        folder = tmp_path_factory.mktemp("any")
        store = SnapshotStore(FolderStore(folder / "one"))
        made = store.add(batches(), source="x", original_of=lambda batch: current[0])
        whole = pl.concat([batch for batch, _ in pieces])
        assert made.id == packed(folder, whole).id
        assert store.read(made).equals(whole)
        assert sum(part.rows for part in made.parts) == made.rows
        store.verify(made)


def _file_of(frame: pl.DataFrame) -> Original:
    keeper = TemporaryFile()
    frame.write_parquet(keeper.path)
    return Original(keeper, frame.height)
