from __future__ import annotations

import json
import runpy
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rowsmith.errors import RecipeError
from rowsmith.recipe import TrainSection
from rowsmith.training import FAMILIES, run_search
from rowsmith.training.data import Shape
from rowsmith.training.executor import InProcessExecutor
from rowsmith.training.families.base import Family
from rowsmith.training.portfolio import EVERYTHING, built_in_order, configuration_names, in_order, read_order
from rowsmith.training.proposals import interleave
from rowsmith.types import Task
from tests.training.tables import RMSE, make_table, metric_of

ROOT = Path(__file__).parents[2]
LEARN: dict[str, Any] = runpy.run_path(str(ROOT / "benchmarks" / "portfolio" / "learn.py"))
SHAPES = {
    "few rows": Shape(60, 4, 2, Task.BINARY),
    "many rows": Shape(2_000_000, 30, 2, Task.BINARY, widest_category=40),
    "wide": Shape(500, 5000, 0, Task.REGRESSION),
    "forty classes": Shape(4000, 10, 40, Task.MULTICLASS),
    "a thousand classes": Shape(4000, 10, 1000, Task.MULTICLASS, widest_category=5000),
}


def written(path: Path, **document: object) -> Path:
    path.write_text(json.dumps({"format": 1, "learned_from": [], **document}), encoding="utf-8")
    return path


def test_the_built_in_order_names_configurations_that_exist_and_each_once() -> None:
    order = built_in_order()
    assert set(order) <= set(configuration_names())
    assert max(Counter(order).values()) == 1
    assert read_order(ROOT / "src/rowsmith/training/portfolio.json") == order


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_table_changes_which_configurations_there_are_but_not_their_names(family: Family, shape: Shape) -> None:
    assert set(family.portfolio(shape)) <= set(family.portfolio(EVERYTHING))
    assert len({json.dumps(params, sort_keys=True) for params in family.portfolio(shape).values()}) == len(
        family.portfolio(shape)
    )


def test_what_the_order_does_not_name_follows_family_by_family(tmp_path: Path) -> None:
    shape = SHAPES["few rows"]
    first = ["linear/loose", "lightgbm/shallow", "lightgbm/whole_categories"]
    found = [proposal.name for proposal in in_order(FAMILIES, shape, written(tmp_path / "own.json", order=first))]
    by_hand = [proposal.name for proposal in interleave(FAMILIES, shape)]
    assert found == [*first[:2], *(name for name in by_hand if name not in first)]
    assert [proposal.name for proposal in in_order(FAMILIES, shape)] != found


def test_a_search_runs_its_own_order(tmp_path: Path) -> None:
    data = make_table(Task.BINARY, rows=60)
    own = written(tmp_path / "own.json", order=["linear/strict", "xgboost/shallow"])
    options = TrainSection(max_trials=3, portfolio=str(own))
    result = run_search(data, metric_of(data.task), options, executor=InProcessExecutor())
    tried = sorted(result.leaderboard, key=lambda trial: trial.id)
    assert [trial.family for trial in tried[1:]] == ["linear", "xgboost"]  # the first is the quick one
    assert tried[2].params["max_depth"] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a JSON file"),
        ("[]", '"format": 1'),
        ('{"format": 2, "order": []}', '"format": 1'),
        ('{"format": 1}', '"order" has to be a list'),
        ('{"format": 1, "order": [3]}', '"order" has to be a list'),
        ('{"format": 1, "order": ["lightgbm/midle"]}', r"no configuration 'lightgbm/midle' \(is it 'lightgbm/middle'"),
        ('{"format": 1, "order": ["linear/loose", "linear/loose"]}', "named twice"),
    ],
)
def test_a_file_that_is_no_order_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError, match=message) as caught:
        read_order(path)
    assert str(path) in caught.value.where


def test_a_file_that_is_not_there_is_refused_by_the_search(tmp_path: Path) -> None:
    options = TrainSection(max_trials=1, portfolio=str(tmp_path / "absent.json"))
    with pytest.raises(RecipeError, match="cannot be read"):
        run_search(make_table(Task.BINARY, rows=60), metric_of(Task.BINARY), options, executor=InProcessExecutor())


def made_answers(**noise: float) -> Any:
    """A table of numbers whose configurations err by so much; "twin" errs just as "good" does."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=900)
    seeds = {"quick": 1, "good": 2, "twin": 2, "other": 3, "poor": 4, "dear": 5}

    def answers(name: str) -> np.ndarray:
        return truth[:, None] + noise[name] * np.random.default_rng(seeds[name]).normal(size=(900, 1))

    return LEARN["Table"](
        name="made",
        metric=RMSE,
        truth=truth,
        answers={f"a/{name}": answers(name) for name in noise},
        seconds={f"a/{name}": 100.0 if name == "dear" else 2.0 for name in noise},
    )


def test_an_order_begins_with_what_helps_most_for_its_time_and_leaves_out_what_does_not_help() -> None:
    table = made_answers(quick=2.0, good=0.5, twin=0.5, other=0.6, poor=40.0, dear=0.49)
    order = LEARN["Learner"]().order([table])
    assert order[0] in ("a/good", "a/twin")
    assert order[1] == "a/other"
    assert "a/dear" in order[2:]
    assert "a/poor" not in order


def test_a_logarithm_counts_with_the_first_configuration_of_its_family() -> None:
    table = made_answers(quick=2.0, good=0.5, other=0.6)
    table = replace(table, answers={**table.answers, "a/good+log": table.answers["a/good"]})
    assert table.trials(["b/none", "a/other", "a/good"]) == ["a/quick", "a/other", "a/good+log", "a/good"]


def test_more_trials_make_a_better_ensemble_and_what_does_not_fit_is_passed_over() -> None:
    table = made_answers(good=0.5, dear=0.5, other=0.6)
    names = list(table.answers)
    error = LEARN["ensemble_error"]
    assert error(table, names) < error(table, names[:1])
    assert LEARN["within"](table, names, 10.0) == ["a/good", "a/other"]
