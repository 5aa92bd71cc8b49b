"""TrainingData: the encoded table and its folds, in memory or mapped from a folder that processes share."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rowsmith.errors import TrainingError
from rowsmith.transformation.structure import Structure
from rowsmith.types import Array, Feature, Matrix, Rows, Scores2D, Task, Vector

Fold = tuple[Rows, Rows]
META = "meta.json"


@dataclass(frozen=True)
class Shape:
    """What is known of a fit before it starts: enough to choose settings and to guess its price."""

    rows: int
    columns: int
    classes: int
    task: Task
    widest_category: int = 0

    @property
    def outputs(self) -> int:
        """Trees a boosting round grows: one a class, one for two classes and for numbers."""
        return self.classes if self.task is Task.MULTICLASS else 1


@dataclass(frozen=True)
class TrainingData:
    """Rows to learn from.

    `matrix` has shape (rows, features), missing is NaN. `target` holds class codes 0..classes-1 (int64) or
    numbers (float64); `classes` is 0 for regression. `weights` is None or shape (rows,), positive.
    `folds` are pairs of row positions (train, validation); validation parts must not overlap. `repeats` are
    further sets of folds of the same kind (other shuffles), used on small tables where time permits. `structure` is
    what the folds respect, and splits inside them have to.
    `folder` is where `load` found it, and where processes may leave for each other what they made of it.
    """

    matrix: Matrix
    features: tuple[Feature, ...]
    target: Array
    weights: Vector | None
    folds: tuple[Fold, ...]
    task: Task
    classes: int
    repeats: tuple[tuple[Fold, ...], ...] = ()
    structure: Structure | None = None
    folder: Path | None = None

    @property
    def outputs(self) -> int:
        """Columns of a learner's answer."""
        return self.classes if self.task.is_classification else 1

    @property
    def shape(self) -> Shape:
        widest = max((feature.levels for feature in self.features), default=0)
        return Shape(len(self.matrix), self.matrix.shape[1], self.classes, self.task, widest)

    def fold(self, repeat: int, number: int) -> Fold:
        """Repeat 0 is `folds`, repeat r is `repeats[r - 1]`."""
        return self.folds[number] if repeat == 0 else self.repeats[repeat - 1][number]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything a fit can see, as hexadecimal text; the journal's name for its input."""
        return digest_of(
            np.ascontiguousarray(self.matrix),
            self.target,
            self.weights,
            self.structure.blocks if self.structure else None,
            *(rows for folds in (self.folds, *self.repeats) for fold in folds for rows in fold),
            text=json.dumps(
                [self.task, self.classes, self._is_ordered, [asdict(feature) for feature in self.features]]
            ),
        )

    @property
    def _is_ordered(self) -> bool:
        return self.structure is not None and self.structure.is_ordered

    @property
    def usable_repeats(self) -> int:
        """How many of the repeats, from the first on, validate the very rows that `folds` do."""
        rows = covered_rows(self, len(self.folds))
        usable = 0
        for folds in self.repeats:
            again = np.sort(np.concatenate([valid for _, valid in folds]))
            if len(folds) != len(self.folds) or not np.array_equal(rows, again):
                break
            usable += 1
        return usable

    def check(self) -> None:
        """Raises TrainingError when there is nothing to learn from."""
        rows = len(self.matrix)
        if rows == 0 or len(self.target) != rows or (self.weights is not None and len(self.weights) != rows):
            raise TrainingError(
                "there are no rows to train on" if rows == 0 else "rows, targets and weights differ in number",
                received=f"{rows} rows, {len(self.target)} targets",
            )
        if not self.folds or any(len(train) == 0 or len(valid) == 0 for train, valid in self.folds):
            raise TrainingError(
                "a fold of cross-validation has no rows", received=f"{rows} rows, {len(self.folds)} folds"
            )
        if not np.isfinite(self.target).all():
            raise TrainingError("the target holds a value that is not finite", next_step="remove or repair those rows")

    def save(self, folder: Path) -> None:
        """Write arrays as .npy files that `load` maps into memory."""
        _place(self.matrix, folder / "matrix.npy")
        np.save(folder / "target.npy", self.target)
        if self.weights is not None:
            np.save(folder / "weights.npy", self.weights)
        if self.structure is not None:
            np.save(folder / "blocks.npy", self.structure.blocks)
        sets = (self.folds, *self.repeats)
        for r, folds in enumerate(sets):
            for f, (train, valid) in enumerate(folds):
                np.save(folder / f"train-{r}-{f}.npy", train)
                np.save(folder / f"valid-{r}-{f}.npy", valid)
        meta = {
            "features": [asdict(feature) for feature in self.features],
            "task": self.task.value,
            "classes": self.classes,
            "weights": self.weights is not None,
            "structure": None if self.structure is None else {"is_ordered": self.structure.is_ordered},
            "folds": [len(folds) for folds in sets],
        }
        (folder / META).write_text(json.dumps(meta), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> TrainingData:
        """The data that `save` wrote; arrays are mapped, read-only, so that processes share their pages."""
        meta: dict[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))

        def mapped(name: str) -> Any:
            array = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            return array.view(np.ndarray)

        sets = tuple(
            tuple((mapped(f"train-{r}-{f}"), mapped(f"valid-{r}-{f}")) for f in range(count))
            for r, count in enumerate(meta["folds"])
        )
        return cls(
            matrix=mapped("matrix"),
            features=tuple(Feature(**feature) for feature in meta["features"]),
            target=mapped("target"),
            weights=mapped("weights") if meta["weights"] else None,
            folds=sets[0],
            task=Task(meta["task"]),
            classes=meta["classes"],
            repeats=sets[1:],
            structure=Structure(mapped("blocks"), **meta["structure"]) if meta["structure"] else None,
            folder=folder,
        )


def mapped_matrix(path: Path, rows: int, columns: int) -> Matrix:
    """A matrix of zeros in a new .npy file; `TrainingData.save` then shares that file instead of copying it.

    Raises OSError where there is no room: a map of a file that the disk cannot hold would end the process.
    """
    matrix: Matrix = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, columns))
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return matrix


def _place(matrix: Matrix, path: Path) -> None:
    """As a file: by another name where it is one already (the whole of it, not a part), else written."""
    if isinstance(matrix, np.memmap) and isinstance(matrix.base, mmap.mmap) and matrix.flags.c_contiguous:
        try:
            os.link(str(matrix.filename), path)
        except OSError:  # another disk, a file system without links, or a file that is gone
            pass
        else:
            return
    np.save(path, np.ascontiguousarray(matrix))


def covered_rows(data: TrainingData, folds: int) -> Rows:
    """Positions of the rows that the first `folds` folds validate, in order."""
    covered: Array = np.zeros(len(data.matrix), dtype=bool)
    for _, valid in data.folds[:folds]:
        covered[valid] = True
    return np.flatnonzero(covered)


def digest_of(*arrays: Array | Scores2D | None, text: str = "") -> str:
    """SHA-256 over the types, shapes and bytes of arrays, and a text."""
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        if array is None:
            digest.update(b"none")
            continue
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
