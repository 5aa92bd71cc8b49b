"""ONNX: every family answers hostile rows as the model does, and what cannot be equal is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest

import rowsmith
from rowsmith.conversion.hostile import hostile_rows
from rowsmith.conversion.onnx.graph import Graph
from rowsmith.conversion.onnx.learners import answers
from rowsmith.conversion.onnx.model import Agreement, compare, converted, feed
from rowsmith.errors import UsageError
from rowsmith.model import Member, TrainedModel
from rowsmith.state import State
from rowsmith.training import FAMILIES
from rowsmith.training.calibration import Platt, Temperature
from rowsmith.training.families import find_family
from rowsmith.training.families.adapters import Constant, SomeClasses
from rowsmith.training.unit import Unit, learn
from rowsmith.types import Task
from tests.serving.models import loans
from tests.training.test_arithmetic import crowded

TEXT = 'remark <b>"&'
TARGETS = {"default": ("rate", "amount"), "rate": ("default", "amount"), "amount": ("default", "rate")}


def table(target: str, rows: int = 500) -> pl.DataFrame:
    """Loans without free text; cities of one word, so that they are not read as text either."""
    city = pl.col("city").str.replace(" ", "-")
    return loans(rows).with_columns(city).drop(TEXT, *TARGETS[target])


def trained(target: str, family: str) -> TrainedModel:
    return rowsmith.train(table(target), target=target, max_trials=1, families=[family], seed=1)


def agreement(model: TrainedModel, rows: pl.DataFrame | None = None) -> Agreement:
    content = converted(model, name="a model", facts={"name": "a model"}).SerializeToString()
    return compare(model, content, hostile_rows(model) if rows is None else rows)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_every_family_answers_hostile_rows_as_the_model_does(family: str, target: str) -> None:
    model = trained(target, family)
    found = agreement(model)
    assert found.rows == 2000
    assert found.holds
    assert found.difference < 1e-9  # the last bits of exponentials, and no more


@pytest.fixture(scope="module")
def linear() -> TrainedModel:
    return trained("default", "linear")


@pytest.mark.parametrize("calibrator", [Temperature(0.7), Platt(1.3, -0.2)])
@pytest.mark.parametrize("is_pool", [True, False])
def test_calibrators_blends_and_adapters(linear: TrainedModel, calibrator: Any, is_pool: bool) -> None:
    learner = linear.members[0].learner
    members = (
        Member(0.5, learner),
        Member(0.3, Constant(np.array([0.2, 0.8]))),
        Member(0.2, SomeClasses(Constant(np.array([1.0])), np.array([1]), 2, 1e-9)),
    )
    assert agreement(replace(linear, members=members, calibrator=calibrator, is_pool=is_pool)).difference < 1e-12


def test_a_model_that_differs_is_found_out(linear: TrainedModel) -> None:
    """The comparison fails when it should: against another threshold, and against another model."""
    content = converted(linear, name="x", facts={}).SerializeToString()
    rows = hostile_rows(linear)
    assert compare(linear, content, rows).holds
    assert compare(replace(linear, threshold=0.9), content, rows).other_labels > 0
    other = replace(linear, members=(Member(1.0, Constant(np.array([0.5, 0.5]))),))
    assert not compare(other, content, rows).holds


def test_dates_from_the_first_year_to_the_last(linear: TrainedModel) -> None:
    """Every part of the calendar, day by day around the ends of months, leap years and centuries."""
    days = [
        f"{year:04d}-{month:02d}-{day:02d}T{hour}"
        for year in (1, 4, 100, 400, 1582, 1899, 1900, 1968, 1969, 1970, 1999, 2000, 2001, 2023, 2024, 2100, 9999)
        for month, day in [(1, 1), (2, 28), (3, 1), (6, 30), (7, 1), (12, 31)]
        for hour in ("00:00:00", "00:59:59.999999", "23:59:00")
    ]
    base = hostile_rows(linear).row(0, named=True)
    frame = pl.DataFrame([{**base, "opened": None}] * len(days), schema=hostile_rows(linear).schema)
    rows = frame.with_columns(opened=pl.Series(days).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us"))
    assert rows["opened"].null_count() == 0
    assert agreement(linear, rows).difference < 1e-12


def test_the_inputs_are_the_columns_by_name_and_rows_of_any_number(linear: TrainedModel) -> None:
    content = converted(linear, name="x", facts={"version": "7"}).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert {each.name for each in session.get_inputs()} == {"income", "age", "purpose", "city", "owner", "opened"}
    assert session.get_modelmeta().custom_metadata_map["version"] == "7"
    rows = hostile_rows(linear)
    one, many = rows.head(1), rows.head(50)
    alone, among = (session.run(["probabilities"], feed(part, session))[0] for part in (one, many))
    assert alone.shape == (1, 2)
    np.testing.assert_array_equal(alone[0], among[0])


def test_hostile_rows_are_hostile(linear: TrainedModel) -> None:
    rows = hostile_rows(linear)
    income = rows["income"]
    assert income.null_count() > 0
    assert income.is_infinite().any()
    assert (income.abs() > 3.4e38).any()
    assert {"CAR", "never seen before"} <= set(rows["purpose"].drop_nulls())
    assert rows["opened"].dt.year().min() == 1
    assert rows["opened"].dt.year().max() == 9999


def test_free_text_is_refused_with_the_reason() -> None:
    words = ["paid", "late", "asked", "called", "moved", "again", "twice", "never"]
    drawn = np.random.default_rng(0).choice(words, (300, 12))
    remarks = pl.Series([" ".join(line) for line in drawn.tolist()])
    frame = loans(300).drop("rate", "amount", "city", TEXT).with_columns(remark=remarks)
    model = rowsmith.train(frame, target="default", max_trials=1, families=["linear"])
    with pytest.raises(UsageError, match=r"remark.*mlflow"):
        converted(model, name="x", facts={})


def test_levels_that_are_read_as_text_are_refused() -> None:
    frame = loans(300).drop("rate", "amount", TEXT)
    model = rowsmith.train(frame, target="default", max_trials=1, families=["linear"])
    with pytest.raises(UsageError, match="city"):
        converted(model, name="x", facts={})


@pytest.mark.parametrize("task", Task)
def test_arithmetic_of_numbers(task: Task) -> None:
    """Of learners over a matrix, infinities and zeros in it."""
    data = crowded(task)
    params = {**next(iter(find_family("lightgbm").portfolio(data.shape).values())), "arithmetic": 8}
    learner, _ = learn(data, data.folds[0], Unit(0, "lightgbm", params, 0, rounds=5))
    assert "with_arithmetic" in {state.kind for state in tree(learner.to_state())}
    draw = np.random.default_rng(1)
    matrix = np.where(draw.random((500, 3)) < 0.2, 0.0, draw.normal(size=(500, 3))).astype(np.float32)
    matrix[draw.random((500, 3)) < 0.1] = np.nan
    matrix[draw.random((500, 3)) < 0.05] = 3e38
    graph = Graph()
    columns = [graph.input(f"x{i}", "float64") for i in range(3)]
    graph.output(answers(graph, graph.side_by_side(*columns), learner.to_state()), "answers", "float64", data.outputs)
    content = graph.model(name="a learner", description="", facts={}).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {f"x{i}": matrix[:, [i]].astype(np.float64) for i in range(3)})
    np.testing.assert_allclose(found, learner.predict(matrix), rtol=1e-9, atol=1e-12)


def tree(state: State) -> Iterator[State]:
    yield state
    for child in state.children.values():
        yield from tree(child)
