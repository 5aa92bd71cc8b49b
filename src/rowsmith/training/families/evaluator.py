"""One evaluator for every family of trees: LightGBM's, through its C interface.

A batch and a single row run the same C++ code over each row, so their bits agree. The interface is called directly:
the Python package around it takes a second and a hundred megabytes to load, and serving needs none of it.
Functions: https://lightgbm.readthedocs.io/en/latest/C-API.html
"""

from __future__ import annotations

import ctypes
import sys
import threading
from functools import cache
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
        row: _RowCall | None = getattr(self._local, "row", None)
        if row is None:
            row = self._local.row = _RowCall(self._model, self._kind, len(vector), self.outputs)
        return row(vector)


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


class _RowCall:
    """LGBM_BoosterPredictForMatSingleRowFast with its buffers. Belongs to one thread."""

    def __init__(self, model: _Model, kind: int, features: int, outputs: int) -> None:
        self._model = model  # the configuration points into it
        self._features = features
        self._config = ctypes.c_void_p()
        self._call = model.library.LGBM_BoosterPredictForMatSingleRowFast
        status = model.library.LGBM_BoosterPredictForMatSingleRowFastInit(
            model.handle,
            ctypes.c_int(kind),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            ctypes.c_int(FLOAT32),
            ctypes.c_int32(features),
            PARAMETERS,
            ctypes.byref(self._config),
        )
        if status != 0:
            raise ValueError(f"LightGBM: {_last_error(model.library)}")
        self._answer = np.zeros(outputs)
        self._length = ctypes.c_int64()
        self._answer_at = ctypes.c_void_p(self._answer.ctypes.data)
        self._length_at = ctypes.byref(self._length)

    def __call__(self, vector: Matrix) -> Vector:
        if vector.dtype != np.float32 or vector.shape != (self._features,) or not vector.flags.c_contiguous:
            vector = np.ascontiguousarray(vector, dtype=np.float32).reshape(self._features)
        at = ctypes.c_void_p(vector.ctypes.data)
        if self._call(self._config, at, self._length_at, self._answer_at) != 0:
            raise ValueError(f"LightGBM: {_last_error(self._model.library)}")
        return self._answer.copy()

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
