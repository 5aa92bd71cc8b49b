"""However a CSV file is cut into pieces, and whether its types are guessed or settled first, it is the same table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.conform.plain import type_name
from rowsmith.errors import SourceError
from rowsmith.ingestion.row_hash import RowHash
from rowsmith.ingestion.sources import Context, Unsettled, read_batches
from rowsmith.ingestion.sources.formats import delimited, delimited_records, text
from rowsmith.recipe_data import DataSection
from rowsmith.workflows.project import open_project
from rowsmith.workflows.reading import take

HOSTILE = (
    *(
        "",
        "0",
        "7",
        "-7",
        "+7",
        " 7",
        "7 ",
        "  ",
        "\t7",
        "007",
        " 007",
        "-07",
        "+07",
        "00.5",
        "-00.5",
        "0.5",
        "-0.5",
        ".5",
    ),
    *("7.", "1e3", "1E-3", "1e400", "nan", "NaN", "inf", "-inf", "infinity", "9007199254740993", "-9007199254740993"),
    *(
        "12345678901234567890",
        "9223372036854775807",
        "-9223372036854775808",
        "9007199254740993.5",
        "1e16",
        "2026-01-01",
    ),
    *(
        "01.02.2026",
        "00:30",
        "n/a",
        "1,5",
        "1,500",
        "-0,5",
        "0,25",
        "12,3456",
        "\u00e9",
        "\u00a07",
        "x^2",
        "x\x01",
        "true",
    ),
    *("-", "+", 'say "7"', "7\n8", "7 8", "1_000", "0x7", "\u0663"),
)
Outcome = tuple[object, ...]


def outcome(path: Path, options: DataSection, *, may_guess: bool) -> Outcome:
    """The id that a snapshot would have, or the words of the error."""
    try:
        reading = read_batches(path, options, Context(may_guess=may_guess))
        digest: RowHash | None = None
        for batch in reading.batches:
            names = {name: type_name(dtype) for name, dtype in batch.schema.items()}
            digest = digest or RowHash(names)
            digest.update(batch)
    except Unsettled:
        assert may_guess
        return outcome(path, options, may_guess=False)
    except SourceError as problem:
        return (str(problem),)
    assert digest is not None
    return (digest.hexdigest(), names, reading.facts, dict(reading.columns))


@st.composite
def tables(draw: st.DrawFn) -> tuple[bytes, str, bool]:
    """A file, its separator, and whether quotes are astray. Columns are mostly of one kind of value."""
    width = draw(st.integers(1, 4))
    columns = []
    height = draw(st.integers(1, 40))
    for _ in range(width):
        usual = draw(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3))
        column = [draw(st.sampled_from(usual)) for _ in range(height)]
        for _ in range(draw(st.integers(0, 2))):
            column[draw(st.integers(0, height - 1))] = draw(st.sampled_from(HOSTILE))
        columns.append(column)
    rows = [list(row) for row in zip(*columns, strict=True)]
    for _ in range(draw(st.integers(0, 2)) if draw(st.booleans()) else 0):
        row = draw(st.sampled_from(rows))
        row[:] = draw(st.sampled_from(([*row, "9"], [*row, ""], row[:-1], [])))
    separator = draw(st.sampled_from((",", ";", "\t")))
    rows.insert(0, [f"c{place}" for place in range(width)])
    quotes = draw(st.sampled_from(("where needed", "everywhere", "astray")))
    ending = draw(st.sampled_from(("\n", "\r\n")))
    written = io.StringIO()
    if quotes == "astray":
        written.writelines(separator.join(row) + ending for row in rows)
    else:
        quoting: Literal[0, 1] = csv.QUOTE_ALL if quotes == "everywhere" else csv.QUOTE_MINIMAL
        csv.writer(written, delimiter=separator, lineterminator=ending, quoting=quoting).writerows(rows)
    content = written.getvalue().encode()
    if draw(st.booleans()):
        content = content.rstrip(b"\r\n")
    mark = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    return mark + content, separator, quotes == "astray"


@settings(max_examples=25, deadline=None)
@given(tables(), st.integers(30, 600))
def test_pieces_guesses_and_compiled_loops_make_no_difference(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[bytes, str, bool], chunk: int
) -> None:
    content, separator, is_astray = table
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    path.write_bytes(content)
    options = DataSection(separator=separator, quote='"', header=True)
    whole = outcome(path, options, may_guess=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "MAX_BYTES_KEPT", 0)
        patch.setattr(delimited_records, "CHUNK_BYTES", chunk)
        patch.setattr(delimited_records, "BLOCK_BYTES", 16)
        settled = outcome(path, options, may_guess=False)
        assert outcome(path, options, may_guess=True) == settled
        patch.setattr(delimited_records, "is_compiled", False)
        assert outcome(path, options, may_guess=False) == settled
    # From quotes that are astray the csv module reads on, which leaves out blanks before a value.
    assert is_astray or settled == whole


Encoded = tuple[bytes, str | None]


@st.composite
def encodings(draw: st.DrawFn) -> Encoded:
    """A file of a few hundred bytes that is ASCII at first, and what the recipe says of its encoding."""
    encoding = draw(st.sampled_from(("utf-8", "utf-8-sig", "cp1252", "utf-16")))
    late = draw(st.sampled_from(("é", "Málaga", "5 €", "\u201cso\u201d", "\ud83d\ude00", "Łódź", "x")))
    late = late.encode("utf-16", "surrogatepass").decode("utf-16")
    lines = [f"{number},7,x" for number in range(draw(st.integers(1, 60)))]
    lines.insert(draw(st.integers(0, len(lines))), f"0,{late},x")
    lines += draw(st.sampled_from(([], ["1,2"], ['1,"2,3'], ['1,2 "3",4'])))
    ending = draw(st.sampled_from(("\n", "\r\n", "\r")))
    content = ending.join(["a,b,c", *lines]).encode(encoding, "replace")
    if draw(st.booleans()):
        place = draw(st.integers(6, len(content)))
        content = content[:place] + draw(st.sampled_from((b"\xff", b"\xc3", b"\xe9", b"\x81", b"\0"))) + content[place:]
    return content, draw(st.sampled_from((None, None, "utf-8", "cp1252")))


def kind(found: Outcome) -> Outcome:
    """Which of the faults of a file is told first is left open."""
    return found if len(found) > 1 else ()


@settings(max_examples=100, deadline=None)
@given(encodings(), st.integers(20, 300))
def test_an_encoding_that_shows_late_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, file: Encoded, chunk: int
) -> None:
    content, encoding = file
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    path.write_bytes(content)
    options = DataSection(separator=",", quote='"', header=True, encoding=encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited_records, "CHUNK_BYTES", chunk)
        patch.setattr(text, "CHUNK_BYTES", chunk)
        whole = outcome(path, options, may_guess=False)
        patch.setattr(delimited, "MAX_BYTES_KEPT", 0)
        for may_guess in (False, True):
            assert kind(outcome(path, options, may_guess=may_guess)) == kind(whole)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize(("late", "encoding"), [("Zoë", "cp1252"), ("Zoë", "utf-8"), ("😀", "utf-8")])
def test_a_late_letter_gives_the_snapshot_of_the_whole(
    tmp_path: Path, late: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "CHUNK_BYTES", 100)
    path = tmp_path / "table.csv"
    path.write_bytes(("a,b,c\n" + "1,x,2\n" * 500 + f"1,{late},2\n" * 3).encode(encoding))
    project = open_project(tmp_path)
    kept = take(project, path).snapshot
    assert kept.facts["encoding"] == encoding
    assert project.snapshots.read(kept)["b"].to_list() == ["x"] * 500 + [late] * 3


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("may_guess", [False, True])
def test_a_late_byte_that_is_no_text_is_named(tmp_path: Path, may_guess: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "CHUNK_BYTES", 100)
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b,c\n" + b"1,x,2\n" * 1000 + b"1,\x81,2\n")
    (found,) = outcome(path, DataSection(), may_guess=may_guess)
    assert "line 1002" in str(found) and "the byte 0x81 at byte 6008" in str(found)
    path.write_bytes(b"a,b,c\n" + b"1,x,2\n" * 1000 + b"1,\0,2\n")
    (found,) = outcome(path, DataSection(), may_guess=may_guess)
    assert "a zero byte at byte 6008" in str(found)


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is large."""
    monkeypatch.setattr(delimited, "MAX_BYTES_KEPT", 0)
    monkeypatch.setattr(delimited_records, "CHUNK_BYTES", 200)


