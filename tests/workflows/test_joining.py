"""Several sources become one training table, and no row of the base comes twice unnoticed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from rowsmith.errors import RecipeError, SchemaError, SourceError
from rowsmith.ingestion import join
from rowsmith.recipe import Recipe
from rowsmith.types import JsonObject
from rowsmith.workflows.data import prune_data, used_by
from rowsmith.workflows.project import Project, open_project
from rowsmith.workflows.reading import take

LOANS = pl.DataFrame({"id": [1, 2, 3, 4], "person": ["a", "b", "a", "z"], "sum": [10, 20, 30, 40]})
PEOPLE = pl.DataFrame({"person": ["b", "a"], "age": [50, 60]})
LEFT = "SELECT loans.*, people.age FROM loans LEFT JOIN people ON loans.person = people.person"


def project(root: Path, query: str = LEFT, **join: object) -> Project:
    LOANS.write_csv(root / "loans.csv")
    PEOPLE.write_csv(root / "people.csv")
    sources = {name: {"source": f"{name}.csv"} for name in ("loans", "people")}
    recipe: JsonObject = {"join": {"query": query, "sources": sources, **join}}
    return open_project(root).with_recipe(Recipe.from_dict(recipe))


@pytest.mark.parametrize(
    ("query", "rows", "lost"),
    [
        (LEFT, [(1, "a", 10, 60), (2, "b", 20, 50), (3, "a", 30, 60), (4, "z", 40, None)], 0),
        ("SELECT id, age FROM loans JOIN people USING (person);", [(1, 60), (2, 50), (3, 60)], 1),
        ("select l.id, p.age from loans l join people p on l.person = p.person", [(1, 60), (2, 50), (3, 60)], 1),
        ("SELECT person, sum(sum) AS s FROM loans GROUP BY person", [("a", 40), ("b", 20), ("z", 40)], None),
    ],
)
def test_a_query_joins_snapshots(tmp_path: Path, query: str, rows: list[tuple[object, ...]], lost: int | None) -> None:
    opened = project(tmp_path, query)
    found = take(opened).snapshot
    assert opened.snapshots.read(found).rows() == rows
    assert found.facts["rows_of_base_lost"] == lost
    assert {name: opened.snapshots.get(id_).rows for name, id_ in found.facts["joined"].items()} == {
        "loans": 4,
        "people": 2,
    }


@pytest.mark.parametrize(
    "query",
    [
        LEFT,
        "SELECT id, age FROM loans JOIN people USING (person)",
        "WITH p AS (SELECT * FROM people) SELECT id, age FROM loans JOIN p USING (person)",
    ],
)
def test_rows_do_not_multiply_unnoticed(tmp_path: Path, query: str) -> None:
    opened = project(tmp_path, query)
    pl.concat([PEOPLE, PEOPLE.with_columns(age=pl.col("age") + 1)]).write_csv(tmp_path / "people.csv")
    with pytest.raises(SourceError, match="the join multiplies rows") as caught:
        take(opened)
    assert "may_multiply" in caught.value.next_step
    if "WITH" not in query:
        assert "people: person" in caught.value.received
    recipe = opened.recipe.changed(join={"may_multiply": True})
    assert take(opened.with_recipe(recipe)).snapshot.rows > 4


@pytest.mark.parametrize("stretch", [1, 3, 1 << 19])
def test_the_order_is_that_of_the_base_however_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stretch: int
) -> None:
    monkeypatch.setattr(join, "STRETCH_ROWS", stretch)
    full = "SELECT l.id, l.sum, p.age FROM loans l FULL JOIN people p ON l.person = p.person"
    opened = project(tmp_path, full, may_multiply=True)
    people = pl.DataFrame({"person": ["b", "a", "a", "y"], "age": [50, 60, 61, 70]})
    people.write_csv(tmp_path / "people.csv")
    found = take(opened).snapshot
    assert opened.snapshots.read(found).rows() == [
        (1, 10, 60), (1, 10, 61), (2, 20, 50), (3, 30, 60), (3, 30, 61), (4, 40, None), (None, None, 70),
    ]  # fmt: skip
    with pytest.raises(SourceError, match='4 rows of "loans" become 6'):
        take(opened.with_recipe(opened.recipe.changed(join={"may_multiply": False, "query": full})))


def test_only_what_is_new_is_joined_again(tmp_path: Path) -> None:
    opened = project(tmp_path)
    first = take(opened)
    again = take(opened)
    assert again.nothing_new and again.snapshot == first.snapshot
    PEOPLE.with_columns(age=pl.col("age") + 1).write_csv(tmp_path / "people.csv")
    third = take(opened)
    assert not third.nothing_new and third.before == first.snapshot
    assert opened.snapshots.read(third.snapshot)["age"].to_list() == [61, 51, 61, None]
    users = used_by(opened)
    assert users[third.snapshot.facts["joined"]["people"]] == [f"the join {third.snapshot.id[:12]}"]
    removed = [item["id"] for item in prune_data(opened, keep=0, dry_run=False)["removed"]]
    assert sorted(removed) == sorted([first.snapshot.id, first.snapshot.facts["joined"]["people"]])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nope FROM loans", "cannot be run"),
        ("SELECT * FROM others", "cannot be run"),
        ("DROP TABLE loans", "begins with DROP"),
        ("SELECT * FROM read_csv('people.csv')", "no files of its own"),
        ("../elsewhere.sql", "leads out of its folder"),
    ],
)
def test_queries_that_are_refused(tmp_path: Path, query: str, message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        take(project(tmp_path, query))
    assert not isinstance(caught.value, pl.exceptions.PolarsError)


def test_a_query_in_a_file_and_expectations_of_the_result(tmp_path: Path) -> None:
    (tmp_path / "join.sql").write_text(LEFT)
    opened = project(tmp_path, "join.sql")
    assert take(opened).snapshot.rows == 4
    strict = opened.recipe.changed(expect={"min_rows": 5})
    pl.concat([LOANS, LOANS[:0]]).with_columns(sum=pl.col("sum") + 1).write_csv(tmp_path / "loans.csv")
    with pytest.raises((SchemaError, SourceError)):
        take(opened.with_recipe(strict))


def test_a_base_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="one of its sources"):
        take(project(tmp_path, base="others"))
