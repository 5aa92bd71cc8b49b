"""Many rows are conformed as a table, and get what each of them gets alone."""

from __future__ import annotations

import pytest

from rowsmith.errors import SchemaError
from rowsmith.serving.predictor import ROWS_AS_TABLE, conform, predict
from rowsmith.serving.table_rows import ConformingTable, TableRows
from rowsmith.workflows.deploy import Deployed, deploy
from rowsmith.workflows.project import Project
from tests.serving.models import a_row, json_rows, loans


@pytest.fixture(params=["default", "rate", "amount"])
def deployed(project_of: dict[str, Project], request: pytest.FixtureRequest) -> Deployed:
    project = project_of[request.param]
    return deploy(project, project.version())


def test_a_table_gets_what_each_row_gets_alone(deployed: Deployed) -> None:
    table = loans(3 * ROWS_AS_TABLE, seed=7)
    alone = [deployed.model.predict_row(row) for row in json_rows(table)]
    for rows in (json_rows(table), TableRows(table)):
        conforming = conform(deployed, rows)
        assert isinstance(conforming, ConformingTable)
        together = predict(deployed.model, conforming)
        assert [prediction.value for prediction in together] == [prediction.value for prediction in alone]
        assert [prediction.to_dict() | {"warnings": ()} for prediction in together] == [
            prediction.to_dict() | {"warnings": ()} for prediction in alone
        ]
        assert [item.row for item in conforming] == [deployed.row(row).row for row in json_rows(table)]


def test_what_is_odd_about_one_of_many_rows_is_told_of_that_row(deployed: Deployed) -> None:
    rows = [a_row() for _ in range(2 * ROWS_AS_TABLE)]
    rows[40] = a_row(purpose="boat")
    answers = predict(deployed.model, conform(deployed, rows))
    assert [i for i, answer in enumerate(answers) if answer.warnings] == [40]
    assert "boat" in answers[40].warnings[0]
    rows[41] = a_row(age="old")
    with pytest.raises(SchemaError) as caught:
        conform(deployed, rows)
    assert [(fault.row, fault.column) for fault in caught.value.faults] == [(41, "age")]


def test_a_table_tells_of_many_odd_rows_in_one_sentence(deployed: Deployed) -> None:
    table = loans(10).with_columns(age=200)
    conforming = conform(deployed, TableRows(table))
    assert isinstance(conforming, ConformingTable)
    assert any("10 rows" in note or "200" in note for note in conforming.notes)
    assert all(not answer.warnings for answer in predict(deployed.model, conforming))


def test_rows_of_a_table_can_be_taken_one_by_one() -> None:
    rows = TableRows(loans(5))
    assert len(rows) == 5
    assert rows[2] == list(rows)[2] == rows[2:4][0]
