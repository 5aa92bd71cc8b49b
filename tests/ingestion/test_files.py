from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
import zstandard

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources import read_batches, read_frame
from tests.ingestion.tables import read, write_xlsx

TABLE = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [0.5, None, 2.5]})
CSV = TABLE.write_csv().encode()


def written(path: Path) -> Path:
    """The table in the format that the extension names."""
    match path.suffix:
        case ".parquet":
            TABLE.write_parquet(path)
        case ".feather" | ".arrow":
            TABLE.write_ipc(path)
        case ".arrows":
            TABLE.write_ipc_stream(path)
        case ".json":
            TABLE.write_json(path)
        case ".jsonl":
            TABLE.write_ndjson(path)
        case ".xlsx":
            write_xlsx(path, {"Sheet": [TABLE.columns, *TABLE.rows()]})
        case _:
            TABLE.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    return path


EXTENSIONS = (".csv", ".tsv", ".txt", ".parquet", ".feather", ".arrow", ".arrows", ".json", ".jsonl", ".xlsx")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_format_gives_the_same_table(tmp_path: Path, extension: str) -> None:
    assert read(written(tmp_path / f"table{extension}")).equals(TABLE)


@pytest.mark.parametrize("extension", [e for e in EXTENSIONS if e not in (".txt", ".tsv")])
def test_content_decides_where_the_name_says_nothing(tmp_path: Path, extension: str) -> None:
    path = written(tmp_path / f"table{extension}").rename(tmp_path / "table")
    assert read(path).equals(TABLE)


@pytest.mark.parametrize("extension", [".csv", ".json", ".jsonl", ".parquet"])
def test_packed_files(tmp_path: Path, extension: str) -> None:
    content = written(tmp_path / f"table{extension}").read_bytes()
    zipped, zstd = tmp_path / f"one{extension}.gz", tmp_path / f"two{extension}.ZST"
    zipped.write_bytes(gzip.compress(content, mtime=0))
    zstd.write_bytes(zstandard.compress(content))
    assert read(zipped).equals(TABLE)
    assert read(zstd).equals(TABLE)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_pack_that_was_cut_off(tmp_path: Path, pack: object) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(pack(CSV * 100)[:-10])  # type: ignore[operator]
    with pytest.raises(SourceError, match=r"table\.csv\.gz.*(damaged|empty|cut off)"):
        read(path)


def test_temporary_copies_disappear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(CSV, mtime=0))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    assert read(path).equals(TABLE)
    assert not list(scratch.iterdir())


def test_parts_are_read_by_name_and_widened(tmp_path: Path) -> None:
    (tmp_path / "2.csv").write_text("a,b\n2.5,x\n")
    (tmp_path / "1.csv").write_text("a,b\n1,\n")
    (tmp_path / "3.csv").write_text("b,a\ny,3\n")
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".hidden").write_text("")
    expected = [(1.0, None), (2.5, "x"), (3.0, "y")]
    assert read(tmp_path).rows() == expected
    assert read(str(tmp_path / "*.csv")).rows() == expected


