"""The data of a training as files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from rowsmith.training.data import TrainingData, mapped_matrix
from rowsmith.types import Task
from tests.training.tables import make_table


def test_what_is_saved_comes_back_with_the_same_digest(tmp_path: Path) -> None:
    data = make_table(Task.MULTICLASS, weights=True, repeats=1)
    data.save(tmp_path)
    again = TrainingData.load(tmp_path)
    assert again.digest == data.digest
    assert not again.matrix.flags.writeable


def test_a_mapped_matrix_is_shared_and_not_copied(tmp_path: Path) -> None:
    data = make_table(Task.BINARY)
    matrix = mapped_matrix(tmp_path / "encoded.npy", *data.matrix.shape)
    assert not matrix.any()
    matrix[:] = data.matrix
    mapped, folder = replace(data, matrix=matrix), tmp_path / "data"
    folder.mkdir()
    mapped.save(folder)
    assert (folder / "matrix.npy").samefile(tmp_path / "encoded.npy")
    assert TrainingData.load(folder).digest == mapped.digest == data.digest


def test_a_part_of_a_mapped_matrix_is_written(tmp_path: Path) -> None:
    matrix = mapped_matrix(tmp_path / "encoded.npy", 10, 2)
    matrix[:] = np.arange(20).reshape(10, 2)
    data = replace(make_table(Task.BINARY), matrix=matrix[5:], repeats=())
    folder = tmp_path / "data"
    folder.mkdir()
    data.save(folder)
    assert np.load(folder / "matrix.npy").tolist() == matrix[5:].tolist()


def test_a_matrix_whose_file_is_gone_is_written(tmp_path: Path) -> None:
    matrix = mapped_matrix(tmp_path / "encoded.npy", 10, 2)
    (tmp_path / "encoded.npy").unlink()
    replace(make_table(Task.BINARY), matrix=matrix).save(tmp_path)
    assert np.load(tmp_path / "matrix.npy").shape == (10, 2)
