from __future__ import annotations

import hashlib
import io
import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion import snapshot
from rowsmith.ingestion.keeping.folder import FolderStore
from rowsmith.ingestion.snapshot import SnapshotStore
from rowsmith.ingestion.sources import Context, Secrets, Unsettled, read_batches, read_frame, read_new
from rowsmith.ingestion.sources.objects.keys import Place, partitions
from rowsmith.recipe_data import DataSection
from rowsmith.workflows.project import open_project
from tests.ingestion.tables import people
from tests.s3 import KEYS, S3Server
from tests.web import Answer, WebServer

obstore = pytest.importorskip("obstore")

CONTEXT = Context(Secrets({"SECRET": KEYS["secret_access_key"]}), internal=("127.0.0.1",))
NAMES = itertools.count()
TABLE = pl.DataFrame({"id": range(5000), "v": [f"value {i} of many" for i in range(5000)]})


@pytest.fixture(scope="module")
def server(s3: S3Server) -> S3Server:
    return s3


@pytest.fixture
def bucket(server: S3Server) -> tuple[str, Any]:
    name = f"objects-{next(NAMES)}"
    return name, server.bucket(name)


def options(endpoint: str, **storage: Any) -> DataSection:
    keys = {"endpoint": endpoint, "region": "us-east-1", "key_id": KEYS["access_key_id"], "secret_key": "${SECRET}"}
    return DataSection.model_validate({"storage": keys | storage})


def parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out, compression="uncompressed")
    return out.getvalue()


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl", "deep/er/t é=1 %41.csv"])
def test_one_object(server: S3Server, bucket: tuple[str, Any], name: str) -> None:
    small = TABLE.head(3)
    content = parquet(small) if name.endswith("parquet") else small.write_csv().encode()
    content = small.write_ndjson().encode() if name.endswith("jsonl") else content
    obstore.put(bucket[1], name, content)
    assert read_frame(f"s3://{bucket[0]}/{name}", options(server.url), CONTEXT).equals(small)


@pytest.mark.parametrize("origin", ["t", "t/", "t/*.parquet", "t/part-[0-4].parquet", "**/part-?.parquet"])
def test_many_objects(server: S3Server, bucket: tuple[str, Any], origin: str) -> None:
    for number in range(5):
        obstore.put(bucket[1], f"t/part-{number}.parquet", parquet(TABLE.slice(number * 1000, 1000)))
    for noise in ("t/_SUCCESS", "t/.hidden.parquet", "other/x.csv"):
        obstore.put(bucket[1], noise, b"x")
    reading = read_batches(f"s3://{bucket[0]}/{origin}", options(server.url), CONTEXT)
    assert pl.concat(reading.batches).equals(TABLE)
    assert len(reading.facts["parts"]) == 5


def test_folders_that_say_something(server: S3Server, bucket: tuple[str, Any]) -> None:
    for year, place in [(2024, "a b"), (2025, "__HIVE_DEFAULT_PARTITION__")]:
        name = place.replace(" ", "%20")
        big = TABLE if year == 2024 else TABLE.head(2)
        obstore.put(bucket[1], f"t/year={year}/place={name}/x.parquet", parquet(big))
    frame = read_frame(f"s3://{bucket[0]}/t", options(server.url), CONTEXT)
    assert frame.columns == ["id", "v", "year", "place"]
    assert frame.group_by("year", "place", maintain_order=True).len().rows() == [(2024, "a b", 5000), (2025, None, 2)]
    assert partitions(["y=1/x=07/a", "y=2/x=8/a"], "") == [{"y": 1, "x": "07"}, {"y": 2, "x": "8"}]


