"""Reading again: append, upsert and replace, late rows, doubles, changed columns, and runs that die."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rowsmith.conform.plain import plain_type
from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion import merge, row_hash, snapshot
from rowsmith.ingestion.feeds import FeedStore
from rowsmith.ingestion.keeping.folder import FolderStore
from rowsmith.ingestion.refresh import Refreshed, refresh
from rowsmith.ingestion.snapshot import SnapshotStore
from rowsmith.ingestion.sources.cursor import Cursor
from rowsmith.ingestion.sources.protocol import Reading
from rowsmith.recipe_data import IncrementalSection
from rowsmith.types import JsonObject
from rowsmith.workflows.project import open_project
from rowsmith.workflows.reading import take

START = datetime(2026, 1, 1)


class Place:
    """A store and a table that changes, read as a database would be: from the cursor's value on."""

    def __init__(self, root: Path, **options: object) -> None:
        self.store = SnapshotStore(FolderStore(root / "snapshots"))
        self.root = root
        self.feeds = FeedStore(root / "feeds")
        self.options = IncrementalSection.model_validate(options)
        self.batch_rows = 3
        self.asked: list[Any] = []

    def read(self, table: pl.DataFrame) -> Refreshed:
        def reading(since: JsonObject | None) -> Reading:
            cursor = Cursor(self.options, since)
            self.asked.append(cursor.start)
            rows = table if cursor.start is None else table.filter(pl.col(cursor.column or "") >= cursor.start)

            def batches() -> Any:
                for batch in rows.iter_slices(self.batch_rows):
                    cursor.see(batch)
                    if batch.height:
                        yield batch

            columns = {name: plain_type(dtype) for name, dtype in table.schema.items()}
            return Reading(batches(), columns, {}, "table", cursor.mark, only_new=cursor.start is not None)

        return refresh(self.store, self.feeds, "key", reading, self.options)

    def rows(self, refreshed: Refreshed) -> list[tuple[Any, ...]]:
        return self.store.read(refreshed.snapshot).rows()


def table(*rows: Sequence[Any]) -> pl.DataFrame:
    """id, hours after the start, value."""
    return pl.DataFrame(
        {
            "id": [row[0] for row in rows],
            "at": [START + timedelta(hours=row[1]) for row in rows],
            "v": [row[2] for row in rows],
        },
        schema={"id": pl.Int64, "at": pl.Datetime("us"), "v": pl.Float64},
    )


def is_as_if_read_at_once(place: Place, refreshed: Refreshed) -> bool:
    """The id is that of the rows, however they came together."""
    other = SnapshotStore(FolderStore(place.root / "other"))
    return other.add([place.store.read(refreshed.snapshot)], source="x").id == refreshed.snapshot.id


def test_append_by_cursor_takes_late_equals_once(tmp_path: Path) -> None:
    place = Place(tmp_path, cursor="at")
    first = place.read(table((1, 0, 1.0), (2, 1, 2.0)))
    assert (first.before, first.added, first.nothing_new) == (None, 2, False)
    again = place.read(table((1, 0, 1.0), (2, 1, 2.0)))
    assert again.nothing_new and again.snapshot == first.snapshot
    # Another row with the same time as the mark, one like a row that is there (which comes twice now), and a newer one.
    more = table((1, 0, 1.0), (2, 1, 2.0), (2, 1, 2.0), (3, 1, 3.0), (4, 2, 4.0))
    third = place.read(more)
    assert (third.added, third.snapshot.parent) == (3, first.snapshot.id)
    assert sorted(place.rows(third)) == sorted(more.rows())
    assert place.read(more).nothing_new
    assert place.asked == [None, START + timedelta(hours=1), START + timedelta(hours=1), START + timedelta(hours=2)]
    assert is_as_if_read_at_once(place, third)


def test_late_rows_are_looked_for_as_far_back_as_is_said(tmp_path: Path) -> None:
    place = Place(tmp_path, cursor="at", lookback="3 hours")
    place.read(table((1, 0, 1.0), (2, 5, 2.0), (3, 9, None)))
    found = place.read(table((1, 0, 1.0), (9, 1, 9.0), (2, 5, 2.0), (8, 7, 8.0), (3, 9, None)))
    assert place.asked[-1] == START + timedelta(hours=6)
    assert found.added == 1 and place.rows(found)[-1][0] == 8


