from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources import read_batches
from rowsmith.ingestion.sources.formats import delimited, delimited_records
from rowsmith.recipe_data import DataSection
from tests.ingestion.tables import read


def read_text(tmp_path: Path, text: str, name: str = "table.csv", **options: object) -> pl.DataFrame:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return read(path, **options)


@pytest.mark.parametrize(
    ("text", "separator", "decimal"),
    [
        ("a,b\n1,2.5\n3,4.5\n", ",", "."),
        ("a;b\n1;2,5\n3;4,25\n", ";", ","),
        ("a;b\n1;2.5\n3;4.25\n", ";", "."),
        ("a\tb\n1\t2.5\n3\t4.5\n", "\t", "."),
        ("a|b\n1|2.5\n3|4.5\n", "|", "."),
        ('a,b\n1,"2,5"\n3,x\n', ",", "."),
    ],
)
def test_dialect_is_found(tmp_path: Path, text: str, separator: str, decimal: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    reading = read_batches(path)
    frame = pl.concat(reading.batches)
    assert (reading.facts["separator"], reading.facts["decimal"]) == (separator, decimal)
    assert frame["a"].to_list() == [1, 3]
    assert frame.columns == ["a", "b"]


def test_decimal_commas_become_numbers(tmp_path: Path) -> None:
    frame = read_text(tmp_path, "a;b;c\n1,5;x;1\n-0,25;y;2\n")
    assert frame.to_dict(as_series=False) == {"a": [1.5, -0.25], "b": ["x", "y"], "c": [1, 2]}


def test_commas_that_may_be_thousands_stay_text_beside_points(tmp_path: Path) -> None:
    frame = read_text(tmp_path, "a;b\n1,500;2.5\n2,500;3.5\n")
    assert frame.schema == {"a": pl.String(), "b": pl.Float64()}


def test_decimal_can_be_told(tmp_path: Path) -> None:
    assert read_text(tmp_path, "a;b\n1,500;2\n", decimal=",")["a"].to_list() == [1.5]
    assert read_text(tmp_path, "a;b\n1,5;2\n", decimal=".")["a"].to_list() == ["1,5"]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["1", "2", "-3"], pl.Int64),
        (["1", " 2", "3 "], pl.Int64),
        (["1", "", "3"], pl.Int64),
        (["1", "2.5"], pl.Float64),
        (["1e3", "2"], pl.Float64),
        (["1", "nan"], pl.Float64),
        (["007", "008"], pl.String),
        (["1", "x"], pl.String),
        (["1", "inf"], pl.String),
        (["12345678901234567890", "1"], pl.String),
        (["true", "false"], pl.String),
        (["2024-01-31", "2024-02-01"], pl.String),
        (["", ""], pl.String),
    ],
)
def test_types_are_those_of_every_value(tmp_path: Path, values: list[str], dtype: type[pl.DataType]) -> None:
    frame = read_text(tmp_path, "a,b\n" + "".join(f"{value},0\n" for value in values))
    assert frame["a"].dtype == dtype
    if dtype == pl.String and values != ["", ""]:
        assert frame["a"].to_list() == values


def test_a_word_late_in_the_file_keeps_every_value_as_it_is_written(tmp_path: Path) -> None:
    values = [f"{i}.50" for i in range(20_000)] + ["n/a"]
    frame = read_text(tmp_path, "a,b\n" + "".join(f"{value},1\n" for value in values))
    assert frame["a"].to_list() == values