def test_only_new_objects_are_read(server: S3Server, bucket: tuple[str, Any]) -> None:
    origin, chosen = f"s3://{bucket[0]}/t/*.csv", options(server.url)
    obstore.put(bucket[1], "t/1.csv", b"a\n1\n")
    reading = read_batches(origin, chosen, CONTEXT)
    list(reading.batches)
    since = Context(CONTEXT.secrets, since=reading.mark(), internal=CONTEXT.internal)
    assert read_new(origin, chosen, since) is None
    obstore.put(bucket[1], "t/2.csv", b"a\n2\n")
    later = read_new(origin, chosen, since)
    assert later is not None and later.only_new and pl.concat(later.batches)["a"].to_list() == [2]
    obstore.put(bucket[1], "t/1.csv", b"a\n9\n")
    again = read_new(origin, chosen, since)
    assert again is not None and not again.only_new and pl.concat(again.batches)["a"].to_list() == [9, 2]


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"", "x.csv", "is empty.*half-uploaded"),
        (parquet(TABLE)[:-100], "x.parquet", "damaged or cut off.*half-uploaded"),
        (parquet(TABLE)[:500], "x.parquet", "damaged or cut off"),
        (b"\0" * 100_000, "x.parquet", "damaged or cut off"),
    ],
)
def test_half_uploaded(server: S3Server, bucket: tuple[str, Any], content: bytes, name: str, says: str) -> None:
    obstore.put(bucket[1], name, content)
    with pytest.raises(SourceError, match=f"(?s){name}.*{says}"):
        read_frame(f"s3://{bucket[0]}/{name}", options(server.url), CONTEXT)


def test_an_object_that_changes_meanwhile(server: S3Server, bucket: tuple[str, Any]) -> None:
    obstore.put(bucket[1], "x.parquet", parquet(TABLE))
    obstore.put(bucket[1], "y.parquet", parquet(TABLE))
    reading = read_batches(f"s3://{bucket[0]}/*.parquet", options(server.url), CONTEXT)
    obstore.put(bucket[1], "x.parquet", parquet(TABLE.reverse()))
    with pytest.raises(SourceError, match="changed while it was read"):
        list(reading.batches)


