"""Azure and Google: what they do unlike S3, whose tests are in `test_objects.py`. Both servers are there or skipped."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable

import polars as pl
import pytest

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources import Context, Secrets, read_batches, read_frame, read_new
from rowsmith.ingestion.sources.objects import connection
from rowsmith.recipe_data import DataSection
from tests.clouds import ACCOUNT, KEY, AzureServer, GoogleServer
from tests.servers import free_port
from tests.web import Answer, WebServer

obstore = pytest.importorskip("obstore")

NAMES = itertools.count()
TABLE = pl.DataFrame({"id": range(5000), "v": [f"value {i} of many" for i in range(5000)]})


class Cloud:
    """A bucket of its own: what is put there is read with `options`, whose secret `context` knows."""

    def __init__(self, server: AzureServer | GoogleServer) -> None:
        name = f"clouds-{next(NAMES)}"
        self.origin = f"{server.scheme}://{name}"
        store = server.bucket(name)
        self.put: Callable[[str, bytes], None]
        if isinstance(server, AzureServer):
            self.put = lambda key, content: obstore.put(store, key, content)
            secret, storage = KEY, {"endpoint": server.url, "key_id": ACCOUNT}
        else:
            self.put = lambda key, content: server.put(name, key, content)
            secret, storage = server.service_account, {"endpoint": server.root}
        self.options = DataSection.model_validate({"storage": storage | {"secret_key": "${SECRET}"}})
        self.context = Context(Secrets({"SECRET": secret}), internal=("127.0.0.1",))

    def read(self, key: str) -> pl.DataFrame:
        return read_frame(f"{self.origin}/{key}", self.options, self.context)


@pytest.fixture(params=["azure", "google"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    return Cloud(request.getfixturevalue(request.param))


def parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out, compression="uncompressed")
    return out.getvalue()


def test_one_object_and_many(cloud: Cloud) -> None:
    cloud.put("deep/er/t é=1 %41.csv", TABLE.head(3).write_csv().encode())
    for year in (2025, 2026):
        for number in range(2):
            content = parquet(TABLE.slice(number * 2500, 2500))
            cloud.put(f"t/year={year}/part-{number}.parquet", content)
    assert cloud.read("deep/er/t é=1 %41.csv").equals(TABLE.head(3))
    for key in ("t", "t/**/part-?.parquet"):
        frame = cloud.read(key)
        assert frame["year"].to_list() == [2025] * 5000 + [2026] * 5000
        assert frame.drop("year").equals(pl.concat([TABLE, TABLE]))


def test_only_what_is_new_is_read_and_what_changes_is_told(cloud: Cloud) -> None:
    origin = f"{cloud.origin}/*.parquet"
    cloud.put("1.parquet", parquet(TABLE))
    reading = read_batches(origin, cloud.options, cloud.context)
    list(reading.batches)
    since = Context(cloud.context.secrets, since=reading.mark(), internal=cloud.context.internal)
    assert read_new(origin, cloud.options, since) is None
    cloud.put("2.parquet", parquet(TABLE.head(4000)))
    later = read_new(origin, cloud.options, since)
    assert later is not None and later.only_new
    assert pl.concat(later.batches).equals(TABLE.head(4000))


def test_an_object_has_one_tag_however_it_is_found(azure: AzureServer) -> None:
    cloud = Cloud(azure)
    cloud.put("t/x.csv", b"a\n1\n")
    marks = [
        read_batches(f"{cloud.origin}/{key}", cloud.options, cloud.context).mark() for key in ("t/x.csv", "t/*.csv")
    ]
    assert marks[0] == marks[1]


def test_an_object_that_changes_meanwhile(azure: AzureServer) -> None:
    cloud = Cloud(azure)
    for key in ("x.parquet", "y.parquet"):
        cloud.put(key, parquet(TABLE))
    reading = read_batches(f"{cloud.origin}/*.parquet", cloud.options, cloud.context)
    cloud.put("x.parquet", parquet(TABLE.reverse()))
    with pytest.raises(SourceError, match="changed while it was read"):
        list(reading.batches)


@pytest.mark.parametrize("key", ["none.csv", "*.none"])
def test_what_is_not_there(cloud: Cloud, key: str) -> None:
    cloud.put("there.csv", b"a\n1\n")
    with pytest.raises(SourceError, match=r"(no object|are no objects).*there\.csv"):
        cloud.read(key)


@pytest.mark.parametrize("key", ["x.csv", "*.csv"])
def test_a_wrong_key(azure: AzureServer, key: str) -> None:
    cloud = Cloud(azure)
    cloud.put("x.csv", b"a\n1\n")
    cloud.context = Context(Secrets({"SECRET": "d3Jvbmc="}), internal=("127.0.0.1",))
    with pytest.raises(SourceError, match=r"may not be read with these credentials.*AZURE_STORAGE_ACCOUNT_KEY"):
        cloud.read(key)


@pytest.mark.parametrize(
    ("origin", "keys", "says"),
    [
        ("az://box/x.csv", {}, "Account must be specified.*AZURE_STORAGE_ACCOUNT_NAME"),
        ("az://box/x.csv", {"key_id": "me"}, "Invalid Access Key.*AZURE_STORAGE_ACCOUNT_KEY"),
        ("gs://box/x.csv", {}, "service account.*GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_credentials_that_are_none(
    origin: str, keys: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    options = DataSection.model_validate({"storage": {"secret_key": "${SECRET}", **keys}})
    with pytest.raises(SourceError, match=f"may not be read with these credentials.*{says}") as caught:
        read_frame(origin, options, Context(Secrets({"SECRET": "hush-hush"})))
    assert "hush-hush" not in str(caught.value)


def test_a_token_that_is_refused_is_not_a_network_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "RETRIES", 0)
    for name in ("ACCOUNT_NAME", "CLIENT_ID", "CLIENT_SECRET", "TENANT_ID"):
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", "someone")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY", raising=False)
    with WebServer({}) as web:
        web.answer = lambda asked: Answer(b"no", 400)  # type: ignore[method-assign]
        monkeypatch.setenv("AZURE_STORAGE_AUTHORITY_HOST", web.url)
        with pytest.raises(SourceError, match="may not be read with these credentials"):
            read_frame("az://box/x.csv")
    monkeypatch.setenv("AZURE_STORAGE_AUTHORITY_HOST", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SourceError, match="does not answer"):
        read_frame("az://box/x.csv")
