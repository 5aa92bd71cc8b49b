from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from rowsmith.errors import ArtifactError, SchemaError
from rowsmith.evaluation.metrics import get_metric
from rowsmith.monitoring.reference import Reference, build_reference
from rowsmith.schema import Column, Schema
from rowsmith.types import ColumnKind, Role, Task
from tests.monitoring.world import World


def test_every_feature_is_watched_and_the_target_is_not_one(yes_no_reference: Reference) -> None:
    watched = [(item.column, item.aspect) for item in yes_no_reference.features]
    assert watched == [
        ("load", "value"),
        ("doors", "value"),
        ("city", "value"),
        ("night", "value"),
        ("note", "length"),
        ("note", "known_words"),
        ("when", "value"),
    ]
    assert [(item.column, item.aspect) for item in yes_no_reference.answers] == [
        ("prediction", "label"),
        ("prediction", "probability"),
    ]
    assert [(item.column, item.aspect) for item in yes_no_reference.target] == [("outcome", "label")]


@pytest.mark.parametrize("name", ["yes_no_reference", "amounts_reference"])
def test_json_and_back_changes_nothing(name: str, request: pytest.FixtureRequest) -> None:
    reference: Reference = request.getfixturevalue(name)
    text = json.dumps(reference.to_dict(), allow_nan=False)
    assert Reference.from_dict(json.loads(text)) == reference


@pytest.mark.parametrize("data", [{"format": 2}, {}, [], {"format": 1}, {"format": 1, "rows": 3, "task": "guess"}])
def test_what_is_no_reference_is_refused(data: object) -> None:
    with pytest.raises(ArtifactError, match="reference"):
        Reference.from_dict(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("columns", [80, 400])
def test_a_wide_table_still_makes_a_small_file(columns: int) -> None:
    rng = np.random.default_rng(0)
    schema = Schema(
        (*(Column(f"c{i}", ColumnKind.NUMBER) for i in range(columns)), Column("y", ColumnKind.NUMBER, (Role.TARGET,))),
        Task.REGRESSION,
    )
    frame = pl.DataFrame(rng.normal(size=(2000, columns)), schema=[f"c{i}" for i in range(columns)])
    answers = pl.DataFrame({"prediction": rng.normal(size=2000)})
    reference = build_reference(frame, answers, schema, truth=rng.normal(size=2000))
    assert len(json.dumps(reference.to_dict())) < 600 * columns + 200_000


def test_a_usual_table_makes_a_small_file(yes_no_reference: Reference) -> None:
    assert len(json.dumps(yes_no_reference.to_dict())) < 30_000


def test_without_truth_there_are_sketches_alone(yes_no: World) -> None:
    table = yes_no.rows(200)
    reference = build_reference(yes_no.conforming(table), yes_no.answers(table), yes_no.schema)
    assert (reference.target, reference.scores, reference.calibration, reference.residuals) == ((), (), None, None)
    assert reference.rows == 200


def test_an_empty_reference_can_be_made_and_read(amounts: World) -> None:
    table = amounts.rows(0)
    reference = build_reference(
        amounts.conforming(table),
        amounts.answers(table),
        amounts.schema,
        truth=np.zeros(0),
        metrics=(get_metric("rmse"),),
    )
    assert Reference.from_dict(json.loads(json.dumps(reference.to_dict()))) == reference


def test_scores_of_the_reference_rows(yes_no: World, yes_no_reference: Reference) -> None:
    table = yes_no.rows(4000, seed=99)
    found = yes_no_reference.score("accuracy")
    assert found is not None
    expected = float(np.mean(table["outcome"].to_numpy() == yes_no.answers(table)["prediction"].to_numpy()))
    assert found.score.value == pytest.approx(expected)
    assert found.score.interval is not None
    assert found.score.interval.low < expected < found.score.interval.high
    assert found.deviation == pytest.approx(np.sqrt(expected * (1 - expected) / 4000), rel=0.25)
    assert found.estimated == pytest.approx(expected, abs=0.02)
    assert yes_no_reference.score("log_loss") is None


def test_calibration_error_tells_honest_from_boastful_probabilities(yes_no: World, yes_no_reference: Reference) -> None:
    table = yes_no.rows(4000, seed=99)
    boastful = yes_no.answers(table).with_columns(
        probability_yes=pl.col("probability_yes") > 0.5, probability_no=pl.col("probability_yes") <= 0.5
    )
    reference = build_reference(yes_no.conforming(table), boastful, yes_no.schema, truth=yes_no.truth(table))
    assert yes_no_reference.calibration is not None and reference.calibration is not None
    assert yes_no_reference.calibration.error < 0.03 < 0.15 < reference.calibration.error


def test_answers_of_another_model_are_refused(yes_no: World) -> None:
    table = yes_no.rows(10)
    with pytest.raises(SchemaError, match='no column "probability_yes"'):
        build_reference(yes_no.conforming(table), pl.DataFrame({"prediction": ["yes"] * 10}), yes_no.schema)


def test_words_of_a_few_rows_alone_are_not_kept() -> None:
    schema = Schema((Column("note", ColumnKind.TEXT), Column("y", ColumnKind.NUMBER, (Role.TARGET,))), Task.REGRESSION)
    notes = ["the bus was late"] * 10 + ["Ingrid was late"] * 4 + [None] * 2
    frame = pl.DataFrame({"note": notes})
    reference = build_reference(frame, pl.DataFrame({"prediction": [1.0] * 16}), schema)
    words = reference.features[1].words
    assert set(words) == {"the", "bus", "was", "late"}
    assert "Ingrid" not in json.dumps(reference.to_dict())
    assert reference.features[0].sketch.missing == 2
