from __future__ import annotations

from pathlib import Path

import pytest

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources import read_batches
from tests.ingestion.tables import read

WORDS = "name,city\nJosé,Málaga\nZoë,Köln\n"


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("cp1252", "cp1252"),
    ],
)
def test_encoding_is_found(tmp_path: Path, encoding: str, found: str) -> None:
    path = tmp_path / "words.csv"
    path.write_bytes(WORDS.encode(encoding))
    reading = read_batches(path)
    assert reading.facts["encoding"] == found
    assert next(reading.batches).rows() == [("José", "Málaga"), ("Zoë", "Köln")]


def test_encoding_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_bytes("name,city\nŁódź,x\n".encode("iso8859-2"))
    assert read(path, encoding="iso8859-2")["name"].to_list() == ["Łódź"]


@pytest.mark.parametrize("signs", ["5 €", "“quoted”", "10\u201320", "20 °C"])
def test_signs_of_windows_are_text(tmp_path: Path, signs: str) -> None:
    path = tmp_path / "signs.csv"
    path.write_bytes(f"a,b\n1,{signs} x\n".encode("cp1252"))
    assert read(path)["b"].to_list() == [f"{signs} x"]


@pytest.mark.parametrize(
    ("content", "line", "byte"),
    [
        (b"a,b\n1,\xff\xfe\n", 2, 6),
        (b"a,b\n1,\x81\n", 2, 6),
        (b"a,b\n1,\xc3\x28\n", 2, 6),
        ("a,b\né,1\n".encode() + b"\xe9t\xe9,2\n", 3, 9),
    ],
)
def test_bytes_that_are_no_text_are_named(tmp_path: Path, content: bytes, line: int, byte: int) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"bad.csv, line {line}: .* at byte {byte}\b"):
        read(path)


def test_a_bad_byte_far_into_a_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowsmith.ingestion.sources.formats.text.CHUNK_BYTES", 7)
    path = tmp_path / "bad.csv"
    start = "a,b\n" + "é,1\n" * 50
    path.write_bytes(start.encode() + b"\xff,2\n")
    with pytest.raises(SourceError, match=rf"line 52: .* at byte {len(start.encode())}\b"):
        read(path)


def test_a_zero_byte_far_into_a_file_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 5000 + b"\x00\n")
    with pytest.raises(SourceError, match=r"binary file, though its name ends in \.csv"):
        read(path)
