"""rowsmith data: the store of snapshots by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.cli.conftest import Command

VALIDATE = "import sys, mlcroissant; print(len(mlcroissant.Dataset(jsonld=sys.argv[1]).metadata.record_sets[0].fields))"


@pytest.fixture
def here(tmp_path: Path, rowsmith: Command) -> tuple[object, ...]:
    """A project with two snapshots: a year, and the same with a month more and another age."""
    year = pl.DataFrame({"id": range(100), "age": [20 + i % 40 for i in range(100)], "town": ["a", "b"] * 50})
    year.write_csv(tmp_path / "year.csv")
    later = pl.concat([year, year.with_columns(pl.col("id") + 100, pl.col("age") + 50)])
    later.with_columns(new=pl.lit("x")).write_csv(tmp_path / "later.csv")
    options = ("--project", tmp_path, "--json")
    for name in ("year.csv", "later.csv"):
        assert rowsmith("ingest", tmp_path / name, *options).code == 0
    return options


def ids(rowsmith: Command, here: tuple[object, ...]) -> list[str]:
    return [item["id"] for item in rowsmith("data", "list", *here).json["snapshots"]]


def test_list_and_show(rowsmith: Command, here: tuple[object, ...]) -> None:
    newest, oldest = ids(rowsmith, here)
    shown = rowsmith("data", "show", oldest[:8], *here).json
    assert shown["id"] == oldest and shown["rows"] == 100 and shown["facts"]["format"] == "csv"
    age = next(column for column in shown["profile"] if column["name"] == "age")
    assert (age["missing"], age["distinct"], age["low"], age["high"], age["deciles"][4]) == (0, 40, 20, 59, 36)
    town = next(column for column in shown["profile"] if column["name"] == "town")
    assert town["levels"] == [["a", 50], ["b", 50]]
    assert rowsmith("data", "show", oldest[:8], *here).json == shown
    assert newest[:12] in rowsmith("data", "list", *here[:-1]).out
    assert "year.csv" in rowsmith("data", "show", oldest, *here[:-1]).out


def test_diff(rowsmith: Command, here: tuple[object, ...]) -> None:
    newest, oldest = ids(rowsmith, here)
    found = rowsmith("data", "diff", oldest, *here).json
    assert found["schema"]["added"] == {"new": "String"} and found["after"] == newest
    assert found["rows"] == {"before": 100, "after": 200, "gone": 0, "come": 100}
    index = {column["name"]: column["stability"] for column in found["columns"]}
    assert index["age"] > 0.2 and index["town"] == pytest.approx(0, abs=1e-3)
    assert "come" in rowsmith("data", "diff", oldest, newest, *here[:-1]).out


def test_verify_finds_what_was_changed(rowsmith: Command, here: tuple[object, ...]) -> None:
    assert rowsmith("data", "verify", *here).json == {"passed": True, "snapshots": 2, "faults": []}
    root = Path(str(here[1])) / ".rowsmith" / "snapshots"
    manifest = next((root / "manifests").iterdir())
    document = json.loads(manifest.read_text())
    document["columns"].reverse()
    manifest.write_text(json.dumps(document))
    ended = rowsmith("data", "verify", *here)
    assert ended.code == 1 and [fault["id"] for fault in ended.json["faults"]] == [manifest.stem]
    part = next((root / "parts").iterdir())
    part.write_bytes(part.read_bytes()[:-1])
    assert rowsmith("data", "verify", *here).json["passed"] is False


def test_prune_keeps_what_is_needed(rowsmith: Command, here: tuple[object, ...], tmp_path: Path) -> None:
    newest, oldest = ids(rowsmith, here)
    assert [item["id"] for item in rowsmith("data", "prune", "--dry-run", *here).json["removed"]] == [oldest]
    assert rowsmith("data", "prune", "--keep", 2, *here).json["removed"] == []
    fed = rowsmith("ingest", tmp_path / "year.csv", "--key", "id", *here).json["snapshot"]["id"]
    assert fed == oldest
    assert rowsmith("data", "prune", *here).json["removed"] == []
    assert [item["id"] for item in rowsmith("data", "prune", "--keep", 0, *here).json["removed"]] == [newest]
    assert ids(rowsmith, here) == [oldest]
    assert rowsmith("data", "verify", *here).json["passed"]
    parts = list((tmp_path / ".rowsmith" / "snapshots" / "parts").iterdir())
    assert len(parts) == len(rowsmith("data", "show", *here).json["parts"])


def test_the_card_passes_the_public_validator(rowsmith: Command, here: tuple[object, ...], tmp_path: Path) -> None:
    path = tmp_path / "croissant.json"
    assert rowsmith("data", "card", "--out", path, *here).code == 0
    done = subprocess.run([sys.executable, "-c", VALIDATE, path], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "4\n", done.stderr
    assert "WARNING" not in done.stderr


def test_an_empty_store(rowsmith: Command, tmp_path: Path) -> None:
    assert "rowsmith ingest DATA" in rowsmith("data", "list", "--project", tmp_path).out
    assert rowsmith("data", "show", "--project", tmp_path).code == 2
    assert rowsmith("data", "prune", "--project", tmp_path).code == 0
    assert list(tmp_path.iterdir()) == []
