"""What a model has to beat: the same answer for everybody, and a plain linear model."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from rowsmith.training.data import TrainingData
from rowsmith.training.families.adapters import Constant
from rowsmith.training.unit import Unit, learn

if TYPE_CHECKING:
    from rowsmith.model import Learner

MOST_CELLS = 1_500_000
"""Of the matrix that the linear baseline sees; a sample of the rows beyond it."""


def fit_baselines(data: TrainingData) -> dict[str, Learner]:
    """`dummy` (class shares or the mean) and `linear` (logistic or ridge regression), in about a second."""
    data.check()
    everything = np.arange(len(data.matrix))
    rows = max(MOST_CELLS // max(data.matrix.shape[1] * max(data.outputs, 1), 1), 200)
    unit = Unit(trial=0, family="linear", params={"c": 1.0, "rows": rows}, fold=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        linear, _ = learn(data, (everything, everything[:0]), unit)
    return {"dummy": Constant.of(data.target, data.weights, data.classes), "linear": linear}
