from __future__ import annotations

import gc
import gzip
import json
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rowsmith.errors import RecipeError, SourceError, StorageError
from rowsmith.ingestion.sources import Context, Secrets, read_batches, read_frame, read_new
from rowsmith.ingestion.sources.http import client as client_file
from rowsmith.ingestion.sources.http.client import Client, Manners
from rowsmith.ingestion.sources.http.guard import Guard
from rowsmith.recipe import Recipe
from rowsmith.recipe_data import DataSection
from tests.web import Answer, Asked, WebServer, html, zipped

ROWS = [{"id": i, "name": f"n{i}", "place": {"city": "Oslo", "at": {"x": i / 2}}} for i in range(25)]
FLAT = pl.DataFrame([{"id": i, "name": f"n{i}", "place.city": "Oslo", "place.at.x": i / 2} for i in range(25)])


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer({}) as server:
        yield server


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_file, "FIRST_WAIT", 0.01)


def options(**sections: Any) -> DataSection:
    return DataSection.model_validate(sections)


def read(url: str, context: Context | None = None, /, **http: Any) -> pl.DataFrame:
    return read_frame(url, options(http=http), context)


# -- what an answer is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "http"),
    [
        (ROWS, {}, {}),
        ({"count": 25, "data": {"items": ROWS}}, {}, {}),
        ({"data": {"items": ROWS}, "users": [{"a": 1}]}, {}, {"records": "data.items"}),
        ([{"items": ROWS}], {}, {"records": "0.items"}),
        (b"\n".join(json.dumps(row).encode() for row in ROWS), {"Content-Type": "application/x-ndjson"}, {}),
        (json.dumps(ROWS).encode(), {"Content-Type": "text/plain"}, {"format": "json"}),
        (gzip.compress(json.dumps(ROWS).encode()), {"Content-Type": "application/json"}, {}),
    ],
)
def test_records(web: WebServer, body: Any, headers: dict[str, str], http: dict[str, Any]) -> None:
    web.routes["/rows"] = Answer(body, headers=headers)
    assert read(f"{web.url}/rows", **http).equals(FLAT)


def test_what_records_become(web: WebServer) -> None:
    web.routes["/rows"] = Answer([{"a": 1, "tags": ["x", 2]}, {"a": 2.5, "late": True, "n": {}}, {"a": None}])
    assert read(f"{web.url}/rows").equals(
        pl.DataFrame(
            {
                "a": [1.0, 2.5, None],
                "tags": ['["x",2]', None, None],
                "late": [None, True, None],
                "n": pl.Series([None] * 3, dtype=pl.String),
            }
        )
    )


def test_files_at_an_address(web: WebServer, tmp_path: Path) -> None:
    table = FLAT.select("id", "name")
    table.write_parquet(tmp_path / "t.parquet")
    web.routes |= {
        "/t.parquet": Answer((tmp_path / "t.parquet").read_bytes()),
        "/t.csv": Answer(table.write_csv().encode(), headers={"Content-Type": "text/csv"}),
        "/t.csv.gz": Answer(gzip.compress(table.write_csv().encode())),
        "/export": zipped(table.write_csv().encode()),
    }
    for path in web.routes:
        assert read(web.url + path).equals(table), path


# -- pages ---------------------------------------------------------------------------------------------------------


def by_page(asked: Asked) -> Answer:
    page, size = int(asked.params.get("page", 1)), int(asked.params.get("limit", 10))
    return Answer({"rows": ROWS[(page - 1) * size : page * size]})


def by_offset(asked: Asked) -> Answer:
    start = int(asked.params.get("offset", 0))
    return Answer({"rows": ROWS[start : start + 7]})


def by_cursor(asked: Asked) -> Answer:
    start = int(asked.params.get("after", 0))
    return Answer({"rows": ROWS[start : start + 10], "meta": {"next": start + 10 if start + 10 < 25 else None}})


def by_address(asked: Asked) -> Answer:
    start = int(asked.params.get("s", 0))
    return Answer({"rows": ROWS[start : start + 10], "next": f"/rows?s={start + 10}" if start + 10 < 25 else None})


def by_link(asked: Asked) -> Answer:
    start = int(asked.params.get("s", 0))
    links = ['<http://elsewhere.invalid/>; rel="first"', f'</rows?s={start + 10}>; title="x"; rel="next"']
    return Answer(ROWS[start : start + 10], headers={"Link": ", ".join(links[: 1 + (start + 10 < 25)])})


