"""One evaluator for every family of trees: LightGBM's, through its C interface.

A batch and a single row run the same C++ code over each row, so their bits agree. The interface is called directly:
the Python package around it takes a second and a hundred megabytes to load, and serving needs none of it.
Functions: https://lightgbm.readthedocs.io/en/latest/C-API.html
"""

from __future__ import annotations

import ctypes
import sys
import threading
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rowsmith.errors import ArtifactError, TrainingError
from rowsmith.types import Matrix, Scores2D, Vector

NAMES = {"win32": "lib_lightgbm.dll", "darwin": "lib_lightgbm.dylib"}
FLOAT32, NORMAL, LEAVES, ROW_MAJOR = 0, 0, 2, 1
PARAMETERS = b"num_threads=1"


class Evaluator:
    """Trees that predict, from their text. With `leaves` the outputs are the number of the leaf in each tree.

    Raises ArtifactError for text that is not a model.
    """

    def __init__(self, text: str, *, outputs: int, leaves: bool = False) -> None:
        self._kind = LEAVES if leaves else NORMAL
        self.outputs = outputs
        self._model = _Model(text)
        self._local = threading.local()

    def predict(self, matrix: Matrix) -> Scores2D:
        """Shape (rows, features) to (rows, outputs): what the model's objective makes of the sums of leaves."""
        answer = np.zeros((len(matrix), self.outputs))
        if len(matrix):
            self._model.predict(np.ascontiguousarray(matrix, dtype=np.float32), self._kind, answer)
        return answer

    def predict_row(self, vector: Matrix) -> Vector:
        """Shape (features,) to (outputs,), through a configuration that each thread keeps for itself."""
        row: RowCall | None = getattr(self._local, "row", None)
        if row is None:
            buffers = np.zeros(len(vector), dtype=np.float32), np.zeros(self.outputs)
            row = self._local.row = RowCall(self, *buffers)
        row.values[:] = vector
        row()
        return row.answer.copy()


class _Model:
    """A booster inside the library."""

    def __init__(self, text: str) -> None:
        self.handle = ctypes.c_void_p()
        rounds = ctypes.c_int()
        self.library = _library()
        status = self.library.LGBM_BoosterLoadModelFromString(
            text.encode(), ctypes.byref(rounds), ctypes.byref(self.handle)
        )
        if status != 0:
            raise ArtifactError(f"these are not trees: {_last_error(self.library)}")

    def predict(self, matrix: Matrix, kind: int, answer: Scores2D) -> None:
        length = ctypes.c_int64()
        status = self.library.LGBM_BoosterPredictForMat(
            self.handle,
            ctypes.c_void_p(matrix.ctypes.data),
            ctypes.c_int(FLOAT32),
            ctypes.c_int32(matrix.shape[0]),
            ctypes.c_int32(matrix.shape[1]),
            ctypes.c_int(ROW_MAJOR),
            ctypes.c_int(kind),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            PARAMETERS,
            ctypes.byref(length),
            ctypes.c_void_p(answer.ctypes.data),
        )
        if status != 0:
            raise ValueError(f"LightGBM: {_last_error(self.library)}")

    def __del__(self) -> None:
        if self.handle:
            self.library.LGBM_BoosterFree(self.handle)


class RowCall:
    """LGBM_BoosterPredictForMatSingleRowFast from `values`, shape (features,), to `answer`, shape (outputs,).

    Both are the caller's, float32 and float64, and keep their place. Belongs to one thread.
    """

    def __init__(self, evaluator: Evaluator, values: Matrix, answer: Vector) -> None:
        self._model = model = evaluator._model  # the configuration points into it
        self.values = values
        self.answer = answer
        self._config = ctypes.c_void_p()
        status = model.library.LGBM_BoosterPredictForMatSingleRowFastInit(
            model.handle,
            ctypes.c_int(evaluator._kind),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            ctypes.c_int(FLOAT32),
            ctypes.c_int32(len(values)),
            PARAMETERS,
            ctypes.byref(self._config),
        )
        if status != 0:
            raise ValueError(f"LightGBM: {_last_error(model.library)}")
        self._length = ctypes.c_int64()
        self._call = partial(
            model.library.LGBM_BoosterPredictForMatSingleRowFast,
            self._config,
            ctypes.c_void_p(values.ctypes.data),
            ctypes.byref(self._length),
            ctypes.c_void_p(answer.ctypes.data),
        )

    def __call__(self) -> None:
        if self._call() != 0:
            raise ValueError(f"LightGBM: {_last_error(self._model.library)}")

    def __del__(self) -> None:
        if self._config:
            self._model.library.LGBM_FastConfigFree(self._config)


@cache
def _library() -> Any:
    """The shared library that the lightgbm package brings. Raises TrainingError where it is not installed."""
    spec = find_spec("lightgbm")
    name = NAMES.get(sys.platform, "lib_lightgbm.so")
    places = [Path(place) / "lib" / name for place in (spec.submodule_search_locations or ())] if spec else []
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise TrainingError("LightGBM is not installed", received=f"no {name}", next_step="pip install lightgbm")
    library = ctypes.CDLL(str(found))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


def _last_error(library: Any) -> str:
    return str(library.LGBM_GetLastError().decode("utf-8", "replace"))
