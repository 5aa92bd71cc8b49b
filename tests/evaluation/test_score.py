from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from rowsmith.errors import UsageError
from rowsmith.evaluation.metrics import default_metric, get_metric, metrics_for
from rowsmith.evaluation.score import Evaluation, evaluate
from rowsmith.types import Progress, Task
from tests.evaluation.models import World, world


def evaluated(made: World, **options: object) -> Evaluation:
    metric = default_metric(made.model.task)
    arguments = {"baselines": made.baselines, "seconds": None} | options
    return evaluate(made.model, made.frame, made.target, metric, **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=list(Task))
def task(request: pytest.FixtureRequest) -> Task:
    return Task(request.param)


@pytest.fixture(scope="module")
def made(task: Task) -> World:
    return world(task)


@pytest.fixture(scope="module")
def evaluation(made: World) -> Evaluation:
    return evaluated(made)


def test_it_is_json_and_comes_back_the_same(evaluation: Evaluation) -> None:
    text = json.dumps(evaluation.to_dict(), allow_nan=False)
    assert Evaluation.from_dict(json.loads(text)) == evaluation


def test_every_metric_of_every_system_is_there_with_an_interval(made: World, evaluation: Evaluation) -> None:
    names = {metric.name for metric in metrics_for(made.model.task)}
    assert set(evaluation.scores) == {"model", "dummy", "linear"}
    for system, scores in evaluation.scores.items():
        assert set(scores) == names
        for name, item in scores.items():
            if item["value"] is not None and system == "model":
                assert item["low"] <= item["value"] <= item["high"], name


def test_scores_are_those_of_the_metrics(made: World, evaluation: Evaluation) -> None:
    scores = made.model.scores(made.model.encode(made.frame))
    for metric in metrics_for(made.model.task):
        expected = metric.function(made.target, metric.predicted(scores, made.model.threshold), None)
        assert evaluation.score_of(metric.name) == pytest.approx(expected, nan_ok=True)
    assert evaluation.score_of() == evaluation.score_of(evaluation.metric)


def test_the_model_is_compared_with_each_baseline_in_pairs(evaluation: Evaluation) -> None:
    against = evaluation.against["dummy"]
    main = next(item for item in evaluation.metrics if item["name"] == evaluation.metric)
    difference = evaluation.score_of() - evaluation.score_of(system="dummy")
    assert against["improvement"] == pytest.approx(difference if main["greater_is_better"] else -difference)
    assert 0 < against["low"] <= against["improvement"] <= against["high"]
    assert against["worse_probability"] == 0


def test_the_same_arguments_give_the_same_evaluation(made: World, evaluation: Evaluation) -> None:
    assert evaluated(made) == evaluation


def test_what_matters_comes_first_and_noise_counts_for_nothing(evaluation: Evaluation) -> None:
    drops = {item["column"]: item["drop"] for item in evaluation.importance}
    assert next(iter(drops)) == "x"
    assert set(drops) == {"x", "colour", "noise", "old", "seen", "sex", "age"}
    assert drops["noise"] == drops["seen"] == drops["sex"] == 0
    assert drops["x"] > 5 * abs(drops["age"])


def test_partial_dependence_follows_the_formula(made: World, evaluation: Evaluation) -> None:
    item = next(item for item in evaluation.partial_dependence if item["column"] == "x")
    values = [point["value"] for point in item["points"]]
    answers = [point["answers"][0 if made.model.task is Task.REGRESSION else 1] for point in item["points"]]
    assert values == sorted(values)
    assert answers == sorted(answers)
    assert sum(point["share"] for point in item["points"]) == pytest.approx(0.95, abs=0.04)
    labels = {item["column"]: [point["label"] for point in item["points"]] for item in evaluation.partial_dependence}
    assert sorted(labels["colour"]) == ["blue", "green", "red"]
    assert sorted(labels["old"]) == ["false", "true"]


def test_the_summary_names_the_score(evaluation: Evaluation) -> None:
    assert all(evaluation.summary[key] for key in ("good", "compared", "sure"))
    assert "600 rows" in evaluation.summary["sure"][0]


