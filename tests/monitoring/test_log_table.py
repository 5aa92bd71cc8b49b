"""Rows that were answered together are one entry, and are read as if each had been kept by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy import text

from rowsmith.errors import StorageError
from rowsmith.monitoring import log_archive
from rowsmith.monitoring.log import LabelResult, LogEntry, PredictionLog
from rowsmith.monitoring.log_archive import LogArchive
from rowsmith.monitoring.log_arms import Trial, read_arms, read_pairs, read_scored, read_scored_pairs
from rowsmith.monitoring.log_gap import Gap
from rowsmith.monitoring.log_privacy import MARK, Privacy
from rowsmith.monitoring.log_table import LogTable, Refused, ids_of, new_table_id, place_of
from rowsmith.storage.database import Database, open_database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOSTILE: dict[str, list[object]] = {
    'quoted "name"\n': ["plain", 'a "quote"', "line\nfeed\r\n\t\x00\x1f", "\u20ac \U0001f600 \u2028", "", None],
    "number": [0.1, -0.0, 1e-320, 8e307, float("inf"), None],
    "yes": [True, False, None, True, False, None],
    "moment": [
        datetime(2024, 5, 17),
        datetime(1, 1, 1),
        datetime(9999, 12, 31, 23, 59, 59, 999999),
        datetime(1969, 12, 31, 23, 59, 59, 500000),
        datetime(2024, 5, 17, 13, 0, 0, 1),
        None,
    ],
    "nothing": [None] * 6,
    "": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
}
INPUTS = pl.DataFrame(HOSTILE, schema_overrides={"moment": pl.Datetime("us"), "nothing": pl.String})
ANSWERS = pl.DataFrame(
    {
        "prediction": ["no", "yes", "no", "yes", "no", "no"],
        "probability_no": [0.9, 1 / 3, 0.7, 0.1 + 0.2, 0.5, 1.0],
        "probability_yes": [0.1, 2 / 3, 0.3, 0.7, 0.5, 0.0],
    }
)
WARNINGS = {4: ("\u20ac is odd",)}


@pytest.fixture
def log(database: Database, tmp_path: Path) -> PredictionLog:
    return PredictionLog(database, archive=LogArchive(database, tmp_path / "log"))


def common(id_: str, **changes: Any) -> LogEntry:
    values: dict[str, Any] = {"name": "m", "version": 1, "time": NOON, "latency_ms": 1.5}
    return LogEntry(id_, **(values | changes))


def table(id_: str, inputs: pl.DataFrame = INPUTS, answers: pl.DataFrame = ANSWERS, **changes: Any) -> LogTable:
    return LogTable(common(id_, **changes), inputs, answers, WARNINGS)


def entries_of(table: LogTable) -> list[LogEntry]:
    """What would have been logged of each row by itself."""
    said = {"name", "version", "time", "latency_ms", "source", "role", "experiment", "unit"}
    shared = {name: getattr(table.common, name) for name in said}
    given = ids_of(table.common.shadow_of, table.rows) if table.common.shadow_of else [None] * table.rows
    return [
        LogEntry(
            id_,
            inputs=row,
            answer={
                "prediction": answer[0],
                "probabilities": dict(zip(("no", "yes"), answer[1:], strict=True)),
            },
            shadow_of=of,
            **shared,
        )
        for id_, row, answer, of in zip(
            ids_of(table.common.id, table.rows), table.inputs.to_dicts(), table.answers.rows(), given, strict=True
        )
    ]


def moments_read(inputs: pl.DataFrame) -> pl.DataFrame:
    return inputs.with_columns(pl.col("moment").str.to_datetime(time_unit="us"))


def test_rows_of_a_table_are_read_as_each_would_be_alone(log: PredictionLog) -> None:
    one, other = new_table_id(), new_table_id()
    log.append_tables([table(one, role="canary", unit="u")])
    log.append(entries_of(table(other, name="single", role="canary", unit="u")))
    together, alone = log.window("m"), log.window("single")
    assert together.entries["id"].to_list() == ids_of(one, 6)
    assert_frame_equal(together.entries.drop("id"), alone.entries.drop("id"))
    assert_frame_equal(moments_read(together.inputs), moments_read(alone.inputs), check_dtypes=False)
    assert_frame_equal(together.answers, alone.answers)
    assert log.window("m", columns=["number", "other"]).inputs.columns == ["number", "other"]


def test_tables_and_single_rows_stand_in_one_window(log: PredictionLog) -> None:
    """In the order of time, and where a column changed its type in between, in a type that holds both."""
    numbers = pl.DataFrame({"x": [1.0, 2.0]})
    said = ANSWERS[:2]
    log.append_tables([table(new_table_id(), numbers, said, time=NOON + i * MINUTE) for i in (0, 2)])
    log.append([LogEntry("between", "m", 1, NOON + MINUTE, {"x": "three", "y": True}, {"prediction": "yes"})])
    window = log.window("m")
    assert window.inputs["x"].to_list() == ["1", "2", "three", "1", "2"]
    assert window.inputs["y"].to_list() == [None, None, True, None, None]
    assert window.answers["prediction"].to_list() == ["no", "yes", "yes", "no", "yes"]
    assert window.answers["probability_no"].null_count() == 1
    latest = log.window("m", limit=4)
    assert latest.entries.equals(window.entries[1:]) and latest.answers["prediction"].to_list() == [
        "yes",
        "yes",
        "no",
        "yes",
    ]
    assert len(log.window("m", limit=1)) == 1


def test_counts_are_of_rows(log: PredictionLog) -> None:
    first, second = new_table_id(), new_table_id()
    log.append_tables([table(first), table(second, time=NOON + MINUTE, latency_ms=100.0)])
    log.append_tables([Refused(common(new_table_id(), status="error", code="broken"), 4)])
    log.append([LogEntry("single", "m", 1, NOON, {}, {"prediction": "no"}, latency_ms=0.5)])
    assert log.label(dict.fromkeys([ids_of(first, 6)[5], ids_of(first, 6)[0], "single"], "yes")).added == 3
    summary = log.summary("m")
    assert (summary.predictions, summary.errors, summary.labelled) == (13, 4, 3)
    # Of 13 latencies 1 is 0.5, 6 are 1.5 and 6 are 100: the seventh is the median.
    assert (summary.latency_p50, summary.latency_p95) == (1.5, 100.0)
    counts = log.counts("m", NOON, NOON + 2 * MINUTE, MINUTE)
    assert counts.select("predictions", "errors", "labelled").rows() == [(7, 4, 3), (6, 0, 0)]


def test_outcomes_find_rows_of_tables(log: PredictionLog) -> None:
    log.append_tables([table(id_ := new_table_id()), Refused(common(gone := new_table_id(), status="error"), 2)])
    first, *_, last = ids_of(id_, 6)
    strangers = [id_, f"{id_}000006", f"{id_}00000A", f"{id_}+00001", f"{id_}0000001", ids_of(gone, 2)[0]]
    outcomes = {first: "yes", last: "no", **dict.fromkeys(strangers, "no")}
    assert log.label(outcomes) == LabelResult(2, 0, 0, 0, tuple(strangers))
    assert log.label({first: "no", last: "no"}) == LabelResult(0, 1, 1, 0, ())
    assert log.window("m").entries["label"].to_list() == ["no", *[None] * 4, "no"]


def test_a_table_that_is_appended_again_is_stored_once(log: PredictionLog, database: Database) -> None:
    id_ = new_table_id()
    log.append_tables([table(id_), table(id_)])
    log.append_tables([table(id_, INPUTS[:1], ANSWERS[:1]), table(new_table_id())])
    assert len(log.window("m")) == 12


def test_an_old_table_is_moved_to_a_file_and_removed(
    log: PredictionLog, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_archive, "TABLES_A_FILE", 2)
    ids = [new_table_id() for _ in range(5)]
    other = pl.DataFrame({"x": [1.0, 2.0]})
    log.append_tables([table(id_, time=NOON + i * MINUTE) for i, id_ in enumerate(ids[:3])])
    log.append_tables(
        [table(ids[3], other, ANSWERS[:2], time=NOON + 4 * MINUTE), table(ids[4], experiment=1, unit="u")]
    )
    log.append_tables([table(new_table_id(), time=NOON + timedelta(days=1))])
    log.append([LogEntry("single", "m", 1, NOON, {"x": 1.0}, {"prediction": "no"})])
    assert log.label({ids_of(ids[0], 6)[1]: "yes"}).added == 1
    before, summary = log.window("m"), log.summary("m")
    archive = LogArchive(database, tmp_path / "log")
    done = archive.compact(NOON + timedelta(days=1))
    assert (done.moved, done.files) == (21, 4), "two tables, one, one of other columns, and the single row"
    after = log.window("m")
    for part in ("entries", "inputs", "answers"):
        assert_frame_equal(getattr(before, part), getattr(after, part))
    assert log.summary("m") == summary
    with database.reading() as connection:
        left = "SELECT count(*) FROM rowsmith_predictions WHERE content IS NOT NULL AND experiment IS NULL"
        assert connection.scalar(text(left)) == 1
    (file, *_) = sorted((tmp_path / "log").rglob("*.parquet"), key=lambda path: -pl.read_parquet(path).height)
    kept = pl.read_parquet(file)
    assert kept["id"].to_list() == [*ids_of(ids[0], 6), *ids_of(ids[1], 6)]
    assert kept["answer.prediction"].to_list() == ANSWERS["prediction"].to_list() * 2
    assert log.label({ids_of(ids[1], 6)[0]: "no"}).added == 1
    done = archive.retain(NOON + timedelta(days=1))
    assert (done.removed, done.files_removed) == (27, 4)
    assert log.window("m").entries.height == 6
    with database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM rowsmith_outcomes")) == 0


def test_content_that_was_harmed_is_said_to_be(log: PredictionLog, database: Database) -> None:
    log.append_tables([table(new_table_id())])
    with database.writing() as connection:
        connection.execute(text("UPDATE rowsmith_predictions SET content = :bytes"), {"bytes": b"ARROW?" * 10})
    with pytest.raises(StorageError, match="backup"):
        log.window("m")


@pytest.mark.parametrize("treatment", ["pseudonym", "omit"])
def test_personal_columns_of_tables_are_treated_as_those_of_rows(database: Database, treatment: Any) -> None:
    names = frozenset({'quoted "name"\n', "moment", "number", "nothing"})
    log = PredictionLog(database, privacy=Privacy(names, treatment, lambda: b"k" * 32))
    log.append_tables([table(new_table_id())])
    log.append(entries_of(table(new_table_id(), name="single")))
    together, alone = log.window("m").inputs, log.window("single").inputs
    assert together.columns == alone.columns
    for name in together.columns:
        assert together[name].to_list() == alone[name].to_list(), name
    if treatment == "pseudonym":
        assert together["moment"][0].startswith(MARK)
    with database.reading() as connection:
        contents = connection.scalars(text("SELECT content FROM rowsmith_predictions WHERE content IS NOT NULL")).all()
    assert b"is odd" not in bytes(contents[0]), "a warning quotes values"


def test_a_gap_counts_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    lost: list[int] = []
    database = open_database(f"sqlite:///{path}")
    log = PredictionLog(database, gap=Gap(lost.append))
    log.append_tables([table(new_table_id())])
    path.rename(tmp_path / "away.db")
    log.append_tables([table(new_table_id()), Refused(common(new_table_id(), status="error"), 2)])
    assert lost == [8]
    database.close()


def test_an_experiment_sees_tables_as_rows(log: PredictionLog, database: Database) -> None:
    """The same requests kept as tables and row by row are the same evidence."""
    begin = NOON - MINUTE
    for name, is_table in (("m", True), ("single", False)):
        for number in range(3):
            id_ = new_table_id()
            shared: dict[str, Any] = {
                "name": name,
                "experiment": 4,
                "unit": f"u{number}",
                "time": NOON + number * MINUTE,
            }
            given = table(id_, **shared)
            shadow = table(f"{id_}-2", answers=ANSWERS.reverse(), version=2, role="shadow", shadow_of=id_, **shared)
            if is_table:
                log.append_tables([given, shadow])
            else:
                log.append(entries_of(given) + entries_of(shadow))
            if number < 2:
                assert log.label({i: "yes" for i in ids_of(id_, 6)[::2]}).added == 3
    with database.reading() as connection:
        one, other = Trial("m", 4, begin), Trial("single", 4, begin)
        assert read_arms(connection, one, 1.0) == read_arms(connection, other, 1.0)
        for read in (read_scored, read_scored_pairs):
            together, alone = read(connection, one), read(connection, other)
            assert together.answers.height == 6
            assert_frame_equal(together.answers, alone.answers)
            assert_frame_equal(together.entries.drop("time"), alone.entries.drop("time"))
            if together.beside is not None and alone.beside is not None:
                assert_frame_equal(together.beside, alone.beside)
        ours, beside = read_pairs(connection, one, limit=100)
        assert ours.height == beside.height == 18
        for pair in ((ours, beside), tuple(frame.head(7) for frame in (ours, beside))):
            assert_frame_equal(pair[1], pl.concat([ANSWERS] * 3).head(pair[1].height))
        assert ours[:6].equals(ANSWERS.reverse())
        assert read_pairs(connection, one, limit=7)[0].height == 7


def test_ids_of_rows_are_like_other_ids() -> None:
    id_ = new_table_id()
    ids = ids_of(id_, 1000)
    assert all(len(one) == 32 for one in ids) and ids == sorted(set(ids))
    assert [place_of(one) for one in ids[:2]] == [(id_, 0), (id_, 1)]
    assert ids_of(f"{id_}-7", 2) == [f"{id_}000000-7", f"{id_}000001-7"]


def test_tables_pass_through_the_journal(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    log = PredictionLog(database, tmp_path / "journals")
    log.keep_journal()
    log.append_tables([table(id_ := new_table_id()), Refused(common(new_table_id(), status="error"), 2)])
    log.append([LogEntry("single", "m", 1, NOON + MINUTE, {"x": [1]}, {"prediction": "no"})])
    reader = PredictionLog(database, tmp_path / "journals")
    assert reader.window("m").entries["id"].to_list() == [*ids_of(id_, 6), "single"]
    assert reader.summary("m").errors == 2
    log.close()
    assert len(log.window("m")) == 7
    database.close()