def missing_after_the_last(asked: Asked) -> Answer:
    return by_page(asked) if int(asked.params["page"]) < 4 else Answer({"detail": "no such page"}, 404)


@pytest.mark.parametrize(
    ("route", "http", "requests"),
    [
        (by_page, {"paging": "page"}, 4),
        (by_page, {"paging": "page", "page_size": 10, "size_param": "limit"}, 3),
        (missing_after_the_last, {"paging": "page"}, 4),
        (by_offset, {"paging": "offset"}, 5),
        (by_cursor, {"paging": "cursor", "cursor_param": "after", "cursor_path": "meta.next"}, 3),
        (by_address, {"paging": "cursor"}, 3),
        (by_link, {}, 3),
        (by_link, {"paging": "link"}, 3),
    ],
)
def test_paging(web: WebServer, route: Any, http: dict[str, Any], requests: int) -> None:
    web.routes["/rows"] = route
    assert read(f"{web.url}/rows", **http).equals(FLAT)
    assert len(web.asked) == requests


def test_pages_of_csv(web: WebServer) -> None:
    table = FLAT.select("id", "name")
    web.routes["/t.csv"] = lambda asked: Answer(table.slice(int(asked.params["offset"]), 10).write_csv().encode())
    assert read(f"{web.url}/t.csv", paging="offset").equals(table)


def test_types_are_settled_over_all_pages(web: WebServer) -> None:
    pages = [[{"v": 1}, {"v": 2}], [{"v": 2.5, "w": "x"}], [{"v": "many"}], []]
    web.routes["/rows"] = lambda asked: Answer(pages[int(asked.params["page"]) - 1])
    assert read(f"{web.url}/rows", paging="page").to_dict(as_series=False) == {
        "v": ["1", "2", "2.5", "many"],
        "w": [None, None, "x", None],
    }


def test_many_pages_wait_on_disk(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowsmith.ingestion.sources.gathered.MAX_BYTES_KEPT", 500)
    web.routes["/rows"] = by_page
    assert read(f"{web.url}/rows", paging="page").equals(FLAT)


@pytest.mark.parametrize(
    ("route", "http", "says"),
    [
        (lambda asked: Answer({"rows": ROWS[:10], "next": "/rows"}), {"paging": "cursor"}, "in a circle"),
        (by_page, {"paging": "page", "max_pages": 2}, "more than 2 pages"),
        (lambda asked: Answer(ROWS[:10]), {"paging": "page"}, "the same rows as the page before"),
        (
            lambda asked: by_page(asked) if asked.params["page"] != "2" else html("<h1>Please log in</h1>"),
            {"paging": "page"},
            "page 2.*web page",
        ),
        (
            lambda asked: by_page(asked) if asked.params["page"] != "2" else Answer({"error": "quota"}),
            {"paging": "page", "records": "rows"},
            'page 2.*no rows at "rows".*keys error',
        ),
    ],
)
def test_pages_that_go_wrong(web: WebServer, route: Any, http: dict[str, Any], says: str) -> None:
    web.routes["/rows"] = route
    with pytest.raises(SourceError, match=f"(?s){says}") as caught:
        read(f"{web.url}/rows", **http)
    assert caught.value.next_step


# -- who asks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("http", "header", "value"),
    [
        ({"bearer": "${TOKEN}"}, "authorization", "Bearer s3cret-token"),
        ({"basic": "me:${TOKEN}"}, "authorization", "Basic bWU6czNjcmV0LXRva2Vu"),
        ({"headers": {"X-Api-Key": "${TOKEN}"}}, "x-api-key", "s3cret-token"),
    ],
)
def test_credentials(web: WebServer, http: dict[str, Any], header: str, value: str) -> None:
    with WebServer({"/rows": Answer(ROWS)}) as other:
        web.routes["/rows"] = lambda asked: Answer(status=302, headers={"Location": f"{other.url}/rows"})
        context = Context(Secrets({"TOKEN": "s3cret-token"}), internal=("127.0.0.1",))
        reading = read_batches(f"{web.url}/rows", options(http=http), context)
        assert sum(batch.height for batch in reading.batches) == 25
        assert web.asked[0].headers[header] == value
        assert header not in other.asked[0].headers
        assert web.asked[0].headers["user-agent"].startswith("rowsmith/")
        web.routes["/rows"] = Answer(b"no such token: s3cret-token", 401)
        with pytest.raises(SourceError, match="401") as caught:
            read_batches(f"{web.url}/rows", options(http=http), context)
        assert "s3cret" not in str(caught.value) + repr(caught.value.__cause__)