def test_parts_of_numbers_and_words_are_text_as_written(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a\n1.50\n")
    (tmp_path / "2.csv").write_text("a\nn/a\n")
    pl.DataFrame({"a": [2.0, 2.5]}).write_parquet(tmp_path / "3.parquet")
    assert read(tmp_path)["a"].to_list() == ["1.50", "n/a", "2", "2.5"]


def test_parts_with_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,c\n1,2\n")
    with pytest.raises(SourceError, match=r'2\.csv.*it lacks "b"; it has "c" besides'):
        read(tmp_path)


@pytest.mark.parametrize("content", [CSV, gzip.compress(CSV, mtime=0)])
def test_open_files_and_streams(content: bytes) -> None:
    assert read(io.BytesIO(content)).equals(TABLE)


def test_a_file_open_as_text_is_refused() -> None:
    with pytest.raises(SourceError, match="open as text"):
        read(io.StringIO("a,b\n1,2\n"))


def test_standard_input() -> None:
    code = "from rowsmith.ingestion.sources import read_frame; print(read_frame('-').rows())"
    done = subprocess.run([sys.executable, "-c", code], input=CSV, capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(TABLE.rows())


def test_a_name_that_is_nearly_right(tmp_path: Path) -> None:
    written(tmp_path / "customers.csv")
    with pytest.raises(SourceError, match=r"no such file.*customers\.csv"):
        read(tmp_path / "custmers.csv")


@pytest.mark.parametrize(
    ("pattern", "message"), [("*.csv", "no file matches"), ("", "no files"), ("no/x.csv", "folder")]
)
def test_nothing_there(tmp_path: Path, pattern: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(str(tmp_path / pattern))


PARQUET = io.BytesIO()
TABLE.write_parquet(PARQUET)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", PARQUET.getvalue(), "Parquet file, though its name ends in .csv"),
        ("x.csv", os.urandom(3000) + b"\0" * 9, "binary file"),
        ("x.csv", b"\x89PNG\r\n\x1a\n", "a picture"),
        ("x.csv", b"PK\x03\x04rest", "a ZIP file"),
        ("x.csv", b"\x80\x04\x95", "a pickle"),
        ("x.parquet", PARQUET.getvalue()[:-20], "damaged or cut off"),
        ("x.parquet", CSV, "not a Parquet file"),
        ("x.parquet", b"PAR1", "damaged or cut off"),
        ("x.feather", b"ARROW1\0\0" + b"\0" * 50, "damaged or cut off"),
        ("x.feather", b"FEA1\0\0\0\0", "Feather file of version 1"),
        ("x.arrows", b"\xff\xff\xff\xff" + b"\0" * 3, "damaged or cut off"),
        ("x.xyz", CSV, "the format of this file is unknown"),
        ("x.parquet", b"", "empty"),
        ("x.xlsx", CSV, "not an Excel file"),
        ("x.xlsx", b"PK\x03\x04[Content_Types].xml", "cannot be read"),
        (
            "x.xlsx",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "protected by a password",
        ),
        ("x.json", b'{"a": [1, 2', "not valid JSON"),
        ("x.json", b'[{"a": 1}, 2]', "each row of a JSON table is an object"),
        ("x.json", b'{"a": [1, 2], "b": [1]}', "differ in length"),
        ("x.json", b"[]", "no rows"),
        ("x.json", b"3", "no table"),
        ("x.jsonl", b'{"a": 1}\n{"a": \n', "line 2"),
        ("x.jsonl", b'{"a": 1}\n3\n', "line 2"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        read(path)
    assert name in caught.value.where


def test_parquet_with_two_columns_of_one_name(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "x.parquet")
    with pytest.raises(SourceError, match="same name"):
        read(tmp_path / "x.parquet")


def test_only_columns_no_rows(tmp_path: Path) -> None:
    TABLE.clear().write_parquet(tmp_path / "x.parquet")
    with pytest.raises(SourceError, match="no rows"):
        read(tmp_path / "x.parquet")


def test_wide_parquet_comes_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowsmith.ingestion.sources.formats.lazy_table.CELLS_PER_BATCH", 6)
    batches = list(read_batches(written(tmp_path / "t.parquet")).batches)
    assert [batch.height for batch in batches] == [2, 1]


def test_excel_sheets(tmp_path: Path) -> None:
    sheets: dict[str, list[list[object]]] = {
        "First": [["a"], [1]],
        "Second": [["b", "c", "d"], [1.5, "x", True], ["y", None, False]],
    }
    path = write_xlsx(tmp_path / "book.xlsx", sheets)
    assert read(path).rows() == [(1,)]
    assert read(path, sheet="Second").to_dict(as_series=False) == {
        "b": ["1.5", "y"],
        "c": ["x", None],
        "d": [True, False],
    }
    with pytest.raises(SourceError, match="First, Second"):
        read(path, sheet="Third")


@pytest.mark.parametrize(
    ("rows", "message"),
    [([], "empty"), ([["a", "b"]], "no rows"), ([["a", "a"], [1, 2]], '2 columns have the name "a"')],
)
def test_bad_sheets(tmp_path: Path, rows: Sequence[Sequence[object]], message: str) -> None:
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": rows})
    with pytest.raises(SourceError, match=message) as caught:
        read(path)
    assert 'sheet "Data"' in caught.value.where


def test_json_of_several_shapes(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text, rows in (
        ('[{"a": 1}, {"a": 2.5, "b": "x"}, {}]', [(1.0, None), (2.5, "x"), (None, None)]),
        ('{"a": [1, 2], "b": ["x", null]}', [(1, "x"), (2, None)]),
        ('{"a": 1, "b": "x"}', [(1, "x")]),
        ('{"a": 1, "b": "x"}\n{"a": 2}\n', [(1, "x"), (2, None)]),
        ('[{"a": NaN}, {"a": 1.5}]', [(None,), (1.5,)]),
        ('[{"a": 1}, {"a": "x"}, {"a": true}]', [("1",), ("x",), ("true",)]),
        ('[{"a": [1, 2]}, {"a": {"b": "é"}}]', [("[1,2]",), ('{"b":"é"}',)]),
        ('[{"a": 9223372036854775808}, {"a": 1}]', [("9223372036854775808",), ("1",)]),
    ):
        path.write_text(text)
        assert read(path).rows() == rows


def test_json_lines_settle_names_and_types_over_all_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowsmith.ingestion.sources.formats.json_lines.ROWS_PER_BATCH", 2)
    monkeypatch.setattr("rowsmith.ingestion.sources.formats.json_lines.MAX_BYTES_KEPT", 0)
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n\n{"a": 2.5, "b": true}\n')
    assert read(path).rows() == [(1.0, None), (2.0, None), (2.5, True)]


def test_what_is_no_table_at_all() -> None:
    with pytest.raises(SourceError, match=r"Received a builtins\.int"):
        read(3)


def test_options_are_checked_before_reading(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="klingon"):
        read(written(tmp_path / "x.json"), encoding="klingon")


def test_a_named_pipe_is_read_like_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(b"a,b\n1,x\n2,y\n"))
    writer.start()
    assert read_frame(str(path)).rows() == [(1, "x"), (2, "y")]
    writer.join()


def test_addresses_and_a_closed_standard_input_are_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="begin with gopher:// are not read") as caught:
        read_frame("gopher://user:hush@example.org/table.csv?token=hush&page=1")
    assert caught.value.where == "gopher://user@example.org/table.csv?token=***&page=1"
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SourceError, match="standard input is closed"):
        read_frame("-")


def test_a_workbook_that_unpacks_to_too_much_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/worksheets/sheet1.xml", b" " * 260_000_000)
    with pytest.raises(SourceError, match=r"bomb\.xlsx.*260 MB unpacked.*Parquet"):
        read_frame(path)
