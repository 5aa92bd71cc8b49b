"""Snapshots without somebody: shared parts, feeds, joins, the versions that learned from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from rowsmith.errors import NotFoundError, StorageError
from rowsmith.ingestion import snapshot as snapshots
from rowsmith.ingestion.keeping import marks
from rowsmith.ingestion.parts import Part
from rowsmith.ingestion.snapshot import SnapshotStore
from rowsmith.recipe import Recipe
from rowsmith.workflows import erase_data
from rowsmith.workflows.erase import erase, find, person_of
from rowsmith.workflows.project import Project, open_project
from rowsmith.workflows.reading import take
from rowsmith.workflows.training_rows import rows_of
from tests.contracts.part_places import PLACES, BucketPlace, Place
from tests.serving.models import NAME, train

PERSON = "customer"
ADA = ("c-3",)


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(marks, "PAUSE_SECONDS", 0.05)
    return PLACES[request.param](tmp_path / ".rowsmith", request)


@pytest.fixture
def project(place: Place, tmp_path: Path) -> Iterator[Project]:
    address = place.address if isinstance(place, BucketPlace) else ""
    opened = open_project(tmp_path, snapshots_at=address).with_recipe(Recipe.from_dict({"name": NAME}))
    yield opened
    opened.log.close()
    opened.database.close()


def table(rows: int, first: int = 0) -> pl.DataFrame:
    numbers = range(first, first + rows)
    names = [None if number % 7 == 0 else f"c-{number % 5}" for number in numbers]
    return pl.DataFrame({PERSON: names, "x": [float(number) for number in numbers]})


def parts_anywhere(place: Place, project: Project) -> set[str]:
    """In the place of snapshots, and in copies on this disk."""
    kept = {Path(name).stem for name in place.files() if name.startswith("parts/")}
    return kept | {path.stem for path in project.store.rglob("*.parquet")}


def test_appended_snapshots_share_their_new_parts(
    place: Place, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts and blocks of a few rows, so that some hold nobody who is erased; the hash is that of a plain reading."""
    monkeypatch.setattr(snapshots, "PART_ROWS", 4)
    store = project.snapshots
    first = store.add(table(40).iter_slices(4), source="a")
    whole = store.add(table(30, 40).iter_slices(4), source="a", append_to=first.id)
    untouched = [part for part in whole.parts if PERSON not in str(part) and not _has(store, part)]
    person = person_of(PERSON, ADA)
    there = find(project, person).to_dict()["snapshots"]
    expected = [table(40).filter(pl.col(PERSON) == "c-3").height, table(70).filter(pl.col(PERSON) == "c-3").height]
    assert [item["rows"] for item in there] == expected and min(expected) > 0
    assert {snapshot.id for snapshot in store.list()} == {first.id, whole.id}, "looking changes nothing"
    erase(project, person)
    left = sorted(store.list(), key=lambda snapshot: snapshot.rows)
    assert [snapshot.parent for snapshot in left] == [None, left[0].id]
    for snapshot, rows in zip(left, (40, 70), strict=True):
        kept = table(rows).filter(pl.col(PERSON).ne_missing("c-3"))
        assert store.read(snapshot).equals(kept), "those without a name stay"
        store.verify(snapshot)
        assert snapshot.id == store.add(kept.iter_slices(9), source="b").id, "as if they had never been there"
        (line,) = snapshot.facts["erased"]
        assert line["rows"] == rows - kept.height and line["from"] in (first.id, whole.id)
    assert {part.sha256 for part in left[0].parts} <= {part.sha256 for part in left[1].parts}
    assert {part.sha256 for part in untouched} <= {part.sha256 for part in left[1].parts}
    assert parts_anywhere(place, project) == {part.sha256 for snapshot in store.list() for part in snapshot.parts}
    assert find(project, person).is_empty


def _has(store: SnapshotStore, part: Part) -> bool:
    return "c-3" in pl.read_parquet(store.path(part))[PERSON]


def test_what_was_cut_off_goes_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    store = project.snapshots
    store.add([table(40)], source="a")

    def killed(*_: object) -> None:
        raise StorageError("killed")

    with monkeypatch.context() as patched, pytest.raises(StorageError):
        patched.setattr(erase_data, "_lead_feeds", killed)
        erase(project, person_of(PERSON, ADA))
    assert len(store.list()) == 2
    erase(project, person_of(PERSON, ADA))
    (left,) = store.list()
    assert "c-3" not in store.read(left)[PERSON]