def test_a_login_in_the_address(web: WebServer) -> None:
    web.routes["/rows"] = Answer(ROWS)
    context = Context(Secrets({"PW": "p@ss word"}))
    reading = read_batches(web.url.replace("//", "//me:${PW}@") + "/rows?api_key=abcd1234", DataSection(), context)
    assert web.asked[0].headers["authorization"] == "Basic bWU6cEBzcyB3b3Jk"
    assert web.asked[0].params["api_key"] == "abcd1234"
    assert "abcd1234" not in reading.description and "ss" not in reading.description.partition("?")[0]


@pytest.mark.parametrize("http", [{"bearer": "abc"}, {"basic": "me:abc"}, {"headers": {"X-Api-Key": "abc"}}])
def test_secrets_are_not_written_into_a_recipe(http: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="written out") as caught:
        Recipe.from_dict({"data": {"http": http}})
    assert "abc" not in str(caught.value)


# -- patience ------------------------------------------------------------------------------------------------------


@contextmanager
def client(waits: list[float], **manners: Any) -> Iterator[Client]:
    made = Client(Guard(named="127.0.0.1"), Manners(**manners), wait=waits.append)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("retry_after", "least", "most"), [("7", 7, 7), (formatdate(4e9, usegmt=True), None, None), ("soon", 0.005, 0.05)]
)
def test_a_busy_server_is_waited_for(web: WebServer, retry_after: str, least: float | None, most: float) -> None:
    answers = [Answer(b"slow down", 429, {"Retry-After": retry_after}), Answer(b"", 503), Answer(ROWS)]
    web.routes["/rows"] = lambda asked: answers.pop(0)
    waits: list[float] = []
    if least is None:
        with pytest.raises(SourceError, match="asks to wait"), client(waits) as asking:
            asking.get(f"{web.url}/rows")
        return
    with client(waits) as asking:
        assert asking.get(f"{web.url}/rows").status == 200
    assert least <= waits[0] <= most and len(waits) == 2


def test_it_gives_up_in_the_end(web: WebServer) -> None:
    web.routes["/rows"] = Answer(b"", 503)
    with pytest.raises(SourceError, match=r"503 Service Unavailable, 3 times in a row.*nothing was kept"):
        read(f"{web.url}/rows", retries=2)
    assert len(web.asked) == 3


def test_a_rate_is_kept(web: WebServer) -> None:
    web.routes["/rows"] = Answer(ROWS)
    waits: list[float] = []
    with client(waits, rate=2.0) as asking:
        for _ in range(4):
            asking.get(f"{web.url}/rows")
    assert sum(waits) > 1.3 and len(waits) == 3


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(b"x" * 1000, stall=5), "no answer in time"),
        (Answer(b"id,v\n" * 1000, cut=10), "the connection broke"),
        (Answer(b"\0" * 3_000_000), "more than 1 MB"),
        (Answer(gzip.compress(b"0" * 3_000_000), headers={"Content-Encoding": "gzip"}), "more than 1 MB"),
        (Answer(b"no gzip", headers={"Content-Encoding": "gzip"}), "packed wrongly"),
        (Answer(b"{ not json", headers={"Content-Type": "application/json"}), "not valid JSON"),
        (Answer(b"<html>", headers={"Content-Type": "application/json"}), "web page or XML"),
        (Answer([]), "no rows"),
        (Answer([1, 2]), "each row is an object"),
        (Answer({"a": [{"x": 1}], "b": [{"y": 2}]}), "several lists.*a, b"),
        (Answer(b"gone", 410), "410"),
        (Answer(b'{"error": "who are you"}', 403), "403.*who are you"),
    ],
)
def test_faults(web: WebServer, answer: Answer, says: str) -> None:
    web.routes["/rows"] = answer
    with pytest.raises((SourceError, RecipeError), match=f"(?s){says}") as caught:
        read(f"{web.url}/rows", retries=1, timeout=0.3, max_mb=1)
    assert caught.value.next_step and "/rows" in caught.value.where


