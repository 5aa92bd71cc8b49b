"""Files made to harm: refused by what they are, before they take memory or disk."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import zstandard
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder

from rowsmith.errors import SourceError
from rowsmith.serving import uploads
from rowsmith.serving.uploads import check_upload
from tests.serving.models import json_rows, loans
from tests.serving.test_batch import finished

MEGABYTE = 1 << 20


def gzip_bomb() -> bytes:
    return gzip.compress(b"a,b\n" + b"1,2\n" * 8 * MEGABYTE)


def zstd_bomb() -> bytes:
    return zstandard.compress(b"a,b\n" + b"1,2\n" * 8 * MEGABYTE)


def one_line() -> bytes:
    return gzip.compress(b"a\n" + b"0" * 17 * MEGABYTE)


def million_columns() -> bytes:
    return b",".join(b"column_%d" % number for number in range(1_400_000)) + b"\n"


def pack_in_a_pack() -> bytes:
    return gzip.compress(gzip.compress(b"a\n" * 1000))


def binary() -> bytes:
    return bytes(2 * MEGABYTE)


def wide_parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({str(number): [1] for number in range(uploads.MAX_COLUMNS + 1)}).write_parquet(buffer)
    return buffer.getvalue()


def long_parquet() -> bytes:
    """A billion cells in some kilobytes."""
    buffer = io.BytesIO()
    column = pl.Series([0], dtype=pl.Int8).new_from_index(0, 2_000_000)
    pl.DataFrame({str(number): column for number in range(510)}).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.csv.gz", gzip_bomb),
        ("a.csv.zst", zstd_bomb),
        ("a.csv", zstd_bomb),
        ("a.csv.gz", one_line),
        ("a.csv", million_columns),
        ("a.csv.gz", pack_in_a_pack),
        ("a.csv", binary),
        ("a.parquet", wide_parquet),
        ("a.csv", wide_parquet),
        pytest.param("a.parquet", long_parquet, marks=pytest.mark.slow),
    ],
)
def test_a_bomb_is_refused(tmp_path: Path, name: str, make: Callable[[], bytes]) -> None:
    path = tmp_path / name
    path.write_bytes(make())
    with pytest.raises(SourceError, match=r"too large, or is no table.*Allowed"):
        check_upload(path, name=name, max_bytes=3 * MEGABYTE)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.json", "a.jsonl", "a.arrow", "a.xlsx"])
def test_an_honest_file_passes(tmp_path: Path, name: str) -> None:
    table, path = loans(50), tmp_path / name
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(table.write_csv().encode()))
    elif name.endswith("xlsx"):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("xl/workbook.xml", "<x/>")
    else:
        write: dict[str, Callable[[Path], object]] = {
            "csv": table.write_csv,
            "parquet": table.write_parquet,
            "json": table.write_json,
            "jsonl": table.write_ndjson,
            "arrow": table.write_ipc,
        }
        write[name.split(".")[1]](path)
    check_upload(path, name=name, max_bytes=MEGABYTE)


def hollow_workbook() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("xl/worksheets/sheet1.xml", b" " * 260_000_000)
    return buffer.getvalue()


def deep_json() -> bytes:
    return b"[" * 2_000_000


def deep_line() -> bytes:
    return b'{"a":' * 100_000 + b"1" + b"}" * 100_000


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.xlsx", hollow_workbook),
        ("a.json", deep_json),
        ("a.jsonl", deep_line),
        ("a.csv", million_columns),
        ("a.parquet", binary),
        ("a.csv.gz", pack_in_a_pack),
        ("a.parquet", wide_parquet),
    ],
)
def test_the_page_refuses_or_the_job_fails_and_the_server_goes_on(
    client: FlaskClient, name: str, make: Callable[[], bytes]
) -> None:
    said = outcome(client, name, make())
    assert "Download" not in said and "Traceback" not in said and "/tmp" not in said
    assert "Download" in outcome(client, "rows.json", json.dumps(json_rows(loans(5))).encode())


def outcome(client: FlaskClient, name: str, content: bytes) -> str:
    """What the page says in the end: that the file is refused, or what became of its job."""
    environ = EnvironBuilder(path="/batch", method="POST", data={"file": (io.BytesIO(content), name)}).get_environ()
    try:
        response = client.open(environ)
    finally:
        environ["wsgi.input"].close()  # a large body waits in a temporary file
    if response.status_code == 422:
        return response.text
    return client.get(finished(client, response)).text