def test_a_source_goes_on_from_what_is_left(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "rows.parquet"
    table(40).write_parquet(source)
    incremental = {"source": str(source), "incremental": {"key": ["x"]}}
    reading = project.with_recipe(Recipe.from_dict({"name": NAME, "data": incremental}))
    old = take(reading).snapshot
    erase(project, person_of(PERSON, ADA))
    (feed,) = project.feeds.list()
    assert feed.snapshot != old.id
    table(50).filter(pl.col(PERSON).ne_missing("c-3")).write_parquet(source)
    newest = take(reading).snapshot
    assert newest.parent == feed.snapshot
    early = project.snapshots.read(newest).filter(pl.col("x") < 39)
    assert early.equals(table(39).filter(pl.col(PERSON).ne_missing("c-3")))


def test_a_join_without_the_column_goes_and_comes_back(project: Project, tmp_path: Path) -> None:
    table(20).write_parquet(tmp_path / "people.parquet")
    pl.DataFrame({"x": [float(n) for n in range(20)], "y": range(20)}).write_parquet(tmp_path / "facts.parquet")
    join = {
        "sources": {"people": {"source": "people.parquet"}, "facts": {"source": "facts.parquet"}},
        "query": "SELECT people.x, 2 * facts.y AS z FROM people JOIN facts ON people.x = facts.x",
    }
    joining = project.with_recipe(Recipe.from_dict({"name": NAME, "join": join}))
    joined = take(joining).snapshot
    assert PERSON not in joined.columns
    done = erase(project, person_of(PERSON, ADA)).to_dict()
    assert done["joins_removed"] == [joined.id]
    with pytest.raises(NotFoundError):
        project.snapshots.get(joined.id)
    table(20).filter(pl.col(PERSON).ne_missing("c-3")).write_parquet(tmp_path / "people.parquet")
    again = take(joining).snapshot
    assert again.rows == table(20).filter(pl.col(PERSON).ne_missing("c-3")).height


def test_versions_are_named_and_say_why_they_cannot_be_judged(project: Project) -> None:
    snapshot = project.snapshots.add([table(40)], source="a")

    def write(folder: Path) -> None:
        train(rows=60).save(folder / "model")

    lineage = {"snapshot": snapshot.id, "recipe": "r"}
    version = project.registry.add(NAME, write, lineage=lineage, metric="rmse", score=1.0)
    assert erase(project, person_of(PERSON, ADA)).to_dict()["trained_on_them"] == [f"{NAME} 1"]
    with pytest.raises(NotFoundError, match="were erased"):
        rows_of(project, version)
    assert erase_data.what_is_left(project, snapshot.id).rows < 40


def test_nothing_is_left_of_a_snapshot(place: Place, project: Project) -> None:
    project.snapshots.add([pl.DataFrame({PERSON: ["c-3"], "x": [1.0]})], source="a")
    erase(project, person_of(PERSON, ADA))
    assert project.snapshots.list() == () and not parts_anywhere(place, project)


def test_another_machine_of_the_same_bucket(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told whose rows it needs before they go, and its copies go when it looks at the bucket again."""
    monkeypatch.setattr(marks, "PAUSE_SECONDS", 0.05)
    place = BucketPlace(tmp_path, request)
    for machine in ("a", "b"):
        (tmp_path / machine).mkdir()
    ours, theirs = (open_project(tmp_path / machine, snapshots_at=place.address) for machine in ("a", "b"))
    snapshot = ours.snapshots.add([table(40)], source="a")
    theirs.snapshots.claim(theirs.snapshots.get(snapshot.id))
    assert "c-3" in theirs.snapshots.read(snapshot)[PERSON]
    person = person_of(PERSON, ADA)
    assert find(ours, person).to_dict()["needed_elsewhere"] == [snapshot.id]
    erase(ours, person)
    (left,) = theirs.snapshots.list()
    assert "c-3" not in theirs.snapshots.read(left)[PERSON]
    there = {path.stem for path in (tmp_path / "b").rglob("*.parquet")}
    assert there == {part.sha256 for part in left.parts}
    assert find(theirs, person).is_empty
    for project in (ours, theirs):
        project.log.close()
        project.database.close()
