"""Trees in the common form: they answer as the library does that grew them, whole and in pieces."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import pytest

from rowsmith.training.families.evaluator import Evaluator
from rowsmith.training.families.links import sigmoid
from rowsmith.training.families.tree_learner import MANY_ROWS, TREES_AT_ONCE, TreeLearner
from rowsmith.training.families.trees import pieces, trimmed
from rowsmith.training.unit import Unit, learn
from rowsmith.types import Matrix, Task
from tests.training.tables import make_table


def grown(rounds: int = 100) -> tuple[lightgbm.Booster, Matrix]:
    """Two classes, an event in ten; categories as they are."""
    data = make_table(Task.BINARY, rows=800)
    target = (data.matrix[:, 0] > 1.2).astype(np.float32)
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    dataset = lightgbm.Dataset(data.matrix, target, categorical_feature=[3, 4])
    return lightgbm.train(settings, dataset, rounds), data.matrix


def test_a_trimmed_model_answers_as_its_library() -> None:
    booster, matrix = grown()
    trees = trimmed(booster.model_to_string(), matrix.shape[1])
    sums = trees.unit * Evaluator(trees.text, outputs=1).predict(matrix)[:, 0]
    np.testing.assert_allclose(sigmoid(sums), booster.predict(matrix), rtol=1e-6)
    assert len(trees.text) < 0.6 * len(booster.model_to_string())


@pytest.mark.parametrize("rounds", [1, 7, 100, 1000])
def test_pieces_add_up_to_the_very_sums(rounds: int) -> None:
    booster, matrix = grown()
    text = trimmed(booster.model_to_string(), matrix.shape[1]).text
    parts = [Evaluator(piece, outputs=1).predict(matrix) for piece in pieces(text, rounds)]
    assert len(parts) == -(-100 // rounds)
    np.testing.assert_array_equal(sum(parts), Evaluator(text, outputs=1).predict(matrix))


@pytest.mark.parametrize("family", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("task", Task)
def test_many_rows_in_pieces_get_the_bits_of_few(family: str, task: Task) -> None:
    data = make_table(task, rows=1500)
    params = {"learning_rate": 0.1, "num_leaves": 7, "native_levels": 8, "rounds": 150}
    if family == "xgboost":
        params = {"learning_rate": 0.1, "max_depth": 3, "rounds": 150}
    learner, _ = learn(data, data.folds[0], Unit(0, family, params, 0, rounds=150))
    inner = learner if isinstance(learner, TreeLearner) else learner._learner  # type: ignore[attr-defined]
    assert len(inner._pieces) > 2 and 150 * inner._outputs > 2 * TREES_AT_ONCE
    assert len(data.matrix) > MANY_ROWS
    few = np.concatenate([learner.predict(data.matrix[i : i + 100]) for i in range(0, 1500, 100)])
    np.testing.assert_array_equal(few.view(np.int64), learner.predict(data.matrix).view(np.int64))


def test_a_model_without_units_is_answered_by_the_library() -> None:
    """As the models are that were saved before there were units."""
    booster, matrix = grown(20)
    data = replace(make_table(Task.BINARY, rows=800), matrix=matrix)
    learner = TreeLearner(booster.model_to_string(), data.shape)
    np.testing.assert_array_equal(learner.predict(matrix)[:, 1], booster.predict(matrix))
    np.testing.assert_array_equal(learner.predict_row(matrix[5]), learner.predict(matrix)[5])