def test_upsert_replaces_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_hash, "BLOCK_ROWS", 4)
    monkeypatch.setattr(snapshot, "BLOCK_ROWS", 4)
    monkeypatch.setattr(merge, "BLOCK_ROWS", 4)
    monkeypatch.setattr(snapshot, "PART_ROWS", 5)
    monkeypatch.setattr(merge, "CHUNK_ROWS", 3)
    monkeypatch.setattr(merge, "SMALL_PART_BYTES", 0)
    place = Place(tmp_path, key=["id"], cursor="at")
    rows = [(i, i, float(i)) for i in range(18)]
    first = place.read(table(*rows))
    changed = [*rows[:7], (7, 20, -7.0), *rows[8:], (18, 19, 18.0), (18, 20, 18.5), (19, 21, 19.0)]
    second = place.read(table(*changed))
    assert (second.added, second.replaced) == (2, 1)
    assert [row[0] for row in place.rows(second)] == list(range(20))
    assert [row[2] for row in place.rows(second)] == [
        *map(float, range(7)),
        -7.0,
        *map(float, range(8, 18)),
        18.5,
        19.0,
    ]
    kept = set(first.snapshot.parts) & set(second.snapshot.parts)
    assert len(kept) == len(first.snapshot.parts) - 1
    assert is_as_if_read_at_once(place, second)
    assert place.read(table(*changed)).nothing_new


def test_small_parts_do_not_pile_up(tmp_path: Path) -> None:
    place = Place(tmp_path, key=["id"], cursor="at")
    found = [place.read(table(*[(i, i, 1.0) for i in range(n)])) for n in range(1, 12)]
    assert len(found[-1].snapshot.parts) == 1
    assert place.rows(found[-1]) == table(*[(i, i, 1.0) for i in range(11)]).rows()


def test_append_by_key_leaves_known_rows_as_they_are(tmp_path: Path) -> None:
    place = Place(tmp_path, key=["id"], mode="append")
    place.read(table((1, 0, 1.0)))
    found = place.read(table((1, 0, -1.0), (2, 0, 2.0), (2, 0, 3.0)))
    assert [(row[0], row[2]) for row in place.rows(found)] == [(1, 1.0), (2, 2.0)]


@pytest.mark.parametrize(("mode", "values"), [("upsert", [2.0, 3.0]), ("append", [1.0, 3.0])])
def test_doubles_of_a_first_reading(tmp_path: Path, mode: str, values: list[float]) -> None:
    place = Place(tmp_path, key=["id"], mode=mode)
    found = place.read(table((1, 0, 1.0), (1, 0, 2.0), (2, 0, 3.0)))
    assert [row[2] for row in place.rows(found)] == values
    assert found.snapshot.facts["doubles_left_out"] == 1 and found.snapshot.parent is not None


def test_replace_reads_all_again(tmp_path: Path) -> None:
    place = Place(tmp_path, mode="replace")
    place.read(table((1, 0, 1.0), (2, 0, 2.0)))
    found = place.read(table((2, 0, 2.5)))
    assert place.rows(found) == table((2, 0, 2.5)).rows() and not found.nothing_new
    assert place.read(table((2, 0, 2.5))).nothing_new


def test_what_cannot_be_told_apart_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path, mode="append")
    place.read(table((1, 0, 1.0)))
    with pytest.raises(RecipeError, match="nothing says which of them are new") as caught:
        place.read(table((1, 0, 1.0), (2, 0, 1.0)))
    assert "--key" in caught.value.next_step
    with pytest.raises(RecipeError, match='key column "no"'):
        Place(tmp_path / "b", key=["no"]).read(table((1, 0, 1.0)))
    with pytest.raises(RecipeError, match="lookback"):
        Place(tmp_path / "c", cursor="at", lookback="soon").read(table((1, 0, 1.0)))
    place = Place(tmp_path / "d", key=["id"])
    place.read(table((1, 0, 1.0)))
    with pytest.raises(SourceError, match="no value in its key"):
        place.read(table((None, 0, 1.0)))


BEFORE = pl.DataFrame({"id": [1, 2], "v": [1, 2], "old": ["a", "b"]})
AFTER = pl.DataFrame({"id": [2, 3], "new": [True, None], "v": [2.5, None]})


