"""Many rows are conformed as a table, and get what each of them gets alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rowsmith.errors import SchemaError
from rowsmith.monitoring.log import LogEntry
from rowsmith.serving.answers import Answers, TableAnswers
from rowsmith.serving.champion import Served
from rowsmith.serving.predictor import ROWS_AS_TABLE, answers_of, conform
from rowsmith.serving.table_rows import TableRows
from rowsmith.workflows.deploy import Deployed, deploy
from rowsmith.workflows.project import Project
from tests.serving.models import a_row, json_rows, loans


@pytest.fixture(params=["default", "rate", "amount"])
def deployed(project_of: dict[str, Project], request: pytest.FixtureRequest) -> Deployed:
    project = project_of[request.param]
    return deploy(project, project.version())


def answered(deployed: Deployed, rows: Sequence[Mapping[str, Any]]) -> Answers:
    return answers_of(Served(deployed, Path()), conform(deployed, rows))


def test_a_table_gets_what_each_row_gets_alone(deployed: Deployed) -> None:
    table = loans(3 * ROWS_AS_TABLE, seed=7)
    alone = [deployed.model.predict_row(row) for row in json_rows(table)]
    for rows in (json_rows(table), TableRows(table)):
        together = answered(deployed, rows)
        assert isinstance(together, TableAnswers)
        assert together.values == [prediction.value for prediction in alone]
        given = [{"id": id_, **prediction.to_dict()} for id_, prediction in zip(together.ids, alone, strict=True)]
        if not isinstance(rows, TableRows):
            assert together.items() == given
        without = [{name: said for name, said in item.items() if name != "warnings"} for item in given]
        assert [
            {name: said for name, said in item.items() if name != "warnings"} for item in together.items()
        ] == without
        assert [item.row for item in together.conforming] == [deployed.row(row).row for row in json_rows(table)]
        kept = [answer for _, answer in together.each()]
        assert [{name: said for name, said in answer.items() if name != "warnings"} for answer in kept] == [
            {name: said for name, said in item.items() if name != "id"} for item in without
        ]


def test_what_is_odd_about_one_of_many_rows_is_told_of_that_row(deployed: Deployed) -> None:
    rows = [a_row() for _ in range(2 * ROWS_AS_TABLE)]
    rows[40] = a_row(purpose="boat")
    answers = answered(deployed, rows)
    assert isinstance(answers, TableAnswers)
    assert [i for i, item in enumerate(answers.items()) if "warnings" in item] == [40]
    assert "boat" in answers.items()[40]["warnings"][0] and answers.warnings == answers.items()[40]["warnings"]
    log_table = answers.to_log(LogEntry("-", "m", 1, datetime.now(UTC)))
    assert list(log_table.warnings) == [40]
    rows[41] = a_row(age="old")
    with pytest.raises(SchemaError) as caught:
        conform(deployed, rows)
    assert [(fault.row, fault.column) for fault in caught.value.faults] == [(41, "age")]


def test_a_table_tells_of_many_odd_rows_in_one_sentence(deployed: Deployed) -> None:
    table = loans(10).with_columns(age=200)
    answers = answered(deployed, TableRows(table))
    assert any("10 rows" in note or "200" in note for note in answers.notes)
    assert all("warnings" not in item for item in answers.items())


def test_a_warning_about_all_rows_is_told_of_each(project_of: dict[str, Project]) -> None:
    project = project_of["default"]
    deployed = deploy(project, project.version())
    strict = replace(deployed.inputs, policies=replace(deployed.inputs.policies, unknown_column="warn"))
    watching = replace(deployed, inputs=strict, model=replace(deployed.model, schema=strict))
    answers = answered(watching, [a_row() | {"stranger": 1} for _ in range(ROWS_AS_TABLE)])
    assert isinstance(answers, TableAnswers)
    assert all("stranger" in item["warnings"][0] for item in answers.items())


def test_rows_of_a_table_can_be_taken_one_by_one() -> None:
    rows = TableRows(loans(5))
    assert len(rows) == 5
    assert rows[2] == list(rows)[2] == rows[2:4][0]
