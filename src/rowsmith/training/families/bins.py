"""Bins of a large table for LightGBM: made once, from all its rows, and shared by folds, trials and processes.

LightGBM learns from the number of the bin that a value falls into. To find the bins takes it a third of the time of a
hundred rounds, and the rows of a fold as numbers four times the memory of their bins. The bins know the values of the
rows that a fold holds out, as the encoder does, and nothing of their targets. Whether they are used depends on the
table and the unit of work alone, so that a replay comes to the same bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from rowsmith.training.data import TrainingData
from rowsmith.training.families.base import DrawnPart, Part

LEAST_SHARE = 0.5
"""Of the table's rows, for which it is worth to bin all of them."""
SETTINGS = {"max_bin": 255, "feature_pre_filter": False, "data_random_seed": 1, "verbosity": -1}


def is_binned(part: Part) -> TypeGuard[DrawnPart]:
    """Whether these rows are best taken from the bins of the whole table."""
    if not isinstance(part, DrawnPart) or part.data is None:
        return False
    return len(part.rows) >= LEAST_SHARE * len(part.data.matrix)


def bins_of(lightgbm: Any, data: TrainingData, native: tuple[int, ...], threads: int) -> Any:
    """The whole table as a `lightgbm.Dataset`. `native` are the columns of categories."""
    name = "bins" + "".join(f"-{i}" for i in native[:20]) + (f"-of-{len(native)}" if len(native) > 20 else "")
    path = None if data.folder is None else data.folder / name
    settings = {**SETTINGS, "num_threads": threads}
    if path is not None and path.exists():
        return lightgbm.Dataset(str(path), params=settings).construct()
    label = np.zeros(len(data.matrix), dtype=np.float32)  # subsets bring their own
    made = lightgbm.Dataset(data.matrix, label, categorical_feature=list(native), params=settings).construct()
    if path is not None:
        _leave(lightgbm, made, path)
    return made


def subset(lightgbm: Any, bins: Any, part: DrawnPart, settings: dict[str, Any]) -> Any:
    """The rows of a part, with their targets and weights."""
    data = lightgbm.Dataset(None, reference=bins, params=settings)
    # Its method of this name would turn millions of positions into a Python list.
    data.used_indices = np.ascontiguousarray(part.rows, dtype=np.int32)
    data.construct()
    data.set_label(part.target.astype(np.float32))
    if part.weights is not None:
        data.set_weight(part.weights)
    # The reference would keep the whole table alive.
    data.reference = None
    return data


def _leave(lightgbm: Any, made: Any, path: Path) -> None:
    """For other units. Two processes may do so at once: each writes its own file, and either name will do."""
    own = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        made.save_binary(str(own))
        own.replace(path)
    except (lightgbm.basic.LightGBMError, OSError):
        own.unlink(missing_ok=True)