def test_a_full_disk(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    web.routes["/t.csv"] = Answer(b"a,b\n" + b"1,2\n" * 1_000_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"no room for what is fetched.*TMPDIR"):
            read(f"{web.url}/t.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_nobody_listens() -> None:
    with pytest.raises(SourceError, match="no address"):
        read("http://127.0.0.1:80x/rows")
    with pytest.raises(SourceError, match="no connection"):
        read("http://127.0.0.1:9/rows", retries=0)
    with pytest.raises(SourceError, match="no host of this name"):
        read("http://no-such-host.invalid/rows")


# -- redirects and certificates ------------------------------------------------------------------------------------


def test_redirects(web: WebServer) -> None:
    web.routes |= {
        "/old": lambda asked: Answer(status=301, headers={"Location": "/new?x=1"}),
        "/new": Answer(ROWS),
        "/a": lambda asked: Answer(status=302, headers={"Location": "/b"}),
        "/b": lambda asked: Answer(status=302, headers={"Location": "/a"}),
        "/file": lambda asked: Answer(status=302, headers={"Location": "file:///etc/passwd"}),
    }
    assert read(f"{web.url}/old").equals(FLAT)
    with pytest.raises(SourceError, match="in a circle"):
        read(f"{web.url}/a")
    with pytest.raises(SourceError, match="not one of the web"):
        read(f"{web.url}/file")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    try:
        subprocess.run([*made, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both


def test_certificates(certificate: Path) -> None:
    with WebServer({"/rows": Answer(ROWS)}, certificate) as web:
        with pytest.raises(SourceError, match=r"certificate.*cannot be trusted.*certificates under"):
            read(f"{web.url}/rows")
        assert not web.asked
        for url in (web.url, web.url.replace("127.0.0.1", "localhost")):
            assert read(f"{url}/rows", certificates=str(certificate.with_name("cert.pem"))).equals(FLAT)


# -- somebody else's recipe ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.8", "192.168.1.1", "169.254.169.254",
     "2130706433", "0x7f.1", "127.1", "[fd00::1]", "[64:ff9b::7f00:1]", "100.64.0.1"],
)  # fmt: skip
def test_a_recipe_does_not_lead_to_internal_addresses(host: str) -> None:
    with pytest.raises(SourceError, match=r"internal|no host"):
        read(f"http://{host}:9/rows", Context(named_here=False))


def test_a_redirect_does_not_either(web: WebServer) -> None:
    with WebServer({"/secret": Answer(ROWS)}) as inner:
        for target in (f"{inner.url}/secret".replace("127.0.0.1", "127.0.0.2"), "http://169.254.169.254/latest"):
            web.routes["/rows"] = Answer(status=302, headers={"Location": target})
            with pytest.raises(SourceError, match="internal"):
                read(f"{web.url}/rows")
        assert not inner.asked


def test_the_settings_allow_it(web: WebServer) -> None:
    web.routes["/rows"] = Answer(ROWS)
    for allowed in ("*", "127.0.0.1", "127.0.0.0/8"):
        assert read(f"{web.url}/rows", Context(named_here=False, internal=(allowed,))).equals(FLAT)
    with pytest.raises(SourceError, match="ROWSMITH_INTERNAL_ADDRESSES"):
        read(f"{web.url}/rows", Context(named_here=False, internal=("10.0.0.0/8", "localhost")))


# -- what is new ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_nothing_is_read_again(web: WebServer, header: str) -> None:
    value = {"ETag": '"v1"', "Last-Modified": "Tue, 01 Sep 2026 00:00:00 GMT"}[header]
    condition = {"ETag": "if-none-match", "Last-Modified": "if-modified-since"}[header]
    web.routes["/rows"] = lambda asked: (
        Answer(status=304) if asked.headers.get(condition) == value else Answer(ROWS, headers={header: value})
    )
    reading = read_batches(f"{web.url}/rows")
    list(reading.batches)
    mark = reading.mark()
    assert mark is not None and read_new(f"{web.url}/rows", DataSection(), Context(since=mark)) is None
    web.routes["/rows"] = Answer(ROWS[:3], headers={header: value + "2"})
    again = read_new(f"{web.url}/rows", DataSection(), Context(since=mark))
    assert again is not None and sum(batch.height for batch in again.batches) == 3


def test_rows_since_the_last_one(web: WebServer) -> None:
    web.routes["/rows"] = lambda asked: Answer(ROWS[int(asked.params.get("after", -1)) + 1 :])
    chosen = options(http={"since_param": "after"}, incremental={"cursor": "id"})
    reading = read_batches(f"{web.url}/rows", chosen)
    assert (sum(batch.height for batch in reading.batches), reading.mark()) == (25, {"cursor": 24})
    later = read_new(f"{web.url}/rows", chosen, Context(since={"cursor": 20}))
    assert later is not None and later.only_new
    assert (sum(batch.height for batch in later.batches), later.mark()) == (4, {"cursor": 24})
    none = read_new(f"{web.url}/rows", chosen, Context(since={"cursor": 24}))
    assert none is not None and not list(none.batches) and none.mark() == {"cursor": 24}
