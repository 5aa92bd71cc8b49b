from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.conform.plain import type_name
from rowsmith.errors import NotFoundError, SourceError, StorageError
from rowsmith.ingestion import row_hash, snapshot
from rowsmith.ingestion.keeping.folder import FolderStore
from rowsmith.ingestion.row_hash import RowHash
from rowsmith.ingestion.snapshot import SnapshotStore
from rowsmith.types import Progress
from tests.ingestion.tables import people

TABLE = people(1000)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return in_folder(tmp_path / "snapshots")


def in_folder(root: Path) -> SnapshotStore:
    return SnapshotStore(FolderStore(root))


def root_of(store: SnapshotStore) -> Path:
    assert isinstance(store.kept, FolderStore)
    return store.kept.root


def files(store: SnapshotStore) -> set[str]:
    return {path.relative_to(root_of(store)).as_posix() for path in root_of(store).rglob("*") if path.is_file()} - {
        "lock"
    }


def logical_hash(frame: pl.DataFrame, *cuts: int) -> str:
    digest = RowHash({name: type_name(dtype) for name, dtype in frame.schema.items()})
    bounds = [0, *sorted(cuts), frame.height]
    for start, end in pairwise(bounds):
        digest.update(frame[start:end])
    return digest.hexdigest()


def test_what_goes_in_comes_out(store: SnapshotStore) -> None:
    reports: list[Progress] = []
    batches = TABLE.iter_slices(300)
    made = store.add(batches, source="people.csv", facts={"format": "csv"}, on_progress=reports.append)
    assert store.read(made).equals(TABLE)
    assert store.scan(made).select("age").collect().equals(TABLE.select("age"))
    assert store.get(made.id[:8]) == made
    assert (made.rows, made.source, made.facts, made.parent) == (1000, "people.csv", {"format": "csv"}, None)
    assert list(made.columns.items()) == [(name, type_name(dtype)) for name, dtype in TABLE.schema.items()]
    assert [report.message.split(",  ")[0].rpartition(", ")[0] for report in reports] == [
        "300 rows",
        "600 rows",
        "900 rows",
        "1,000 rows",
    ]


def test_equal_rows_give_the_snapshot_that_is_there(store: SnapshotStore) -> None:
    one = store.add([TABLE], source="one")
    before = files(store)
    other = store.add(TABLE.iter_slices(7), source="other")
    assert other == one
    assert files(store) == before
    assert store.list() == (one,)


def test_an_append_shares_the_parts_and_is_the_whole(store: SnapshotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_hash, "BLOCK_ROWS", 64)
    monkeypatch.setattr(snapshot, "BLOCK_ROWS", 64)
    first = store.add([TABLE[:300]], source="first")
    second = store.add([TABLE[300:301], TABLE[301:]], source="second", append_to=first.id[:10])
    assert second.parent == first.id
    assert second.parts[: len(first.parts)] == first.parts
    assert store.read(second).equals(TABLE)
    assert second.id == in_folder(root_of(store).parent / "other").add([TABLE], source="all").id


def test_an_append_takes_the_columns_in_any_order_and_the_types_of_its_parent(store: SnapshotStore) -> None:
    first = store.add([pl.DataFrame({"a": [1.5], "b": ["x"]})], source="first")
    second = store.add([pl.DataFrame({"b": [None, 3], "a": [2, None]})], source="second", append_to=first.id)
    assert store.read(second).rows() == [(1.5, "x"), (2.0, None), (None, "3")]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"a": [1]}), "missing: b; new: none"),
        (pl.DataFrame({"a": [1], "b": ["x"], "c": [1]}), "missing: none; new: c"),
        (pl.DataFrame({"a": ["word"], "b": ["x"]}), 'the column "a" changes its type'),
        (pl.DataFrame({"a": [1.5], "b": ["x"]}), 'the column "a" changes its type'),
    ],
)
def test_an_append_of_other_columns_is_refused(store: SnapshotStore, frame: pl.DataFrame, message: str) -> None:
    first = store.add([pl.DataFrame({"a": [1], "b": ["x"]})], source="first")
    before = files(store)
    with pytest.raises(SourceError, match=message):
        store.add([frame], source="second.csv", append_to=first.id)
    assert files(store) == before


def test_an_error_in_the_middle_leaves_no_trace(store: SnapshotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "PART_ROWS", 10)

    def batches() -> Iterator[pl.DataFrame]:
        yield from TABLE[:100].iter_slices(10)
        raise SourceError("the file is damaged", where="row 101")

    with pytest.raises(SourceError, match="row 101"):
        store.add(batches(), source="x")
    assert files(store) == set()
    with pytest.raises(SourceError, match="no rows"):
        store.add([], source="x")
    assert files(store) == set()


def test_many_parts(store: SnapshotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "PART_ROWS", 100)
    made = store.add(TABLE.iter_slices(50), source="x")
    assert [part.rows for part in made.parts] == [100] * 10
    assert store.read(made).equals(TABLE)


def test_snapshots_are_found_by_as_much_of_their_id_as_is_needed(store: SnapshotStore) -> None:
    with pytest.raises(NotFoundError, match="none is kept yet"):
        store.get("abc")
    made = [store.add([TABLE[:n]], source=str(n)) for n in range(1, 20)]
    assert store.list() == tuple(made)
    with pytest.raises(NotFoundError, match=made[-1].id[:12]):
        store.get("zzz")
    with pytest.raises(NotFoundError):
        store.get("../" + made[0].id)
    shared = next(a.id[0] for a in made for b in made if a is not b and a.id[0] == b.id[0])
    with pytest.raises(NotFoundError, match="begin like this"):
        store.get(shared)


