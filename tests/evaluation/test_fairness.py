from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from fairlearn import metrics as fl

from rowsmith.evaluation.fairness import fairness_by_group
from rowsmith.evaluation.metrics import default_metric
from rowsmith.evaluation.testset import TestSet
from rowsmith.types import Array, JsonObject, Role, Task
from tests.evaluation.models import World, world


def sealed(made: World, weights: Array | None = None) -> TestSet:
    return TestSet.of(made.model, made.frame, made.target, default_metric(made.model.task), weights, 0)


def gap_of(item: JsonObject, name: str) -> JsonObject:
    return next(gap for gap in item["gaps"] if gap["name"] == name)


@pytest.mark.parametrize("weighted", [False, True])
def test_gaps_are_those_of_fairlearn(weighted: bool) -> None:
    made = world(Task.BINARY, 2000)
    weights = np.random.default_rng(0).uniform(0.5, 2, 2000) if weighted else None
    test = sealed(made, weights)
    item = fairness_by_group(test)[0]
    assert item["column"] == "sex"
    given = {"sensitive_features": made.frame["sex"].to_numpy(), "sample_weight": weights}
    parity = gap_of(item, "demographic_parity")
    odds = gap_of(item, "equalized_odds")
    opportunity = gap_of(item, "equal_opportunity")
    truth, chosen = test.truth, test.chosen
    assert parity["difference"] == pytest.approx(fl.demographic_parity_difference(truth, chosen, **given))
    assert parity["ratio"] == pytest.approx(fl.demographic_parity_ratio(truth, chosen, **given))
    assert odds["difference"] == pytest.approx(fl.equalized_odds_difference(truth, chosen, **given))
    assert odds["ratio"] == pytest.approx(fl.equalized_odds_ratio(truth, chosen, **given))
    assert opportunity["difference"] == pytest.approx(fl.equal_opportunity_difference(truth, chosen, **given))
    assert all(gap["meaning"] for gap in item["gaps"])


def test_groups_have_rows_scores_and_intervals() -> None:
    item = fairness_by_group(sealed(world(Task.BINARY, 2000)))[0]
    assert sum(group["rows"] for group in item["groups"]) == 2000
    for group in item["groups"]:
        assert not group["small"]
        assert group["score"]["low"] < group["score"]["value"] < group["score"]["high"]
        for figure in group["figures"].values():
            assert figure["low"] <= figure["value"] <= figure["high"]
    rates = item["groups"][0]["figures"]
    assert rates["true_positive_rate"]["rows"] + rates["false_positive_rate"]["rows"] == item["groups"][0]["rows"]


def test_an_unfair_model_is_seen() -> None:
    made = world(Task.BINARY, 2000)
    unfair = sealed(made)
    shift = np.where((made.frame["sex"] == "male").to_numpy(), 0.3, -0.3)
    event = np.clip(unfair.scores[:, 1] + shift, 0, 1)
    unfair = replace(unfair, scores=np.column_stack([1 - event, event]))
    fair_gap = gap_of(fairness_by_group(sealed(made))[0], "demographic_parity")
    gap = gap_of(fairness_by_group(unfair)[0], "demographic_parity")
    assert (gap["highest"], gap["lowest"]) == ("male", "female")
    assert gap["difference"] > 0.3 > 0.1 > fair_gap["difference"]


def test_numbers_are_cut_into_quarters() -> None:
    item = fairness_by_group(sealed(world(Task.BINARY, 2000)))[1]
    assert item["column"] == "age"
    assert item["binned"]
    assert len(item["groups"]) == 4
    assert item["groups"][0]["label"].startswith("18 to ")


def test_a_small_group_is_marked_and_takes_no_part() -> None:
    made = world(Task.BINARY, 400)
    sex = made.frame["sex"].to_list()
    sex[:5] = ["other"] * 5
    made = replace(made, frame=made.frame.with_columns(pl.Series("sex", sex)))
    item = fairness_by_group(sealed(made))[0]
    small = next(group for group in item["groups"] if group["label"] == "other")
    assert small["small"]
    assert small["rows"] == 5
    assert small["score"]["value"] is None
    assert small["figures"]["accuracy"]["value"] is not None
    assert all("other" not in (gap["highest"], gap["lowest"]) for gap in item["gaps"])


def test_a_group_without_the_event_has_no_true_positive_rate() -> None:
    made = world(Task.BINARY, 400)
    target = np.where((made.frame["sex"] == "male").to_numpy(), 0, made.target)
    item = fairness_by_group(sealed(replace(made, target=target)))[0]
    male = next(group for group in item["groups"] if group["label"] == "male")
    assert male["figures"]["true_positive_rate"]["value"] is None
    assert male["score"]["value"] is None
    assert {gap["name"] for gap in item["gaps"]} == {"demographic_parity", "accuracy"}


def test_other_tasks_have_their_own_figures() -> None:
    several = fairness_by_group(sealed(world(Task.MULTICLASS)))[0]
    number = fairness_by_group(sealed(world(Task.REGRESSION)))[0]
    assert {gap["name"] for gap in several["gaps"]} == {"score", "accuracy"}
    assert {gap["name"] for gap in number["gaps"]} == {"score", "mean_error", "mean_absolute_error"}
    assert gap_of(number, "mean_error")["ratio"] is None
    error = number["groups"][0]["figures"]["mean_error"]
    assert error["low"] < error["value"] < error["high"]


def test_a_column_that_the_model_must_not_see_is_compared_all_the_same() -> None:
    made = world(Task.BINARY, 400)
    schema = made.model.schema
    hidden = replace(schema["patient"], roles=(Role.IGNORED, Role.SENSITIVE))
    model = replace(made.model, schema=schema.replaced([hidden]))
    frame = made.frame.with_columns(patient=pl.Series(["a", "b"] * 200))
    hidden_kind = replace(hidden, kind=schema["sex"].kind)
    model = replace(made.model, schema=schema.replaced([hidden_kind]))
    found = {item["column"]: item for item in fairness_by_group(sealed(replace(made, model=model, frame=frame)))}
    assert [group["rows"] for group in found["patient"]["groups"]] == [200, 200]


def test_without_sensitive_columns_there_is_nothing_to_compare() -> None:
    assert fairness_by_group(sealed(world(Task.BINARY, 100, sensitive=False))) == []