def test_large_files_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_BYTES_KEPT", 0)
    monkeypatch.setattr(delimited_records, "CHUNK_BYTES", 1000)
    rows = [(i, f'say "{i}"\nand go on', i / 4) for i in range(500)]
    text = io.StringIO()
    csv.writer(text).writerows([("i", "s", "f"), *rows])
    path = tmp_path / "table.csv"
    path.write_text(text.getvalue(), newline="")
    batches = list(read_batches(path).batches)
    assert len(batches) > 10
    assert pl.concat(batches).rows() == rows


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=12), st.integers(8, 300), st.booleans())
def test_what_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], chunk: int, quote_all: bool
) -> None:
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL)
        writer.writerow(["first", "second", "third"])
        writer.writerows([("x" + a, "x" + b, "x" + c) for a, b, c in rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited_records, "CHUNK_BYTES", chunk)
        frame = read(path, separator=",", quote='"', header=True)
    assert frame.rows() == [("x" + a, "x" + b, "x" + c) for a, b, c in rows]


def test_quotes_inside_plain_fields_are_text(tmp_path: Path) -> None:
    text = 'a,b\n1,"x, y"\n2,5" pipe\n3,"say ""hi"""\n'
    assert read_text(tmp_path, text)["b"].to_list() == ["x, y", '5" pipe', 'say "hi"']


def test_blanks_after_separators_do_not_count(tmp_path: Path) -> None:
    frame = read_text(tmp_path, 'a, b, c\n1, 2.5, "x, y"\n3, 4.5, z\n')
    assert frame.rows() == [(1, 2.5, "x, y"), (3, 4.5, "z")]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends_and_blank_lines(tmp_path: Path, ending: str) -> None:
    frame = read_text(tmp_path, ending.join(["", "a,b", "1,2", "", "3,4", "", ""]))
    assert frame.rows() == [(1, 2), (3, 4)]


def test_a_blank_line_of_one_column_is_a_missing_value(tmp_path: Path) -> None:
    assert read_text(tmp_path, "a\n1\n\n3\n", header=True)["a"].to_list() == [1, None, 3]


def test_text_that_begins_like_a_compressed_file_is_text(tmp_path: Path) -> None:
    assert read_text(tmp_path, "x^2,1\nx^3,2\n", header=False)["column_1"].to_list() == ["x^2", "x^3"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n4.1,3.0,virginica\n", ["column_1", "column_2", "column_3"]),
        ("1\n2\n3\n", ["column_1"]),
        ("country,2019,2020\nDE,1,2\nFR,3,4\n", ["country", "2019", "2020"]),
        ("0,1,2\n5,6,7\n", ["0", "1", "2"]),
        ("a,b\nx,y\nz,w\n", ["a", "b"]),
        (",b\n1,2\n", ["column_1", "b"]),
        (" a ,b\n1,2\n", ["a", "b"]),
    ],
)
def test_header_is_found(tmp_path: Path, text: str, names: list[str]) -> None:
    assert read_text(tmp_path, text).columns == names


def test_header_can_be_told(tmp_path: Path) -> None:
    assert read_text(tmp_path, "a,b\n1,2\n", header=False).rows() == [("a", "b"), ("1", "2")]
    assert read_text(tmp_path, "1,2\n3,4\n", header=True).columns == ["1", "2"]


def test_single_quotes_are_found(tmp_path: Path) -> None:
    assert read_text(tmp_path, "a,b\n0.5,'x, y'\n0.7,'z'\n")["b"].to_list() == ["x, y", "z"]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3 (row 2)", "1 fields, but there are 2 columns"),
        ("a,b\n1,2\n\n3,4,5\n", "line 4 (row 2)", "3 fields"),
        ('a,b\n1,"x\ny"\n3,4,5\n', "line 4 (row 2)", "3 fields"),
        ('a,b\n5" pipe,2\n3\n', "line 3 (row 2)", "1 fields"),
        ('a,b\n1,2\n3,"x\n4,5\n', "line 3 (row 2)", "quotes"),
        ('a,b\n1,"x\n' + "2,3\n" * 100_000, "line 2 (row 1)", "quotes"),
        ("a,b,a\n1,2,3\n", "line 1", '2 columns have the name "a"'),
        ("a,b\n", "table.csv", "no rows"),
        ("", "table.csv", "empty"),
        ("\n\n", "table.csv", "blank lines"),
    ],
)
def test_broken_files_are_refused_by_name_and_place(tmp_path: Path, text: str, place: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_text(tmp_path, text)
    assert place in caught.value.where
    assert "table.csv" in caught.value.where
    assert message in str(caught.value)


def test_long_fields(tmp_path: Path) -> None:
    long = "1" * 300_000
    frame = read_text(tmp_path, f'a,b\nx,{long}y\n"{long}",5" tall\n', header=True)
    assert frame.rows() == [("x", f"{long}y"), (long, '5" tall')]


def test_rows_are_counted_over_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited_records, "CHUNK_BYTES", 50)
    with pytest.raises(SourceError, match=r"line 102 \(row 101\)"):
        read_text(tmp_path, "a,b\n" + "1,2\n" * 100 + "1\n")


@pytest.mark.parametrize("options", [{"separator": ";;"}, {"quote": "é"}, {"encoding": "klingon"}])
def test_options_that_make_no_sense(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(RecipeError):
        read_text(tmp_path, "a,b\n1,2\n", **options)


def test_separator_can_be_told(tmp_path: Path) -> None:
    options = DataSection(separator=" ")
    path = tmp_path / "table.dat"
    path.write_text("a b\n1 2\n3 4\n")
    assert pl.concat(read_batches(path, options).batches).rows() == [(1, 2), (3, 4)]


def test_a_carriage_return_within_a_line_is_no_end_of_it(tmp_path: Path) -> None:
    path = tmp_path / "returns.csv"
    path.write_bytes(b"a,b\rc\r\n1,x\ry\r\n2,z\r\n")
    assert read(path).columns == ["a", "b c"]
    assert read(path).to_series(1).to_list() == ["x\ry", "z"]