def test_changed_columns_stop(tmp_path: Path) -> None:
    place = Place(tmp_path, key=["id"])
    first = place.read(BEFORE)
    with pytest.raises(SourceError, match="columns of this source changed") as caught:
        place.read(AFTER)
    assert caught.value.received == '"new" is new (Boolean); "old" is gone (String); "v" was Int64 and is Float64'
    assert place.store.list() == (first.snapshot,)
    assert place.read(BEFORE).nothing_new


def test_changed_columns_come_in(tmp_path: Path) -> None:
    place = Place(tmp_path, key=["id"], on_schema_change="add")
    place.read(BEFORE)
    found = place.read(AFTER)
    assert place.rows(found) == [(1, 1.0, "a", None), (2, 2.5, None, True), (3, None, None, None)]
    assert list(found.snapshot.columns) == ["id", "v", "old", "new"]
    assert found.change is not None and found.snapshot.facts["schema_change"]["added"] == {"new": "Boolean"}
    assert place.read(AFTER).nothing_new is True


def test_changed_columns_stay_out(tmp_path: Path) -> None:
    place = Place(tmp_path, key=["id"], on_schema_change="ignore")
    place.read(BEFORE)
    found = place.read(AFTER.with_columns(v=pl.Series([7, None])))
    assert place.rows(found) == [(1, 1, "a"), (2, 7, None), (3, None, None)]


def test_a_reading_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, key=["id"], cursor="at")
    first = place.read(table((1, 0, 1.0)))
    before = sorted(tmp_path.rglob("*"))
    feed = place.feeds.get("key")

    def broken(self: Cursor, batch: pl.DataFrame) -> None:
        raise SourceError("the connection was lost", where="table")

    with monkeypatch.context() as patch:
        patch.setattr(Cursor, "see", broken)
        with pytest.raises(SourceError, match="connection was lost"):
            place.read(table((1, 0, 1.0), (2, 1, 2.0)))
    assert sorted(tmp_path.rglob("*")) == before and place.feeds.get("key") == feed
    assert place.read(table((1, 0, 1.0), (2, 1, 2.0))).snapshot.parent == first.snapshot.id


def test_a_mark_that_was_not_written_is_no_harm(tmp_path: Path) -> None:
    place = Place(tmp_path, cursor="at")
    place.read(table((1, 0, 1.0)))
    feed = place.feeds.get("key")
    assert feed is not None
    second = place.read(table((1, 0, 1.0), (2, 1, 2.0)))
    place.feeds.put("key", feed)
    assert place.read(table((1, 0, 1.0), (2, 1, 2.0))).snapshot == second.snapshot


def test_two_readings_at_once_take_turns(tmp_path: Path) -> None:
    rows = [(i, i, float(i)) for i in range(40)]
    Place(tmp_path, cursor="at", key=["id"]).read(table(*rows[:1]))
    found: list[Refreshed] = []
    readers = [
        threading.Thread(
            target=lambda n=n: found.append(Place(tmp_path, cursor="at", key=["id"]).read(table(*rows[:n])))
        )
        for n in (10, 40, 20, 40, 30)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    place = Place(tmp_path, cursor="at", key=["id"])
    last = place.read(table(*rows))
    assert place.rows(last) == rows_of(rows) and len(found) == 5
    assert all(is_as_if_read_at_once(place, one) for one in found)


def rows_of(rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return table(*rows).rows()


def test_a_pruned_snapshot_is_read_anew(tmp_path: Path) -> None:
    place = Place(tmp_path, cursor="at")
    first = place.read(table((1, 0, 1.0)))
    (place.root / "snapshots" / "manifests" / f"{first.snapshot.id}.json").unlink()
    found = place.read(table((1, 0, 1.0), (2, 1, 2.0)))
    assert found.before is None and found.added == 2


def test_a_file_that_changed_is_merged_by_its_key_alone(tmp_path: Path) -> None:
    (tmp_path / "rowsmith.toml").write_text('[data]\nsource = "t.csv"\n[data.incremental]\nkey = ["id"]\n')
    (tmp_path / "t.csv").write_text("id,v\n1,a\n2,b\n")
    project = open_project(tmp_path)
    take(project)
    (tmp_path / "t.csv").write_text("id,v\n2,c\n3,d\n")
    again = take(project)
    assert (again.added, again.replaced) == (1, 1)
    assert project.snapshots.read(again.snapshot).rows() == [(1, "a"), (2, "c"), (3, "d")]
