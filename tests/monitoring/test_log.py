"""Prediction log: what was answered comes back exactly, once, with the outcomes that came later."""

from __future__ import annotations

import math
import multiprocessing
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy import select, text

from rowsmith.errors import DataError, StorageError, UsageError
from rowsmith.monitoring.log import LabelResult, LogEntry, PredictionLog, Summary, new_ids
from rowsmith.monitoring.log_queries import Stretch
from rowsmith.storage.database import Database, open_database
from rowsmith.storage.tables import predictions
from rowsmith.types import Interval, Prediction
from tests.servers import PostgresServer

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROW = {"age": 39, "wage": 0.1 + 0.2, "job": "Grüße\u2028\x00", "left": None, "member": True, "id": "in the table"}
ANSWER = Prediction("yes", {"no": 1 / 3, "yes": 2 / 3}, warnings=("odd",)).to_dict()


@pytest.fixture
def log(database: Database) -> PredictionLog:
    return PredictionLog(database)


def entry(id_: str, **changes: Any) -> LogEntry:
    values: dict[str, Any] = {
        "name": "m",
        "version": 1,
        "time": NOON,
        "inputs": ROW,
        "answer": ANSWER,
        "latency_ms": 1.5,
    }
    return LogEntry(id_, **(values | changes))


def refused(id_: str, **changes: Any) -> LogEntry:
    return entry(id_, **({"status": "error", "code": "schema", "answer": None} | changes))


def ids(log: PredictionLog, **options: Any) -> list[str]:
    return log.window("m", **options).entries["id"].to_list()


def rows_stored(database: Database) -> int:
    with database.reading() as connection:
        return connection.scalar(text("SELECT count(*) FROM rowsmith_predictions")) or 0


# -- appending -----------------------------------------------------------------------------------------------


def test_an_answer_comes_back_to_the_last_bit(log: PredictionLog) -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 123457, tzinfo=UTC)
    log.append([entry("a", time=moment, source="page")])
    window = log.window("m")
    assert window.entries.to_dicts() == [
        {
            "id": "a",
            "time": moment,
            "version": 1,
            "role": "champion",
            "source": "page",
            "latency_ms": 1.5,
            "label": None,
        }
    ]
    assert window.inputs.to_dicts() == [ROW]
    assert window.answers.to_dicts() == [{"prediction": "yes", "probability_no": 1 / 3, "probability_yes": 2 / 3}]


def test_a_number_with_its_interval(log: PredictionLog) -> None:
    log.append([entry("a", answer=Prediction(2.5, interval=Interval(1.0, 4.0)).to_dict())])
    assert log.window("m").answers.to_dicts() == [{"prediction": 2.5, "low": 1.0, "high": 4.0}]


def test_nothing_to_append(log: PredictionLog, database: Database) -> None:
    log.append([])
    assert rows_stored(database) == 0


def test_an_id_is_stored_once_and_stays_as_it_was(log: PredictionLog, database: Database) -> None:
    log.append([entry("a"), entry("a", inputs={"age": 1}), entry("b")])
    log.append([entry("a", inputs={"age": 2}), entry("c")])
    assert rows_stored(database) == 3
    assert log.window("m").inputs["age"].to_list() == [39, 39, 39]


def test_the_inputs_of_a_refused_row_are_not_kept(log: PredictionLog, database: Database) -> None:
    log.append([refused("a"), refused("b", version=None, latency_ms=None)])
    with database.reading() as connection:
        stored = connection.execute(text("SELECT inputs, answer, code FROM rowsmith_predictions")).all()
    assert [tuple(row) for row in stored] == [(None, None, "schema")] * 2
    assert len(log.window("m")) == 0


@pytest.mark.parametrize("id_", ["", "x" * 201, "a\0b", "a\nb", "\ud800", 7, None])
def test_ids_that_cannot_be_stored(log: PredictionLog, database: Database, id_: Any) -> None:
    with pytest.raises(UsageError, match="cannot be the id of a prediction"):
        log.append([entry("good"), entry(id_)])
    assert rows_stored(database) == 0


def test_inputs_that_are_no_json(log: PredictionLog, database: Database) -> None:
    with pytest.raises(UsageError, match="what JSON can say"):
        log.append([entry("a", inputs={"x": object()})])
    assert rows_stored(database) == 0


def test_a_time_without_a_zone_is_utc_and_another_zone_is_heeded(log: PredictionLog) -> None:
    elsewhere = datetime.fromisoformat("2026-03-01T13:00:00+01:00")
    log.append([entry("a", time=NOON.replace(tzinfo=None)), entry("b", time=elsewhere)])
    assert log.window("m").entries["time"].to_list() == [NOON, NOON]