@pytest.mark.parametrize(
    "origin", ["s3://no-such-bucket-here/x.csv", "s3://{}/none.csv", "s3://{}/none/*.csv", "s3://{}"]
)
def test_what_is_not_there(server: S3Server, bucket: tuple[str, Any], origin: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_frame(origin.format(bucket[0]), options(server.url), CONTEXT)
    assert caught.value.next_step


def test_without_permission() -> None:
    with S3Server(open_requests=2) as guarded:
        store = guarded.bucket("closed")
        obstore.put(store, "x.csv", b"a\n1\n")
        for origin in ("s3://closed/x.csv", "s3://closed/*.csv"):
            with pytest.raises(
                SourceError, match=r"may not be read with these credentials.*AWS_ACCESS_KEY_ID"
            ) as caught:
                read_frame(origin, options(guarded.url), CONTEXT)
            assert KEYS["secret_access_key"] not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize("status", [403, 401])
def test_other_stores_refuse_too(status: int) -> None:
    with WebServer({}) as web:
        web.answer = lambda asked: Answer(b"no", status)  # type: ignore[method-assign]
        for origin in ("gs://bucket/x.csv", "az://container/x.csv"):
            account = {"key_id": "account"} if origin.startswith("az") else {}
            chosen = DataSection.model_validate({"storage": {"endpoint": web.url, "anonymous": True, **account}})
            with pytest.raises(SourceError, match="may not be read"):
                read_frame(origin, chosen, CONTEXT)


def test_google_knows_no_id_of_a_key() -> None:
    chosen = DataSection.model_validate({"storage": {"key_id": "account"}})
    with pytest.raises(RecipeError, match=r"data\.storage\.key_id.*service account"):
        read_frame("gs://bucket/x.csv", chosen, CONTEXT)


def test_a_version_from_a_bucket_by_one_command(server: S3Server, bucket: tuple[str, Any], tmp_path: Path) -> None:
    """Credentials and endpoint come from the environment."""
    for year in (2025, 2026):
        obstore.put(bucket[1], f"t/year={year}/p.parquet", parquet(people(200, seed=year)))
    environment = os.environ | server.environment
    (tmp_path / "rowsmith.toml").write_text('[train]\nfamilies = ["linear"]\nmax_trials = 1\n', encoding="utf-8")
    command = [sys.executable, "-m", "rowsmith", "run", f"s3://{bucket[0]}/t/", "--target", "left", "--json"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 4), done.stderr
    assert KEYS["secret_access_key"] not in done.stdout + done.stderr
    assert open_project(tmp_path).snapshots.list()[0].rows == 400


def test_a_recipe_does_not_lead_to_internal_endpoints(server: S3Server) -> None:
    with pytest.raises(SourceError, match="internal"):
        read_frame("s3://bucket/x.csv", options(server.url), Context(CONTEXT.secrets))
    with pytest.raises(RecipeError, match="no endpoint"):
        read_frame("s3://bucket/x.csv", options("ftp://x"), CONTEXT)
    with pytest.raises(ValueError, match="written out"):
        options(server.url, secret_key="hush-hush")


@pytest.mark.parametrize(
    ("glob", "key", "is_meant"),
    [
        ("a/*.csv", "a/x.csv", True),
        ("a/*.csv", "a/b/x.csv", False),
        ("a/**/*.csv", "a/x.csv", True),
        ("a/**/*.csv", "a/b/c/x.csv", True),
        ("a/**", "a/b/c", True),
        ("a/[!x]?.csv", "a/xy.csv", False),
        ("a/[!x]?.csv", "a/yy.csv", True),
        ("a.b/*", "aXb/c", False),
    ],
)
def test_globs(glob: str, key: str, is_meant: bool) -> None:
    assert Place("s3", "b", glob).matches(key) is is_meant


def test_objects_that_are_parquet_become_parts_as_they_are(
    server: S3Server, bucket: tuple[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SMALL_BYTES", 1)
    contents = [parquet(TABLE.slice(start, 2500)) for start in (0, 2500)]
    for number, content in enumerate(contents):
        obstore.put(bucket[1], f"t/{number}.parquet", content)
    reading = read_batches(f"s3://{bucket[0]}/t", options(server.url), replace(CONTEXT, may_guess=True))
    store = SnapshotStore(FolderStore(tmp_path))
    made = store.add(reading.batches, source=reading.description, original_of=reading.original_of)
    assert [part.sha256 for part in made.parts] == [hashlib.sha256(content).hexdigest() for content in contents]
    assert store.read(made).equals(TABLE)
    assert made.id == SnapshotStore(FolderStore(tmp_path / "other")).add([TABLE], source="table").id


def test_objects_are_taken_to_be_like_the_first(server: S3Server, bucket: tuple[str, Any]) -> None:
    origin, guessing = f"s3://{bucket[0]}/t", replace(CONTEXT, may_guess=True)
    obstore.put(bucket[1], "t/1.parquet", parquet(TABLE))
    obstore.put(bucket[1], "t/2.parquet", parquet(TABLE.select("v", "id")))
    assert read_frame(origin, options(server.url), guessing).equals(pl.concat([TABLE, TABLE]))
    obstore.put(bucket[1], "t/3.parquet", parquet(TABLE.with_columns(pl.col("id") / 2)))
    with pytest.raises(Unsettled):
        read_frame(origin, options(server.url), guessing)
    assert read_frame(origin, options(server.url), CONTEXT)["id"].to_list()[-1] == 4999 / 2
    obstore.put(bucket[1], "t/3.parquet", parquet(TABLE.rename({"id": "other"})))
    with pytest.raises(Unsettled):
        read_frame(origin, options(server.url), guessing)
    with pytest.raises(SourceError, match='lacks "id"'):
        read_frame(origin, options(server.url), CONTEXT)