def write(path: Path, *values: str) -> Path:
    path.write_text("a,b,c\n" + "".join(f"{number},{value},x\n" for number, value in enumerate(values)))
    return path


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("late", ["n/a", "2.5", "007", "", "12345678901234567890", '"7 "', "2026-01-01"])
def test_a_late_value_gives_the_snapshot_of_the_whole(tmp_path: Path, late: str) -> None:
    path = write(tmp_path / "table.csv", *["7"] * 500, late)
    project = open_project(tmp_path)
    kept = take(project, path).snapshot
    rows = project.snapshots.read(kept)["b"]
    assert rows.dtype == {"2.5": pl.Float64, "": pl.Int64, '"7 "': pl.Int64}.get(late, pl.String)
    if rows.dtype == pl.String:
        assert rows.to_list() == ["7"] * 500 + [late]
    settled = read_batches(path)
    assert kept.id == project.snapshots.add(settled.batches, source="again").id
    assert len(project.snapshots.list()) == 1


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize(("usual", "late"), [("7", "n/a"), ("7", "2.5"), ("2.5", "x"), ("", "7"), ("7", "007")])
def test_a_wrong_guess_is_said_before_the_end(tmp_path: Path, usual: str, late: str) -> None:
    path = write(tmp_path / "table.csv", *[usual] * 500, late)
    with pytest.raises(Unsettled):
        list(read_batches(path, context=Context(may_guess=True)).batches)


@pytest.mark.usefixtures("pieces")
def test_a_right_guess_reads_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "table.csv", *["7"] * 500)
    begun: list[bool] = []

    class Counted(delimited_records._Cutter):
        def pieces(self) -> Iterator[delimited_records.Records | pl.DataFrame]:
            begun.append(True)
            return super().pieces()

    monkeypatch.setattr(delimited_records, "_Cutter", Counted)
    take(open_project(tmp_path), path)
    assert len(begun) == 2, "once for the guess, from the first piece, and once for the rows"


@pytest.mark.usefixtures("pieces")
def test_a_field_too_many_and_one_too_few_do_not_even_out(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "1,2\n" * 200 + "1\n1,2,3\n" + "1,2\n" * 200)
    for may_guess in (False, True):
        with pytest.raises(SourceError, match=r"line 202 \(row 201\)"):
            list(read_batches(path, context=Context(may_guess=may_guess)).batches)
    path.write_text("a,b\n" + "1,2\n" * 200 + "1,2,\n1\n" + "1,2\n" * 200)
    with pytest.raises(SourceError, match=r"line 202 \(row 201\)"):
        list(read_batches(path).batches)
