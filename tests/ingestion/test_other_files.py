from __future__ import annotations

import gzip
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rowsmith.errors import RecipeError, SourceError
from tests.ingestion.tables import read

CSV = b"a,b\n1,x\n2,y\n"
TABLE = pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/"), content)
    return path


# -- ZIP -----------------------------------------------------------------------------------------------------------


def test_the_only_table_of_an_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", **{"data__t.csv": CSV, "README": b"words", "__MACOSX__._t.csv": b"x"})
    assert read(path).equals(TABLE)


def test_a_member_that_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", **{"one.csv": CSV, "in__two.csv.gz": gzip.compress(CSV + b"3,z\n")})
    assert read(path, member="one.csv").equals(TABLE)
    assert read(path, member="in/two.csv.gz").height == 3
    with pytest.raises(RecipeError, match=r"2 files.*one\.csv, in/two\.csv\.gz.*member under"):
        read(path)
    with pytest.raises(SourceError, match=r'no member "one\.csw".*is it one\.csv|Is it one\.csv'):
        read(path, member="one.csw")


@pytest.mark.parametrize(
    ("members", "says"),
    [({}, "holds no file"), ({"t.csv": b""}, "is empty"), ({"t.csv": b"0" * 2_000_000_000}, "as traps do")],
)
def test_archives_without_a_table(tmp_path: Path, members: dict[str, bytes], says: str) -> None:
    with pytest.raises((SourceError, RecipeError), match=says):
        read(archive(tmp_path / "a.zip", **members))


def test_an_archive_that_is_cut_off(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", **{"t.csv": CSV * 100})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match="damaged or cut off"):
        read(path)
    content = bytearray(archive(tmp_path / "b.zip", **{"t.csv": CSV * 1000}).read_bytes())
    content[60] ^= 255
    (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises(SourceError, match="damaged or cut off"):
        read(tmp_path / "b.zip")


# -- fixed width ---------------------------------------------------------------------------------------------------

FIXED = '00012 Oslo, N   12.5\n00007 Rome "x"     \n\n00100 Århus     -3.0\n'
PLACES = {"code": [1, 5], "town": [7, 15], "value": [16, 20]}


@pytest.mark.parametrize("name", ["t.fwf", "t.txt", "t"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_fixed_width(tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / name
    path.write_bytes(FIXED.encode(encoding))
    assert read(path, fixed_width=PLACES, encoding=encoding).rows() == [
        ("00012", "Oslo, N", 12.5),
        ("00007", 'Rome "x"', None),
        ("00100", "Århus", -3.0),
    ]


def test_fixed_width_with_a_header_and_without_places(tmp_path: Path) -> None:
    path = tmp_path / "t.fwf"
    path.write_text("CODE  TOWN     VALUE\n" + FIXED, encoding="utf-8")
    assert read(path, fixed_width=PLACES, header=True).height == 3
    with pytest.raises(RecipeError, match="fixed_width = "):
        read(path)
    with pytest.raises(RecipeError, match='"code" has no place'):
        read(path, fixed_width={"code": [5, 1]})


# -- statistics packages -------------------------------------------------------------------------------------------

SURVEY = pl.DataFrame(
    {
        "id": [1, 2, 3],
        "name": ["Zoë", None, "x"],
        "amount": [0.5, None, -2.25],
        "day": [date(2024, 1, 1)] * 3,
        "at": [datetime(2024, 1, 1, 5)] * 3,
        "sex": [1.0, 2.0, None],
    }
)
LABELS = {"sex": {1: "male", 2: "female"}}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("write_sav", {"variable_value_labels": LABELS}),
        ("write_dta", {"variable_value_labels": LABELS}),
        ("write_xport", {}),
    ],
)
def test_statistics_packages(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    pyreadstat = pytest.importorskip("pyreadstat")
    path = tmp_path / {"write_sav": "t.sav", "write_dta": "t.dta", "write_xport": "t.xpt"}[name]
    getattr(pyreadstat, name)(SURVEY, str(path), **options)
    sex: list[Any] = ["male", "female", None] if options else [1, 2, None]
    assert read(path).equals(SURVEY.with_columns(sex=pl.Series(sex)))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(SourceError, match="damaged or cut off"):
        read(path)
