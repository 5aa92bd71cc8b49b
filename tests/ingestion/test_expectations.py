from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import rowsmith
from rowsmith.conform import Conformer
from rowsmith.errors import RecipeError, SchemaError
from rowsmith.ingestion.expectations import expecting, require
from rowsmith.ingestion.infer import infer_schema
from rowsmith.ingestion.table import Table
from rowsmith.recipe import Recipe
from rowsmith.workflows.ingest import examine, ingest
from rowsmith.workflows.project import open_project
from rowsmith.workflows.reading import take_snapshot
from rowsmith.workflows.recipe_file import explained
from rowsmith.workflows.train import train_frame
from tests.ingestion.tables import people

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TABLE = pl.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "age": [30.0, 40.0, None, 50.0],
        "price": ["$1,200", "$80", "n/a", "$5"],
        "code": ["A-1", "B-2", "C-3", "D-4"],
        "day": ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"],
        "month": [1, 1, 2, 2],
        "left": ["yes", "no", "yes", "no"],
    }
)


def recipe(**expect: Any) -> Recipe:
    return Recipe.from_dict({"expect": expect})


def column(name: str, /, **rule: Any) -> dict[str, Any]:
    return {"columns": {name: rule}}


HELD: list[dict[str, Any]] = [
    {"min_rows": 4, "max_rows": 4, "unique": ["id", "month"]},
    column("id", type="integer", min=1, max=4, unique=True, max_missing=0),
    column("age", type="number", min=0, max=120, max_missing=0.25),
    column("age", values=["30", "40", "50"]),
    column("price", type="number", min=5, max=1200),
    column("price", min=5),
    column("code", pattern="[A-D]-[0-9]", max_missing=0),
    column("left", values=["yes", "no"]),
    column("day", type="datetime", min="2026-11-20", max_age="2 days"),
    column("day", max_age="36 hours"),
]
BROKEN: list[tuple[dict[str, Any], str, int | None]] = [
    ({"min_rows": 5}, "4 rows, and at least 5", None),
    ({"max_rows": 3}, "4 rows, and at most 3", None),
    ({"unique": ["month", "left"]}, "", None),
    ({"unique": ["month"]}, '2 rows repeat the "month"', None),
    (column("month", unique=True), '2 rows repeat the "month"', None),
    (column("nobody", min=0), '"nobody" is expected, and is not there', None),
    (column("id", max=3), "has 4, which is not as expected: a number up to 3", 3),
    (column("id", min=2), "has 1, which is not as expected: a number from 2.0 on", 0),
    (column("age", max_missing=0.2), "25.0% of the column", None),
    (column("age", max_missing=0), "no value, which is not as expected: in every row", 2),
    (column("price", max=1000), 'has "$1,200"', 0),
    (column("code", pattern="[A-C]-[0-9]"), 'has "D-4", which is not as expected: like', 3),
    (column("code", pattern="[A-D]"), "A-1", 0),
    (column("code", type="number"), "cannot|not as expected: a number", 0),
    (column("left", values=["yes"]), "one of yes", 1),
    (column("day", max_age="12 hours"), "newest date of \"day\" is 2026-11-23 00:00:00", None),
    (column("day", min="2026-11-21"), "2026-11-20", 0),
    (column("left", max_age="1 day"), "not as expected: |no date", None),
]  # fmt: skip


@pytest.mark.parametrize("expect", HELD)
@pytest.mark.parametrize("size", [1, 3, 4])
def test_what_holds(expect: dict[str, Any], size: int) -> None:
    batches = TABLE.iter_slices(size)
    out = list(expecting(batches, recipe(**expect).expect, now=NOW, is_whole=True))
    assert pl.concat(out).equals(TABLE)
    require(Table.of_frame(TABLE), recipe(**expect).expect, infer_schema(TABLE, Recipe()), now=NOW)


@pytest.mark.parametrize(("expect", "says", "row"), [case for case in BROKEN if case[1]])
@pytest.mark.parametrize("size", [1, 4])
def test_what_does_not(expect: dict[str, Any], says: str, row: int | None, size: int) -> None:
    with pytest.raises(SchemaError, match=re.escape(says) if "|" not in says else says) as caught:
        list(expecting(TABLE.iter_slices(size), recipe(**expect).expect, now=NOW, is_whole=True))
    assert caught.value.faults[0].row == row or row is None
    assert "[expect]" in caught.value.next_step
    with pytest.raises(SchemaError):
        require(Table.of_frame(TABLE), recipe(**expect).expect, infer_schema(TABLE, Recipe()), now=NOW)