@pytest.mark.parametrize("damage", ["change", "cut", "remove"])
def test_damaged_parts_are_not_read(store: SnapshotStore, damage: str) -> None:
    made = store.add([TABLE], source="x")
    (path,) = (root_of(store) / "parts").iterdir()
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    match damage:
        case "change":
            path.write_bytes(content)
        case "cut":
            path.write_bytes(content[:-1])
        case _:
            path.unlink()
    with pytest.raises(StorageError, match=path.name):
        store.read(made)


@pytest.mark.parametrize("text", ["{", "{}", '{"format": 2}', "[]"])
def test_damaged_manifests_are_named(store: SnapshotStore, text: str) -> None:
    made = store.add([TABLE], source="x")
    path = root_of(store) / "manifests" / f"{made.id}.json"
    path.write_text(text)
    with pytest.raises(StorageError, match=made.id):
        store.get(made.id)


WRITER = """
import sys, time
from pathlib import Path
from rowsmith.ingestion import snapshot
from rowsmith.ingestion.keeping.folder import FolderStore
from tests.ingestion.tables import people
snapshot.PART_ROWS = 10
def batches():
    for batch in people(100).iter_slices(10):
        yield batch
    print("written", flush=True)
    sys.stdin.readline()
made = snapshot.SnapshotStore(FolderStore(Path(sys.argv[1]))).add(batches(), source="slow")
print(made.id, flush=True)
"""


def writing(store: SnapshotStore) -> subprocess.Popen[str]:
    """A program that has written all parts of a snapshot, and publishes it when it is told to."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root_of(store))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert program.stdout is not None and program.stdout.readline() == "written\n"
    return program


def test_what_a_killed_program_left_is_removed(store: SnapshotStore) -> None:
    kept = store.add([TABLE[:5]], source="kept")
    # As a program leaves it that dies between its parts and its manifest.
    orphan = root_of(store) / "parts" / f"{'0' * 64}.parquet"
    with writing(store) as program:
        program.send_signal(signal.SIGKILL)
        program.wait()
    orphan.write_bytes(b"PAR1")
    assert any((root_of(store) / "incoming").iterdir())
    reopened = in_folder(root_of(store))
    assert not any((root_of(store) / "incoming").iterdir())
    assert not orphan.exists()
    assert reopened.list() == (kept,)
    assert reopened.read(kept).equals(TABLE[:5])


def test_nothing_is_removed_while_a_manifest_is_damaged(store: SnapshotStore) -> None:
    made = store.add([TABLE], source="x")
    manifest = root_of(store) / "manifests" / f"{made.id}.json"
    text = manifest.read_text()
    manifest.write_text("{")
    (root_of(store) / "incoming" / "abandoned").mkdir(parents=True)
    in_folder(root_of(store))
    manifest.write_text(text)
    assert in_folder(root_of(store)).read(made).equals(TABLE)


def test_opening_does_not_disturb_one_that_writes(store: SnapshotStore) -> None:
    with writing(store) as program:
        in_folder(root_of(store)).add([TABLE], source="meanwhile")
        out, _ = program.communicate("go\n")
    made = in_folder(root_of(store)).get(out.strip())
    assert store.read(made).equals(people(100))
    assert len(store.list()) == 2


def test_several_writers_at_once(store: SnapshotStore) -> None:
    made: list[str] = []

    def write(rows: int) -> None:
        made.append(in_folder(root_of(store)).add(TABLE[:rows].iter_slices(9), source="x").id)

    threads = [threading.Thread(target=write, args=(rows,)) for rows in (50, 50, 60, 70, 70, 80)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert sorted(snapshot.rows for snapshot in store.list()) == [50, 60, 70, 80]
    assert all(store.read(snapshot).equals(TABLE[: snapshot.rows]) for snapshot in store.list())
    assert not any((root_of(store) / "incoming").iterdir())


FRAMES = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.booleans(),
        st.none() | st.text(max_size=5),
        st.none() | st.datetimes(),
    ),
    min_size=1,
    max_size=30,
).map(
    lambda rows: pl.DataFrame(
        rows,
        schema={"i": pl.Int64, "f": pl.Float64, "b": pl.Boolean, "s": pl.String, "t": pl.Datetime("us")},
        orient="row",
    )
)


@settings(max_examples=60, deadline=None)
@given(FRAMES, st.lists(st.integers(0, 30)))
def test_the_hash_does_not_depend_on_batches(frame: pl.DataFrame, cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_hash, "BLOCK_ROWS", 8)
        assert logical_hash(frame, *(cut for cut in cuts if cut <= frame.height)) == logical_hash(frame)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": ["ab", "c"]}, {"a": ["a", "bc"]}),
        ({"a": [None, ""]}, {"a": ["", None]}),
        ({"a": [0, None]}, {"a": [None, 0]}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": [1]}, {"b": [1]}),
        ({"a": [1]}, {"a": [1.0]}),
        ({"a": ["1"]}, {"a": [1]}),
        ({"a": [1], "b": [2]}, {"b": [2], "a": [1]}),
        ({"a": [True]}, {"a": [1]}),
    ],
)
def test_different_tables_have_different_hashes(one: dict[str, list[object]], other: dict[str, list[object]]) -> None:
    assert logical_hash(pl.DataFrame(one)) != logical_hash(pl.DataFrame(other))


def test_the_hash_is_the_same_for_ever() -> None:
    """A change here changes the ids of everybody's snapshots."""
    day = pl.Series(["2024-01-31", None]).str.to_date()
    frame = pl.DataFrame(
        {
            "i": [1, None],
            "f": [0.5, -1],
            "s": ["é", None],
            "b": [True, None],
            "d": day,
            "t": day.cast(pl.Datetime("us")),
        }
    )
    assert logical_hash(frame) == "f86f5666693ef3ed5960dd4fa7db7e0737ec76595f956f58a306677978852f61"