def test_new_ids_are_unique_and_grow() -> None:
    first, later = new_ids(1000), new_ids(1000)
    assert len(set(first) | set(later)) == 2000
    assert all(len(id_) == 32 and int(id_, 16) for id_ in first)
    assert first == sorted(first) and first[0][:12] <= later[0][:12]
    assert new_ids(0) == []


# -- many at once --------------------------------------------------------------------------------------------


def test_threads_append_at_once(log: PredictionLog, database: Database) -> None:
    """Each appends its own and the same ids as all the others."""

    def work(number: int) -> None:
        for i in range(20):
            log.append([entry(f"{number}-{i}"), entry(f"shared-{i}")])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows_stored(database) == 8 * 20 + 20


def _append_some(url: str, number: int) -> None:
    log = PredictionLog(open_database(url))
    for i in range(20):
        # Opposite orders: two transactions that take the same ids must not wait for each other.
        shared = [entry(f"shared-{j}") for j in range(5 * i, 5 * i + 5)]
        log.append([entry(f"{number}-{i}"), *(shared if number % 2 else shared[::-1])])


def test_processes_append_at_once(database_url: str, database: Database) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append_some, args=(database_url, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3
    assert rows_stored(database) == 3 * 20 + 100


def test_a_locked_database_holds_appends_back_and_then_refuses(database_url: str, database: Database) -> None:
    log = PredictionLog(open_database(database_url, wait_seconds=0.1))
    log.append([entry("before")])
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text("LOCK TABLE rowsmith_predictions IN EXCLUSIVE MODE"))
        with pytest.raises(StorageError, match=r"too long"):
            log.append([entry("during")])
        with pytest.raises(StorageError, match=r"too long"):
            log.append([entry("during"), entry("and another")])
    log.append([entry("during")])
    assert sorted(ids(log)) == ["before", "during"]


def test_a_full_disk_refuses_and_later_takes_more(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    log = PredictionLog(database)
    log.append([entry("before")])
    pages = log._connection.execute("PRAGMA page_count").fetchone()[0]
    log._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="disk is full"):
        log.append([entry("large", inputs={"x": "x" * 100_000})])
    log.append([entry("after")])
    assert ids(log) == ["after", "before"]
    database.close()


@pytest.mark.postgresql
def test_a_server_that_was_restarted_is_found_again(postgresql: PostgresServer) -> None:
    log = PredictionLog(open_database(postgresql.new_database()))
    log.append([entry("before")])
    postgresql.kill()
    with pytest.raises(StorageError, match="Check that the database server runs"):
        log.append([entry("lost")])
    postgresql.start()
    log.append([entry("after")])
    postgresql.kill()
    postgresql.start()
    log.append([entry("without a failed call in between")])
    assert sorted(ids(log)) == ["after", "before", "without a failed call in between"]


# -- windows -------------------------------------------------------------------------------------------------


def test_a_window_holds_its_start_but_not_its_end(log: PredictionLog) -> None:
    log.append([entry(f"{i}", time=NOON + i * MINUTE, version=1 + i % 2) for i in range(5)])
    log.append([entry("other", name="other"), refused("refused", time=NOON + MINUTE)])
    assert ids(log) == ["0", "1", "2", "3", "4"]
    assert ids(log, start=NOON + MINUTE, end=NOON + 3 * MINUTE) == ["1", "2"]
    assert ids(log, start=NOON + MINUTE, version=2) == ["1", "3"]
    assert ids(log, limit=2) == ["3", "4"]
    assert ids(log, start=NOON + 9 * MINUTE) == []


def test_an_empty_window_has_the_columns_of_a_full_one(log: PredictionLog) -> None:
    empty = log.window("m", columns=["age"])
    log.append([entry("a")])
    assert empty.entries.drop("label").schema == log.window("m").entries.drop("label").schema
    assert (empty.inputs.columns, empty.answers.columns) == (["age"], ["prediction"])
    assert len(empty) == empty.inputs.height == empty.answers.height == 0


def test_only_the_columns_asked_for(log: PredictionLog) -> None:
    log.append([entry("a"), entry("b", inputs={"age": 40, "unknown": 1})])
    inputs = log.window("m", columns=["member", "age", "never"]).inputs
    expected = pl.DataFrame({"member": [True, None], "age": [39, 40], "never": [None, None]})
    assert_frame_equal(inputs, expected)


