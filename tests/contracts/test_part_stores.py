"""What every place for snapshots promises, in a folder as in a bucket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from rowsmith.errors import NotFoundError, SourceError, StorageError
from rowsmith.ingestion import snapshot
from rowsmith.ingestion.merge import merge
from tests.contracts.part_places import PLACES, Place
from tests.ingestion.tables import people

TABLE = people(300)


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return PLACES[request.param](tmp_path, request)


def test_what_one_machine_keeps_another_reads(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "PART_ROWS", 100)
    made = place.open().add(TABLE.iter_slices(50), source="people.csv", facts={"format": "csv"})
    other = place.open("other")
    assert other.list() == (made,)
    assert other.get(made.id[:9]) == made == other.get(made.id)
    assert other.read(made).equals(TABLE)
    assert pl.concat(other.batches(made)).equals(TABLE)
    assert other.types(made) == dict(TABLE.schema)
    other.verify(made)
    other.claim(made)
    assert place.files() == {
        f"manifests/{made.id}.json",
        *(f"parts/{part.sha256}.parquet" for part in made.parts),
    }


def test_equal_rows_are_kept_once(place: Place) -> None:
    one = place.open().add([TABLE], source="one")
    before = place.files()
    assert place.open("other").add(TABLE.iter_slices(7), source="other") == one
    assert place.files() == before


def test_an_append_and_a_merge_share_parts(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "PART_ROWS", 100)
    first = place.open().add(TABLE[:200].iter_slices(100), source="first")
    other = place.open("other")
    second = other.add([TABLE[200:]], source="second", append_to=first.id)
    assert second.parts[: len(first.parts)] == first.parts and place.open("third").read(second).equals(TABLE)
    keyed = place.open().add([TABLE.with_row_index("id")], source="keyed")
    changed = TABLE[5:6].with_columns(id=pl.lit(5, pl.UInt32), age=pl.lit(99.0, TABLE.schema["age"]))
    merged = merge(other, keyed, [changed], ["id"], replaces=True, source="keyed", facts={})
    assert merged.replaced == 1 and merged.snapshot is not None
    rows = place.open().read(merged.snapshot)
    assert rows["age"][5] == 99 and rows.height == 300


def test_an_error_leaves_no_trace(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "PART_ROWS", 10)

    def batches() -> Iterator[pl.DataFrame]:
        yield from TABLE[:100].iter_slices(10)
        raise SourceError("the file is damaged", where="row 101")

    with pytest.raises(SourceError, match="row 101"):
        place.open().add(batches(), source="x")
    assert place.files() == set()
    with pytest.raises(NotFoundError, match="none is kept yet"):
        place.open().get("abc")


def test_writers_at_once(place: Place) -> None:
    made: list[str] = []

    def write(number: int, rows: int) -> None:
        made.append(place.open(f"machine-{number}").add(TABLE[:rows].iter_slices(9), source="x").id)

    threads = [threading.Thread(target=write, args=pair) for pair in enumerate((50, 50, 60, 70, 70))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = place.open("reader")
    assert sorted(found.rows for found in reader.list()) == [50, 60, 70]
    assert {found.id for found in reader.list()} == set(made)
    assert all(reader.read(found).equals(TABLE[: found.rows]) for found in reader.list())


def test_removal_spares_what_others_share(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "PART_ROWS", 100)
    store = place.open()
    first = store.add([TABLE[:100]], source="first")
    second = store.add([TABLE[100:]], source="second", append_to=first.id)
    alone = store.add([TABLE[:7]], source="alone")
    store.remove([first.id, alone.id])
    assert store.list() == (second,)
    assert place.files() == {f"manifests/{second.id}.json", *(f"parts/{part.sha256}.parquet" for part in second.parts)}
    with pytest.raises(StorageError, match="removed meanwhile"):
        store.claim(alone)
    assert place.open("other").read(second).equals(TABLE)
    again = store.add([TABLE[:7]], source="again")
    assert again.id == alone.id and place.open("other").read(again).equals(TABLE[:7])


@pytest.mark.parametrize("damage", ["change", "cut", "remove"])
def test_damaged_parts_are_not_read(place: Place, damage: str) -> None:
    made = place.open().add([TABLE], source="x")
    name = f"parts/{made.parts[0].sha256}.parquet"
    content = bytearray(place.read(name))
    content[50] ^= 1
    if damage == "remove":
        place.delete(name)
    else:
        place.write(name, bytes(content) if damage == "change" else bytes(content[:-1]))
    with pytest.raises(StorageError, match=made.parts[0].sha256):
        place.open("other").read(made)
    # Also from the machine that has a copy of the good one.
    with pytest.raises(StorageError, match=made.parts[0].sha256):
        place.open().verify(made)


@pytest.mark.parametrize("text", [b"{", b"{}", b'{"format": 2, "parts": []}', b"[]", b"\xff"])
def test_damaged_manifests_are_named_and_nothing_is_removed(place: Place, text: bytes) -> None:
    made = place.open().add([TABLE], source="x")
    other = place.open().add([TABLE[:9]], source="y")
    name = f"manifests/{made.id}.json"
    good = place.read(name)
    place.write(name, text)
    with pytest.raises(StorageError, match=made.id):
        place.open("other").get(made.id)
    if text != b'{"format": 2, "parts": []}':
        place.open("other").remove([other.id], even_needed=True)
        place.write(name, good)
        assert place.open("third").read(made).equals(TABLE)


def test_a_part_that_went_meanwhile_is_told(place: Place) -> None:
    first = place.open().add([TABLE[:100]], source="first")

    def batches() -> Iterator[pl.DataFrame]:
        yield TABLE[100:200]
        place.open().remove([first.id], even_needed=True)
        # What another machine has no copy of any more.
        for path in place.root.glob("other/parts/*"):
            path.unlink()

    with pytest.raises(StorageError, match=r"removed meanwhile.*Run the same again"):
        place.open("other").add(batches(), source="second", append_to=first.id)
    assert not any(name.startswith("manifests/") for name in place.files())
