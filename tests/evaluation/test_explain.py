from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from rowsmith.errors import SchemaError
from rowsmith.evaluation.explain import OTHERS, Explainer, background
from rowsmith.evaluation.metrics import default_metric
from rowsmith.evaluation.testset import TestSet
from rowsmith.model import Member
from rowsmith.types import Task
from tests.evaluation.models import Formula, World, world

COLUMNS = ["x", "colour", "old", "age", "noise", "seen", "sex"]
ROW = {
    "x": 2.0,
    "colour": "blue",
    "noise": 0.1,
    "old": True,
    "seen": "1970-06-01",
    "sex": "female",
    "age": 60,
}


def sealed(made: World) -> TestSet:
    return TestSet.of(made.model, made.frame, made.target, default_metric(made.model.task), None, 0)


@pytest.mark.parametrize("task", list(Task))
def test_contributions_add_up_to_the_answer_of_predict_row(task: Task) -> None:
    made = world(task)
    stored = json.loads(json.dumps(background(sealed(made), COLUMNS), allow_nan=False))
    found = Explainer(made.model, stored).explain(ROW)
    answer = made.model.predict_row(ROW)
    value = answer.value if answer.probabilities is None else answer.probabilities[str(found.label)]
    assert found.answer == value
    assert found.base + sum(item.amount for item in found.contributions) == pytest.approx(found.answer)
    amounts = [abs(item.amount) for item in found.contributions]
    assert amounts == sorted(amounts, reverse=True)


def test_of_a_sum_every_term_gets_its_own() -> None:
    made = world(Task.REGRESSION)
    weights = np.array([[2.0], [0.0], [0.0], [3.0], [0.0], [0.0], [0.1]])
    model = replace(made.model, members=(Member(1.0, Formula(weights, 0)),))
    stored = background(sealed(replace(made, model=model)), COLUMNS)
    found = {item.column: item.amount for item in Explainer(model, stored).explain(ROW).contributions}
    rows = np.array([[np.nan if v is None else v for v in row] for row in stored["rows"]])
    assert found["x"] == pytest.approx(2 * (2.0 - np.nan_to_num(rows[:, 0]).mean()), abs=0.8)
    assert found["noise"] == found["colour"] == found["sex"] == 0
    assert found["old"] > 0


def test_the_base_is_about_the_mean_answer() -> None:
    for task in Task:
        made = world(task, 2000)
        test = sealed(made)
        found = Explainer(made.model, background(test, COLUMNS)).explain(ROW)
        output = made.model.labels.index(found.label) if found.label else 0
        spread = float(test.scores[:, output].std())
        assert found.base == pytest.approx(float(test.scores[:, output].mean()), abs=0.25 * spread)


def test_the_same_row_gets_the_same_explanation() -> None:
    made = world(Task.BINARY)
    stored = background(sealed(made), COLUMNS)
    assert Explainer(made.model, stored).explain(ROW) == Explainer(made.model, stored).explain(ROW)
    assert background(sealed(made), COLUMNS) == stored


def test_what_is_not_named_is_explained_together() -> None:
    made = world(Task.BINARY)
    stored = background(sealed(made), ["x", "gone"])
    found = {item.column: item.amount for item in Explainer(made.model, stored).explain(ROW).contributions}
    assert set(found) == {"x", OTHERS}
    assert abs(found["x"]) > 0.1


def test_no_row_of_the_data_is_kept() -> None:
    made = world(Task.BINARY, 400)
    test = sealed(made)
    stored = background(test, COLUMNS)
    real = {tuple(row) for row in np.nan_to_num(test.matrix, nan=-1).tolist()}
    kept = [tuple(-1.0 if value is None else value for value in row) for row in stored["rows"]]
    assert len(kept) == 16
    assert not real.intersection(kept)


def test_without_a_background_nothing_is_credited() -> None:
    made = world(Task.BINARY)
    found = Explainer(made.model, {"columns": [], "rows": []}).explain(ROW)
    assert found.base == pytest.approx(found.answer)
    assert all(item.amount == 0 for item in found.contributions)


def test_few_test_rows_make_a_background_too() -> None:
    made = world(Task.BINARY, 3)
    assert len(background(sealed(made), COLUMNS)["rows"]) == 16


def test_an_impossible_row_is_refused_as_in_prediction() -> None:
    made = world(Task.BINARY)
    with pytest.raises(SchemaError, match="age"):
        Explainer(made.model, background(sealed(made), COLUMNS)).explain(ROW | {"age": "old"})


def test_it_is_json() -> None:
    made = world(Task.MULTICLASS)
    data = Explainer(made.model, background(sealed(made), COLUMNS)).explain(ROW).to_dict()
    assert json.loads(json.dumps(data, allow_nan=False))["contributions"][0]["column"]
