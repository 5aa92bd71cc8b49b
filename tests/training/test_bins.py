"""A large table is binned once: whoever makes the bins, the same work gives the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rowsmith.training import unit as module
from rowsmith.training.data import TrainingData
from rowsmith.training.families import bins
from rowsmith.training.families.base import DrawnPart, Part
from rowsmith.training.families.lightgbm import MIDDLE
from rowsmith.training.unit import ALL_ROWS, Unit, UnitResult, run_unit
from rowsmith.types import Task
from tests.training.tables import make_table, metric_of

PARAMS = {**MIDDLE, "rounds": 30, "native_levels": 128}


def placed(data: TrainingData, folder: Path) -> TrainingData:
    data.save(folder)
    return TrainingData.load(folder)


def scored(data: TrainingData, result: UnitResult) -> float:
    rows = data.folds[0][1]
    metric = metric_of(data.task)
    return metric.function(data.target[rows], metric.predicted(result.scores), None)


@pytest.mark.parametrize("task", Task)
def test_bins_change_where_the_work_is_done_and_not_what_comes_out(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_table(task, rows=900, weights=True)
    direct = run_unit(data, Unit(0, "lightgbm", PARAMS, 0))
    monkeypatch.setattr(module, "LARGE_ROWS", 500)
    mapped = placed(data, tmp_path)
    made = run_unit(mapped, Unit(0, "lightgbm", PARAMS, 0))
    assert [path.name for path in tmp_path.glob("bins*")] == ["bins-3-4"]
    found = run_unit(mapped, Unit(0, "lightgbm", PARAMS, 0))
    sent = run_unit(data, Unit(0, "lightgbm", PARAMS, 0))
    again = run_unit(mapped, Unit(0, "lightgbm", PARAMS, 0, rounds=made.rounds))
    assert made.digest == found.digest == sent.digest == again.digest
    assert scored(data, made) == pytest.approx(scored(data, direct), rel=0.1)


def test_bins_serve_every_fold_and_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE_ROWS", 500)
    data = placed(make_table(Task.REGRESSION, rows=900), tmp_path)
    scores = [scored(replace(data, folds=(fold,)), run_unit(data, Unit(0, "lightgbm", PARAMS, i)))
              for i, fold in enumerate(data.folds)]  # fmt: skip
    assert max(scores) < 0.7 * data.target.std()
    assert len(run_unit(data, Unit(0, "lightgbm", PARAMS, ALL_ROWS, rounds=5)).scores) == 0


def test_a_class_that_the_training_rows_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_table(Task.MULTICLASS, rows=900)
    target = data.target.copy()
    target[data.folds[0][1][0]] = 3
    monkeypatch.setattr(module, "LARGE_ROWS", 500)
    lacking = placed(replace(data, target=target, classes=4), tmp_path)
    scores = run_unit(lacking, Unit(0, "lightgbm", PARAMS, 0)).scores
    assert scores.shape[1] == 4 and np.allclose(scores.sum(axis=1), 1)
    assert list(tmp_path.glob("bins*"))


@pytest.mark.parametrize("changes", [{"native_levels": 8}, {"rows": 100}])
def test_other_work_takes_its_own_rows(
    changes: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE_ROWS", 500)
    data = placed(make_table(Task.BINARY, rows=900), tmp_path)
    assert np.isfinite(run_unit(data, Unit(0, "lightgbm", {**PARAMS, **changes}, 0)).scores).all()
    assert not list(tmp_path.glob("bins*"))


def test_bins_that_cannot_be_left_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE_ROWS", 500)
    data = make_table(Task.BINARY, rows=900)
    gone = replace(placed(data, tmp_path), folder=tmp_path / "gone")
    one, other = (run_unit(gone, Unit(0, "lightgbm", PARAMS, 0)) for _ in range(2))
    assert one.digest == other.digest


def test_a_drawn_part_is_the_part() -> None:
    data = make_table(Task.BINARY, rows=50)
    rows = np.array([3, 5, 8])
    part = DrawnPart(target=data.target[rows], data=data, rows=rows)
    assert np.array_equal(part.matrix, data.matrix[rows], equal_nan=True)
    other = replace(part, target=part.target + 1)
    assert isinstance(other, Part) and other.matrix is part.matrix and not bins.is_binned(other)