def test_rows_that_are_added_may_be_few() -> None:
    assert list(expecting([TABLE], recipe(min_rows=99).expect, now=NOW, is_whole=False))


@pytest.mark.parametrize(
    ("expect", "says"),
    [
        (column("a", type="identifier"), "any value"),
        (column("a", pattern="("), "no regular expression"),
        (column("a", min=3, max=2), "min is above max"),
        (column("a", min=3, max="2024-01-01"), "two numbers or two dates"),
        (column("a", min="soon"), "neither a number nor a date"),
        (column("a", max_age="long"), "2 days"),
        (column("a", type="text", min=3), "no order"),
        (column("a", minn=3), "no setting expect.columns.a.minn"),
        (column("a", max_missing=2), "less than or equal to 1"),
    ],
)
def test_expectations_that_make_no_sense(expect: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        recipe(**expect)


def test_a_recipe_file_with_expectations(tmp_path: Path) -> None:
    written = {
        "expect": {"min_rows": 3, "columns": {"age": {"min": 0, "type": "integer"}, "day": {"max_age": "1 day"}}}
    }
    path = tmp_path / "rowsmith.toml"
    path.write_text(explained(written), encoding="utf-8")
    assert Recipe.read(path) == Recipe.from_dict(written)
    path.write_text("[expect.columns.day]\nmin = 2026-01-31\nmax_age = '2 days'\n", encoding="utf-8")
    assert Recipe.read(path).expect.columns["day"].min == "2026-01-31"


# -- enforced ------------------------------------------------------------------------------------------------------


def test_at_ingest_nothing_is_kept(tmp_path: Path) -> None:
    people(50).write_csv(tmp_path / "p.csv")
    (tmp_path / "rowsmith.toml").write_text(
        "[expect.columns.age]\nmax = 60\n[expect]\nmin_rows = 10\n", encoding="utf-8"
    )
    project = open_project(tmp_path)
    with pytest.raises(SchemaError, match="age"):
        ingest(project, tmp_path / "p.csv")
    assert not project.snapshots.list()


def test_before_training(tmp_path: Path) -> None:
    people(50).write_csv(tmp_path / "p.csv")
    project = open_project(tmp_path)
    snapshot = take_snapshot(project, tmp_path / "p.csv")
    stricter = project.with_recipe(project.recipe.changed(expect={"min_rows": 100}))
    with pytest.raises(SchemaError, match="50 rows, and at least 100"):
        examine(stricter, snapshot)


ROW: dict[str, Any] = {"age": 30, "hours": 40.0, "city": "Oslo", "joined": "01.02.2020"}
RULES = {
    "age": {"type": "integer", "max": 40, "min": 20},
    "city": {"values": ["Oslo", "Lyon"]},
    "joined": {"max": "2021-01-01", "max_missing": 0},
    "hours": {"max": 1e6},
}


def test_on_requests_a_row_and_a_table_are_refused_alike() -> None:
    table = people(300)
    chosen = Recipe.from_dict({"target": {"column": "left"}, "expect": {"columns": RULES}})
    conformer = Conformer(infer_schema(table, Recipe.from_dict({"target": {"column": "left"}})), chosen.expect)
    assert conformer.row(ROW).row["age"] == 30
    changes: list[tuple[dict[str, Any], str]] = [
        ({"age": 41}, "age"),
        ({"age": 30.5}, "age"),
        ({"city": "Turin"}, "city"),
        ({"joined": "01.02.2022"}, "joined"),
        ({"joined": None}, "joined"),
    ]
    for change, name in changes:
        row = ROW | change
        with pytest.raises(SchemaError) as of_row:
            conformer.row(row)
        with pytest.raises(SchemaError) as of_table:
            conformer.frame(pl.DataFrame([ROW, row], strict=False))
        fault = next(fault for fault in of_table.value.faults if fault.code == "not_expected")
        assert (fault.column, fault.row) == (name, 1)
        assert of_row.value.faults[-1].code == "not_expected" and of_row.value.faults[-1].allowed == fault.allowed


def test_a_model_keeps_them(tmp_path: Path) -> None:
    chosen = Recipe.from_dict(
        {
            "target": {"column": "left"},
            "train": {"max_trials": 1, "families": ["linear"]},
            "expect": {"columns": {"age": {"max": 200}}},
        }
    )
    model = train_frame(people(200), chosen)
    model.save(tmp_path / "m")
    with pytest.raises(SchemaError, match="not as expected"):
        rowsmith.load(tmp_path / "m").predict_row(ROW | {"age": 300})
