"""Snapshots in a bucket: what a folder has no need of. The promises of both are in `contracts/test_part_stores.py`."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from rowsmith.errors import StorageError
from rowsmith.ingestion import snapshot
from rowsmith.ingestion.keeping import bucket, cache, marks
from rowsmith.ingestion.keeping.bucket import Bucket
from rowsmith.ingestion.keeping.bucket_store import BucketStore
from rowsmith.ingestion.keeping.cache import PartCache
from rowsmith.ingestion.snapshot import Snapshot, SnapshotStore
from rowsmith.ingestion.sources.objects import connection
from rowsmith.ingestion.sources.objects.keys import Place
from rowsmith.serving.app import create_app
from rowsmith.settings import Settings, read_settings
from rowsmith.workflows.project import open_project
from tests.cli.conftest import Command, rowsmith
from tests.contracts.part_places import BucketPlace
from tests.ingestion.tables import people
from tests.s3 import KEYS, S3Server
from tests.servers import free_port

__all__ = ["rowsmith"]

TABLE = people(300)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BucketPlace:
    monkeypatch.setattr(marks, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(snapshot, "PART_ROWS", 100)
    monkeypatch.setattr(connection, "RETRIES", 1)
    return BucketPlace(tmp_path, request)


class Watched(Bucket):
    """Calls `first` once, before the first call of `method` with a key that begins like this."""

    def __init__(self, address: str, method: str, key: str, first: Callable[[], None]) -> None:
        super().__init__(Place.of(address))
        self._waiting = [(method, key, first)]

    def _look(self, method: str, key: str) -> None:
        if self._waiting and self._waiting[0][0] == method and key.startswith(self._waiting[0][1]):
            self._waiting.pop()[2]()

    def create(self, key: str, content: bytes) -> bool:
        self._look("create", key)
        return super().create(key, content)

    def _delete(self, key: str) -> None:
        self._look("delete", key)
        super()._delete(key)


def watched(place: BucketPlace, method: str, key: str, first: Callable[[], None]) -> SnapshotStore:
    found = Watched(place.address, method, key, first)
    return SnapshotStore(BucketStore(found, PartCache(place.root / "watched", 10**8), lambda: "watched"))


def kept(place: BucketPlace) -> Snapshot:
    """Written long ago by somebody who needs it no longer."""
    made = place.open("writer").add([TABLE[:100]], source="first")
    place.open("writer").remove([])
    for name in place.everything():
        if name.startswith("claims/"):
            place.delete(name)
    return made


def test_who_removes_spares_what_is_about_to_be_published(place: BucketPlace) -> None:
    first = kept(place)
    store = watched(place, "create", "manifests/", lambda: place.open("remover").remove([first.id]))
    second = store.add([TABLE[100:200]], source="second", append_to=first.id)
    assert place.open("reader").list() == (second,)
    assert place.open("reader").read(second).equals(TABLE[:200])


def test_who_publishes_waits_for_one_who_removes(place: BucketPlace) -> None:
    first = kept(place)
    made: list[Snapshot] = []
    removing = threading.Event()

    def batches() -> Iterator[pl.DataFrame]:
        removing.wait()
        yield TABLE[100:200]

    def write() -> None:
        made.append(place.open("writer").add(batches(), source="second", append_to=first.id))

    writer = threading.Thread(target=write)
    writer.start()

    def begin() -> None:
        removing.set()
        until = time.monotonic() + 10
        while not any(name.startswith("writing/") for name in place.everything()) and time.monotonic() < until:
            time.sleep(0.01)

    # The writer looks for its parent before that goes.
    time.sleep(0.3)
    watched(place, "delete", "parts/", begin).remove([first.id])
    writer.join()
    assert place.open("reader").list() == (made[0],)
    assert place.open("reader").read(made[0]).equals(TABLE[:200])


def test_marks_of_killed_programs_grow_old(place: BucketPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    orphan = f"{'0' * 64}.parquet"
    place.write(f"parts/{orphan}", b"PAR1")
    place.write("writing/dead", json.dumps({"snapshots": [], "files": [orphan]}).encode())
    store = place.open()
    store.remove([])
    assert f"parts/{orphan}" in place.files()
    monkeypatch.setattr(marks, "WRITER_LIFE", timedelta(seconds=-1))
    store.remove([])
    assert place.everything() == set()

    monkeypatch.setattr(marks, "WRITER_LIFE", timedelta(days=1))
    made = store.add(TABLE.iter_slices(100), source="x")
    named = [f"{part.sha256}.parquet" for part in made.parts]
    place.write("removing/dead", json.dumps({"snapshots": [], "files": named}).encode())
    monkeypatch.setattr(marks, "REMOVER_LIFE", timedelta(seconds=1.5))
    again = store.add(TABLE[:299].iter_slices(100), source="y")
    assert place.open("reader").read(again).height == 299
    assert not any(name.startswith(("removing/", "writing/", "clock/")) for name in place.everything())


def test_what_others_need_stays(place: BucketPlace) -> None:
    mine = place.open("one").add([TABLE], source="x")
    assert place.open("other").add([TABLE], source="y") == mine
    place.open("one").remove([mine.id])
    assert place.open("one").list() == (mine,)
    assert place.open("three").needed_elsewhere([mine]) == {mine.id}
    place.open("other").remove([mine.id])
    assert place.everything() == set()
    # The copies of who removed it go, too, and those of others once they look.
    assert not any((place.root / "other" / "parts").glob("*"))
    assert any((place.root / "one" / "parts").glob("*"))
    assert place.open("one").list() == ()
    assert not any((place.root / "one" / "parts").glob("*"))
    made = place.open("one").add([TABLE], source="x")
    place.open("other").remove([made.id], even_needed=True)
    assert place.everything() == set()


def test_a_renewed_mark_has_the_parts_looked_at_again(place: BucketPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks.Marks, "_marked", _aging(marks.Marks._marked))
    made = place.open().add([TABLE], source="x")
    assert place.open("reader").read(made).equals(TABLE)


def _aging(marked: Callable[..., float]) -> Callable[..., float]:
    """The first mark is put as if it was long ago."""
    ages = iter([marks.WRITER_LIFE.total_seconds(), 0.0])
    return lambda *arguments: marked(*arguments) - next(ages)


def test_copies_are_bounded_and_mended(place: BucketPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    made = place.open("writer").add(TABLE.iter_slices(100), source="x")
    size = made.parts[0].bytes
    reader = SnapshotStore(BucketStore(Bucket(Place.of(place.address)), PartCache(place.root / "r", 2 * size), str))
    assert reader.read(made).equals(TABLE)
    files = list((place.root / "r" / "parts").iterdir())
    assert len(files) == 3  # what is in use stays
    assert reader.list() == (made,)
    for file in (*files, place.root / "r" / "manifests" / f"{made.id}.json"):
        file.write_bytes(b"x" * file.stat().st_size)
    assert reader.list() == (made,)
    assert reader.read(made).equals(TABLE)
    other = place.open("writer").add([TABLE[:50]], source="y")
    monkeypatch.setattr(cache, "IN_USE_SECONDS", -1.0)
    assert reader.read(other).equals(TABLE[:50])
    assert sum(file.stat().st_size for file in (place.root / "r" / "parts").iterdir()) <= 2 * size + 1000
    assert reader.read(made).equals(TABLE)


def test_what_was_read_once_is_there_without_a_network(place: BucketPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    made = place.open("writer").add([TABLE], source="x")
    assert place.open("reader").read(place.open("reader").list()[0]).equals(TABLE)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    alone = place.open("reader")
    assert alone.list() == (made,) and alone.get(made.id[:8]) == made
    assert alone.read(made).equals(TABLE)
    alone.claim(made)
    with pytest.raises(StorageError, match=r"does not answer.*nothing was kept") as caught:
        alone.add([TABLE[:9]], source="y")
    assert isinstance(caught.value, bucket.Unreachable)
    with pytest.raises(StorageError, match="does not answer"):
        place.open("newcomer").list()
    with pytest.raises(StorageError, match="does not answer"):
        alone.remove([made.id])


class Cable:
    """Between a program and the S3 server, cut after so many bytes that the program sent."""

    def __init__(self, to: str, most: int) -> None:
        self._to = to.rpartition("/")[2].split(":")
        self._left = most
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while self._left > 0:
            near, _ = self._listener.accept()
            far = socket.create_connection((self._to[0], int(self._to[1])))
            threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()
        self._listener.close()

    def _carry(self, one: socket.socket, other: socket.socket, counts: bool) -> None:
        try:
            while data := one.recv(4096):
                if counts:
                    self._left -= len(data)
                if self._left <= 0:
                    break
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            end.close()


def test_a_network_that_goes_in_the_middle_of_an_upload(place: BucketPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    cable = Cable(place.server.url, 12_000)
    noise = pl.DataFrame({"x": os.urandom(30_000)[i : i + 30].hex()} for i in range(0, 30_000, 30))
    monkeypatch.setenv("AWS_ENDPOINT_URL", cable.url)
    with pytest.raises(StorageError, match=r"store of snapshots .*nothing was kept") as caught:
        place.open("far").add([noise], source="x")
    assert KEYS["secret_access_key"] not in repr(caught.value)
    assert not any(name.startswith("manifests/") for name in place.files())
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.server.url)
    made = place.open("far").add([noise], source="x")
    assert place.open("reader").read(made).equals(noise)


def test_without_permission_or_bucket(place: BucketPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "s3://no-such-bucket/x"
    nobody = SnapshotStore(BucketStore(Bucket(Place.of(address)), PartCache(tmp_path / "n", 1), str))
    for call in (nobody.list, lambda: nobody.add([TABLE], source="x")):
        with pytest.raises(StorageError, match=r"no such bucket.*ROWSMITH_SNAPSHOTS"):
            call()
    with S3Server(open_requests=4) as guarded:
        guarded.bucket("closed")
        monkeypatch.setenv("AWS_ENDPOINT_URL", guarded.url)
        store = SnapshotStore(BucketStore(Bucket(Place.of("s3://closed/x")), PartCache(tmp_path / "c", 1), str))
        with pytest.raises(StorageError, match=r"may not be used with these credentials.*AWS_ACCESS_KEY_ID") as caught:
            store.add([TABLE], source="x")
        assert KEYS["secret_access_key"] not in str(caught.value) + repr(caught.value.__cause__)
        assert not any((tmp_path / "c" / "incoming").iterdir())


@pytest.mark.parametrize("wrong", ["bucket/x", "http://bucket", "s3://", "s3://me:secret@bucket/x", "s3://b/x?y=1"])
def test_addresses_that_are_no_place_for_snapshots(wrong: str) -> None:
    with pytest.raises(Exception, match="ROWSMITH_SNAPSHOTS"):
        read_settings({"ROWSMITH_SNAPSHOTS": wrong})
    assert read_settings({"ROWSMITH_SNAPSHOTS": "s3://b/x/"}).snapshots == "s3://b/x"


@pytest.fixture
def in_bucket(place: BucketPlace, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketPlace]:
    monkeypatch.setenv("ROWSMITH_SNAPSHOTS", place.address)
    yield place


def test_every_command_works_on_it(in_bucket: BucketPlace, rowsmith: Command, tmp_path: Path) -> None:
    (tmp_path / "rowsmith.toml").write_text(
        '[data]\nsource = "t.csv"\n[data.incremental]\nkey = ["id"]\n'
        '[target]\ncolumn = "left"\n[train]\nfamilies = ["linear"]\nmax_trials = 1\n'
    )
    table = TABLE.with_row_index("id")
    table[:200].write_csv(tmp_path / "t.csv")
    here = ("--project", tmp_path, "--json")
    first = rowsmith("ingest", *here).json["snapshot"]
    table.write_csv(tmp_path / "t.csv")
    second = rowsmith("ingest", *here).json
    assert (second["rows_added"], second["before"]) == (100, first["id"])
    assert rowsmith("run", *here).code in (0, 4)
    listed = rowsmith("data", "list", *here).json
    assert [item["rows"] for item in listed["snapshots"]] == [300, 200] and listed["where"] == f"{in_bucket.address}/"
    assert rowsmith("data", "show", *here).json["profile"]
    assert rowsmith("data", "diff", first["id"], *here).json["rows"]["come"] == 100
    assert rowsmith("data", "verify", *here).json["passed"]
    assert rowsmith("data", "card", *here).json["recordSet"]
    assert [item["id"] for item in rowsmith("data", "prune", *here).json["removed"]] == [first["id"]]
    assert not (tmp_path / ".rowsmith" / "snapshots").exists()
    pages = create_app(open_project(tmp_path, snapshots_at=in_bucket.address), Settings()).test_client()
    newest = listed["snapshots"][0]["id"]
    assert newest[:12] in pages.get("/data").text and newest in pages.get(f"/data/{newest[:12]}").text
    # Another machine finds it, reads it, and cannot take it away.
    there = tmp_path / "there"
    there.mkdir()
    assert [item["rows"] for item in rowsmith("data", "list", "--project", there, "--json").json["snapshots"]] == [300]
    pruned = rowsmith("data", "prune", "--keep", 0, "--project", there, "--json").json
    assert (pruned["removed"], pruned["needed_elsewhere"]) == ([], 1)
    assert "--even-needed" in rowsmith("data", "prune", "--keep", 0, "--project", there).out
