from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from rowsmith.errors import SchemaError, UsageError
from rowsmith.evaluation.metrics import get_metric
from rowsmith.monitoring.log import LogEntry, PredictionLog
from rowsmith.monitoring.observations import Observations, from_log, from_table
from rowsmith.monitoring.reference import Reference
from rowsmith.monitoring.report import MonitorReport, monitor
from rowsmith.recipe import MonitorSection
from rowsmith.storage.database import Database
from rowsmith.types import Task
from tests.monitoring.world import START, World

METRICS = (get_metric("roc_auc"), get_metric("accuracy", Task.BINARY))
NOW = datetime(2024, 3, 1, tzinfo=UTC)


def watch(world: World, reference: Reference, table: pl.DataFrame, **options: object) -> MonitorReport:
    observations = from_table(table, world.answers(table), world.schema)
    section = MonitorSection(**options)
    return monitor(reference, observations, world.schema, metrics=METRICS, options=section, now=NOW)


def test_a_file_window_by_window(yes_no: World, yes_no_reference: Reference) -> None:
    report = watch(yes_no, yes_no_reference, yes_no.rows(2000), window="day")
    assert [window.start for window in report.windows] == [f"2024-01-{day:02}T00:00:00" for day in range(1, 11)]
    assert sum(window.rows for window in report.windows) == report.rows == 2000
    assert all(window.labelled == window.rows and window.judged for window in report.windows)
    assert (report.length, report.untimed, report.created) == ("day", 0, "2024-03-01T00:00:00+00:00")
    assert report.verdict.level == "ok", report.verdict
    assert report.calibration_error is not None and report.calibration_error < 0.03
    for window in report.windows:
        assert {(score.metric, score.estimated) for score in window.scores} == {
            (metric.name, estimated) for metric in METRICS for estimated in (False, True)
        }


def test_the_window_length_is_chosen_when_not_given(yes_no: World, yes_no_reference: Reference) -> None:
    assert watch(yes_no, yes_no_reference, yes_no.rows(2100, days=10), min_rows=50).length == "day"
    assert watch(yes_no, yes_no_reference, yes_no.rows(1000, days=20), min_rows=50).length == "week"


def test_only_the_shifted_windows_have_drifted(yes_no: World, yes_no_reference: Reference) -> None:
    calm = yes_no.rows(500, days=1)
    later = yes_no.shifted(1.0).rows(500, days=1, start=START + timedelta(days=1))
    report = watch(yes_no, yes_no_reference, pl.concat([later, calm]), window="day")
    columns = [{item.column for item in window.drifted if item.part == "feature"} for window in report.windows]
    assert columns == [set(), {"load"}]
    assert {reason.code for reason in report.verdict.reasons} >= {"feature_drift", "prediction_drift"}


@pytest.mark.parametrize("name", ["yes_no", "amounts"])
def test_json_and_back_changes_nothing(name: str, request: pytest.FixtureRequest) -> None:
    world: World = request.getfixturevalue(name)
    report = watch(world, request.getfixturevalue(f"{name}_reference"), world.rows(600), window="week")
    assert MonitorReport.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report


def test_the_same_rows_give_the_same_report(yes_no: World, yes_no_reference: Reference) -> None:
    table = yes_no.rows(300)
    assert watch(yes_no, yes_no_reference, table) == watch(yes_no, yes_no_reference, table)