def test_progress_ends_at_one(made: World) -> None:
    seen: list[Progress] = []
    evaluated(made, on_progress=seen.append)
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)  # type: ignore[type-var]
    assert fractions[-1] == 1.0


def test_weights_count(made: World, evaluation: Evaluation) -> None:
    weights = np.random.default_rng(0).uniform(0.1, 2, made.frame.height)
    weighted = evaluated(made, weights=weights)
    scores = made.model.scores(made.model.encode(made.frame))
    metric = default_metric(made.model.task)
    assert weighted.score_of() == pytest.approx(metric.function(made.target, metric.predicted(scores), weights))
    assert weighted.score_of() != evaluation.score_of()
    assert any("weight" in note for note in weighted.notes)


def test_without_any_weight_no_score_is_defined(task: Task) -> None:
    made = world(task, 100)
    evaluation = evaluated(made, weights=np.zeros(100))
    assert math.isnan(evaluation.score_of())
    json.dumps(evaluation.to_dict(), allow_nan=False)


def test_a_deadline_that_has_passed_leaves_the_optional_parts_out(made: World) -> None:
    hurried = evaluated(made, seconds=0.0)
    assert all(item["drop"] is None for item in hurried.importance)
    assert hurried.partial_dependence == []
    assert any("Time ran out" in note for note in hurried.notes)
    assert not math.isnan(hurried.score_of())


def test_without_test_rows_nothing_is_claimed(made: World) -> None:
    empty = World(
        made.model,
        made.frame[:0],
        made.target[:0],
        {name: scores[:0] for name, scores in made.baselines.items()},
    )
    evaluation = evaluated(empty)
    assert math.isnan(evaluation.score_of())
    assert evaluation.interval_of() is None
    assert evaluation.rows == 0
    assert "No rows were sealed" in evaluation.notes[0]
    json.dumps(evaluation.to_dict(), allow_nan=False)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_handful_of_rows(task: Task, rows: int) -> None:
    evaluation = evaluated(world(task, rows))
    assert evaluation.rows == rows
    json.dumps(evaluation.to_dict(), allow_nan=False)


def test_one_class_only() -> None:
    made = world(Task.BINARY, 200)
    rows = np.flatnonzero(made.target == 1)
    alone = World(made.model, made.frame[rows], made.target[rows], {k: v[rows] for k, v in made.baselines.items()})
    evaluation = evaluated(alone)
    assert math.isnan(evaluation.score_of("roc_auc"))
    assert evaluation.score_of("recall") > 0
    assert evaluation.charts["roc"] == []
    json.dumps(evaluation.to_dict(), allow_nan=False)


def test_groups_widen_the_interval() -> None:
    plain, grouped = world(Task.REGRESSION), world(Task.REGRESSION, grouped=True)
    evaluation = evaluated(grouped)
    assert any("groups" in note for note in evaluation.notes)
    assert evaluation.score_of() == evaluated(plain).score_of()
    assert evaluation.interval_of() != evaluated(plain).interval_of()


def test_few_groups_are_owned_up_to() -> None:
    made = world(Task.REGRESSION, 120, grouped=True)
    frame = made.frame.with_columns(patient=made.frame["patient"] % 3)
    evaluation = evaluated(replace(made, frame=frame))
    assert "The test part has only 3 groups: the intervals are rough." in evaluation.notes


def test_lengths_that_differ_are_refused() -> None:
    made = world(Task.BINARY, 20)
    with pytest.raises(UsageError, match=r"target and rows differ in number.*19 and 20"):
        evaluate(made.model, made.frame, made.target[:19], get_metric("roc_auc"), baselines={})


def test_another_metric_may_be_the_main_one() -> None:
    made = world(Task.BINARY)
    evaluation = evaluate(
        made.model, made.frame, made.target, get_metric("f1", Task.BINARY), baselines=made.baselines, seconds=None
    )
    assert evaluation.metric == evaluation.metrics[0]["name"] == "f1"
    assert evaluation.importance[0]["column"] == "x"