def test_columns_have_the_types_of_their_values(log: PredictionLog) -> None:
    values: dict[str, list[Any]] = {
        "integer": [1, None, -(2**63)],
        "number": [1, 2.5, None],
        "text": ["a", "", " 1 "],
        "mixed": [3.0, "3", True],
        "large": [2**64, 1, None],
        "nested": [[1], {"a": 1}, "x"],
        "empty": [None, None, None],
    }
    log.append([entry(f"{i}", inputs={name: column[i] for name, column in values.items()}) for i in range(3)])
    inputs = log.window("m").inputs
    assert inputs.to_dict(as_series=False) == {
        "integer": [1, None, -(2**63)],
        "number": [1.0, 2.5, None],
        "text": ["a", "", " 1 "],
        "mixed": ["3", "3", "true"],
        "large": [2.0**64, 1.0, None],
        "nested": ["[1]", '{"a": 1}', "x"],
        "empty": [None, None, None],
    }
    assert [str(dtype) for dtype in inputs.dtypes] == ["Int64", "Float64", *["String"] * 2, "Float64", "String", "Null"]


def test_ugly_values_are_kept_as_well_as_json_can(log: PredictionLog) -> None:
    ugly = {
        "nan": math.nan,
        "half": "\ud800",
        "\udfff": 2,
        "huge": 10**400,
        "when": datetime(2026, 1, 2),
        "": 1,
        "é": "\x00",
    }
    log.append([entry("a", inputs=ugly)])
    (row,) = log.window("m").inputs.to_dicts()
    assert row == {
        "nan": None,
        "half": "?",
        "?": 2,
        "huge": str(10**400),
        "when": "2026-01-02T00:00:00",
        "": 1,
        "é": "\x00",
    }