def test_worse_answers_are_found_once_labels_come(yes_no: World, yes_no_reference: Reference) -> None:
    """The world turned round: same features, other outcomes. Only labels can show it."""
    table = yes_no.rows(800)
    turned = table.with_columns(outcome=pl.when(pl.col("outcome") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes")))
    unlabelled = watch(yes_no, yes_no_reference, table.drop("outcome"), window="month")
    labelled = watch(yes_no, yes_no_reference, turned, window="month")
    assert unlabelled.verdict.level == "ok"
    assert labelled.verdict.reasons[0].code == "score_worse"
    assert all(score.estimated for score in unlabelled.windows[0].scores)
    assert [score.worse for score in labelled.windows[0].scores] == [True, True, False, False]
    assert "concept drift" in unlabelled.windows[0].scores[0].assumption


def test_a_regression(amounts: World, amounts_reference: Reference) -> None:
    table = amounts.rows(1000)
    observations = from_table(table, amounts.answers(table), amounts.schema)
    options = MonitorSection(window="month")
    metrics = (get_metric("rmse"), get_metric("mae"), get_metric("accuracy", Task.BINARY))
    report = monitor(amounts_reference, observations, amounts.schema, metrics=metrics, options=options)
    [window] = report.windows
    live = {score.metric: score for score in window.scores if not score.estimated}
    guessed = {score.metric: score for score in window.scores if score.estimated}
    assert set(live) == set(guessed) == {"rmse", "mae"}
    for name, score in live.items():
        assert guessed[name].value == pytest.approx(score.value, rel=0.15)
        assert not score.worse and not guessed[name].worse
    assert (report.verdict.level, report.calibration_error) == ("ok", None)


@pytest.mark.parametrize("values", [["abc"] * 20 + [1.5] * 380, ["n/a?"] * 400])
def test_values_of_a_wrong_type_are_reported_and_not_refused(
    yes_no: World, yes_no_reference: Reference, values: list[object]
) -> None:
    table = yes_no.rows(400)
    broken = table.with_columns(doors=pl.Series([str(value) for value in values]))
    observations = from_table(broken, yes_no.answers(table), yes_no.schema)
    report = monitor(yes_no_reference, observations, yes_no.schema, options=MonitorSection(window="month"))
    [doors] = [item for item in report.windows[0].drift if item.column == "doors"]
    wrong = sum(isinstance(value, str) for value in values) / 400
    assert doors.invalid == pytest.approx(wrong)
    reason = next(reason for reason in report.verdict.reasons if reason.code == "invalid_values")
    assert (reason.columns, reason.level) == (("doors",), "act")


def test_rows_without_times_are_one_window(yes_no: World, yes_no_reference: Reference) -> None:
    report = watch(yes_no, yes_no_reference, yes_no.rows(200).drop("when"))
    assert [(window.start, window.rows, window.title) for window in report.windows] == [(None, 200, "all rows")]


def test_no_rows_at_all(yes_no: World, yes_no_reference: Reference) -> None:
    report = watch(yes_no, yes_no_reference, yes_no.rows(0))
    assert (report.windows, report.verdict.reasons[0].code) == ((), "nothing_seen")


def test_a_time_column_can_be_named(yes_no: World) -> None:
    table = yes_no.rows(20).rename({"when": "asked"}).with_columns(pl.col("asked").dt.strftime("%Y-%m-%dT%H:%M:%S"))
    observations = from_table(table, yes_no.answers(table), yes_no.schema, time="asked")
    assert observations.times is not None and observations.times.dtype == pl.Datetime("us")
    with pytest.raises(UsageError, match='no column "then"'):
        from_table(table, yes_no.answers(table), yes_no.schema, time="then")
    with pytest.raises(UsageError, match="holds no dates"):
        from_table(table, yes_no.answers(table), yes_no.schema, time="city")


def test_answers_of_another_model_are_refused(yes_no: World) -> None:
    table = yes_no.rows(5)
    with pytest.raises(SchemaError, match="probability_no"):
        from_table(table, pl.DataFrame({"prediction": ["yes"] * 5}), yes_no.schema)


def test_lengths_must_agree(yes_no: World) -> None:
    table = yes_no.rows(5)
    with pytest.raises(ValueError, match="differ in length"):
        Observations(table, yes_no.answers(yes_no.rows(4)))


def logged(world: World, log: PredictionLog, table: pl.DataFrame) -> None:
    """What serving would have written: the times of the rows are those of the requests."""
    answers = world.answers(table)
    log.append(
        [
            LogEntry(
                id=f"row-{i}",
                name="model",
                version=1,
                time=row["when"],
                inputs={name: value for name, value in row.items() if name != "outcome"},
                answer={"prediction": answer[0], "probabilities": {"no": answer[1], "yes": answer[2]}},
                latency_ms=float(i % 100),
            )
            for i, (row, answer) in enumerate(zip(table.iter_rows(named=True), answers.iter_rows(), strict=True))
        ]
    )


def test_the_log_and_the_file_of_the_same_rows_agree(
    database: Database, yes_no: World, yes_no_reference: Reference
) -> None:
    log = PredictionLog(database)
    table = yes_no.rows(600, days=2).sort("when")
    logged(yes_no, log, table)
    log.append([LogEntry(f"bad-{i}", "model", 1, START, status="error", code="wrong_type") for i in range(30)])
    log.label({f"row-{i}": outcome for i, outcome in enumerate(table["outcome"])})
    counts = log.counts("model", START, START + timedelta(days=3), timedelta(hours=1))
    observations = from_log(log.window("model"), yes_no.schema, counts)
    options = MonitorSection(window="day")
    report = monitor(yes_no_reference, observations, yes_no.schema, metrics=METRICS, options=options, now=NOW)
    from_file = watch(yes_no, yes_no_reference, table, window="day")
    first, second = report.windows
    assert [window.drift for window in report.windows] == [window.drift for window in from_file.windows]
    assert [window.scores for window in report.windows] == [window.scores for window in from_file.windows]
    assert (first.errors, first.requests, second.errors) == (30, first.rows + 30, 0)
    assert first.latency_ms is not None
    assert 40 < first.latency_ms.p50 < 60 < 90 < first.latency_ms.p95 <= first.latency_ms.p99 <= 99
    assert "errors" not in {reason.code for reason in report.verdict.reasons}  # those were in the older window


def test_a_window_of_failures_alone(database: Database, yes_no: World, yes_no_reference: Reference) -> None:
    log = PredictionLog(database)
    log.append([LogEntry(f"bad-{i}", "model", 1, START, status="error") for i in range(3)])
    counts = log.counts("model", START, START + timedelta(days=1), timedelta(hours=1))
    observations = from_log(log.window("model"), yes_no.schema, counts)
    report = monitor(yes_no_reference, observations, yes_no.schema, metrics=METRICS)
    assert [(window.rows, window.errors, window.error_share) for window in report.windows] == [(0, 3, 1.0)]
    assert report.verdict.level == "act"


def test_an_empty_log(database: Database, yes_no: World, yes_no_reference: Reference) -> None:
    log = PredictionLog(database)
    observations = from_log(log.window("model"), yes_no.schema)
    assert monitor(yes_no_reference, observations, yes_no.schema).windows == ()


def test_labels_that_look_like_numbers_come_back_from_a_file(yes_no: World) -> None:
    from dataclasses import replace

    schema = replace(yes_no.schema, labels=("0", "1"))
    table = yes_no.rows(3).drop("outcome")
    answers = pl.DataFrame(
        {"prediction": [0, 1, 1], "probability_0": [0.9, 0.2, 0.1], "probability_1": [0.1, 0.8, 0.9]}
    )
    assert from_table(table, answers, schema).answers["prediction"].to_list() == ["0", "1", "1"]