@pytest.mark.parametrize("bounds", [{}, {"start": NOON}, {"start": NOON, "end": NOON + MINUTE}])
def test_an_index_leads_to_a_window(database: Database, bounds: dict[str, Any]) -> None:

    query = select(predictions.c.id).where(*Stretch("m", **bounds).conditions)
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        sql = query.compile(connection.engine, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {sql}"))
    assert "rowsmith_predictions_name_time" in plan


# -- volumes -------------------------------------------------------------------------------------------------


def test_volumes_by_stretches_of_time(log: PredictionLog) -> None:
    log.append([entry(f"{i}", time=NOON + i * MINUTE) for i in (0, 1, 5, 6)])
    log.append([refused("r", time=NOON + 5 * MINUTE), entry("new", time=NOON, version=2), entry("o", name="o")])
    log.label({"0": "yes", "5": "yes"})
    log.label({"5": "no"})
    counts = log.counts("m", NOON, NOON + 7 * MINUTE, 2 * MINUTE)
    assert counts["start"].to_list() == [NOON + i * MINUTE for i in (0, 2, 4, 6)]
    assert counts.drop("start").rows() == [(3, 0, 1), (0, 0, 0), (1, 1, 1), (1, 0, 0)]
    assert log.counts("m", NOON, NOON + 7 * MINUTE, timedelta(hours=1), version=2).drop("start").rows() == [(1, 0, 0)]
    assert log.counts("m", NOON, NOON, MINUTE).height == 0
    assert log.counts("m", NOON, NOON - MINUTE, MINUTE).height == 0
    with pytest.raises(UsageError, match="must have a length"):
        log.counts("m", NOON, NOON, timedelta(0))


def test_a_summary(log: PredictionLog) -> None:
    log.append([entry(f"{i}", latency_ms=float(i), time=NOON + i * MINUTE) for i in range(1, 101)])
    log.append([entry("untimed", latency_ms=None), refused("r", latency_ms=1e9), entry("o", name="o")])
    log.label({"1": "yes", "2": "no"})
    log.label({"1": "no"})
    summary = log.summary("m")
    assert summary == Summary(101, 1, 2, NOON, NOON + 100 * MINUTE, 50.0, 95.0, 99.0)
    assert summary.error_rate == 1 / 102
    assert log.summary("m", NOON + 10 * MINUTE, NOON + 13 * MINUTE).latency_p50 == 11.0
    assert log.summary("m", version=9) == Summary(0, 0, 0, None, None, None, None, None)
    assert log.summary("m", version=9).error_rate == 0


def test_roles_are_kept_apart(log: PredictionLog) -> None:
    log.append([entry("a"), entry("b", version=2, role="canary", experiment=4, unit="f0")])
    log.append([entry("c", version=2, role="shadow", experiment=4, unit="f1", shadow_of="a", answer={"prediction": 1})])
    assert ids(log) == ["a", "b"]
    assert ids(log, version=2) == ["b"]
    assert ids(log, role="shadow") == ["c"]
    assert log.window("m").entries["role"].to_list() == ["champion", "canary"]
    assert log.summary("m").predictions == 2
    assert log.summary("m", role="shadow").predictions == 1
    assert log.counts("m", NOON, NOON + MINUTE, MINUTE, role="canary")["predictions"].to_list() == [1]


def test_a_shadow_shares_the_outcome_of_the_answer_that_was_given(log: PredictionLog) -> None:
    log.append([entry("a"), entry("s", version=2, role="shadow", shadow_of="a")])
    assert log.label({"a": "no"}).added == 1
    assert log.label({"a": "yes"}).changed == 1
    assert log.window("m", role="shadow").entries["label"].to_list() == ["yes"]
    assert log.summary("m", role="shadow").labelled == 1
    assert log.label({"s": "yes"}).unknown == ("s",)


# -- outcomes ------------------------------------------------------------------------------------------------


def labels(log: PredictionLog) -> dict[str, Any]:
    entries = log.window("m").entries
    return dict(zip(entries["id"], entries["label"], strict=True))


def test_outcomes_are_joined_by_id(log: PredictionLog) -> None:
    log.append([entry("a"), entry("b"), entry("c"), refused("r")])
    result = log.label([("a", "yes"), ("b", None), ("x", "no"), ("r", "no")], actor="ada")
    assert result == LabelResult(added=1, changed=0, unchanged=0, empty=1, unknown=("x", "r"))
    assert labels(log) == {"a": "yes", "b": None, "c": None}


def test_the_latest_outcome_counts_and_the_earlier_are_kept(log: PredictionLog, database: Database) -> None:
    log.append([entry("a"), entry("b")])
    log.label({"a": "yes", "b": "yes"}, actor="ada")
    assert log.label({"a": "no", "b": "yes"}, actor="bob") == LabelResult(0, 1, 1, 0, ())
    assert labels(log) == {"a": "no", "b": "yes"}
    with database.reading() as connection:
        query = text(
            "SELECT revision, outcome, actor FROM rowsmith_outcomes WHERE prediction_id = 'a' ORDER BY revision"
        )
        assert [tuple(row) for row in connection.execute(query)] == [(1, '"yes"', "ada"), (2, '"no"', "bob")]


def test_of_one_id_given_twice_the_later_outcome_counts(log: PredictionLog) -> None:
    log.append([entry("a")])
    assert log.label([("a", "yes"), ("a", "no")]).added == 1
    assert labels(log) == {"a": "no"}


@pytest.mark.parametrize("library", [pl.DataFrame, pd.DataFrame])
def test_outcomes_from_a_dataframe(log: PredictionLog, library: Any) -> None:
    log.append([entry("a"), entry("b"), entry("c")])
    table = library({"label": [1.5, None, 2.0], "more": [1, 2, 3], "id": ["a", "b", "c"]})
    assert log.label(table) == LabelResult(added=2, changed=0, unchanged=0, empty=1, unknown=())
    assert labels(log) == {"a": 1.5, "b": None, "c": 2.0}


@pytest.mark.parametrize("missing", ["id", "label"])
def test_a_table_without_a_column(log: PredictionLog, missing: str) -> None:
    with pytest.raises(DataError, match=f"there is no {missing}.*Received outcome"):
        log.label(pl.DataFrame({"outcome": [1]} | {name: ["a"] for name in ("id", "label") if name != missing}))


@pytest.mark.parametrize("outcome", [[1], {"a": 1}, math.inf, object()])
def test_an_outcome_is_one_value(log: PredictionLog, database: Database, outcome: Any) -> None:
    log.append([entry("a"), entry("b")])
    with pytest.raises(DataError, match="the outcome of 'b' is no single value"):
        log.label([("a", 1), ("b", outcome)])
    assert labels(log) == {"a": None, "b": None}


def test_many_outcomes(log: PredictionLog) -> None:
    names = new_ids(12_000)
    log.append([entry(id_, inputs=None, answer=None) for id_ in names])
    result = log.label({**dict.fromkeys(names, True), "stranger": False})
    assert result == LabelResult(12_000, 0, 0, 0, ("stranger",))
    assert log.summary("m").labelled == 12_000


def test_two_threads_label_the_same_prediction(log: PredictionLog, database: Database) -> None:
    log.append([entry("a")])
    threads = [threading.Thread(target=log.label, args=({"a": number},)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as connection:
        revisions = connection.scalars(text("SELECT revision FROM rowsmith_outcomes ORDER BY revision")).all()
    assert list(revisions) == list(range(1, 11))
