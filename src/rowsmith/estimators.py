"""AutoClassifier and AutoRegressor: Rowsmith as scikit-learn estimators."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any, Self

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import _safe_indexing, assert_all_finite, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from rowsmith.conform.dataframes import to_polars
from rowsmith.model import TrainedModel
from rowsmith.recipe import Recipe
from rowsmith.types import Array, ColumnKind, Task
from rowsmith.workflows.artifact import restore
from rowsmith.workflows.train import DEFAULT_SECONDS, train_frame

TARGET = "target"
WEIGHT = "sample_weight"


class _AutoEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """What both estimators share: the parameters, and the way from arrays or dataframes to a table.

    Parameters
    ----------
    seconds : float or None
        Wall time for `fit`; 60 when neither it nor `max_trials` is given.
    max_trials : int or None
        Stop after this many configurations; without `seconds` the result does not depend on the clock.
    metric : str or None
        What to optimise; `roc_auc`, `log_loss` or `rmse` by task when None.
    cores, memory_mb : int or None
        Limits; everything available when None.
    families : sequence of str
        Model families to try; all when empty.
    random_state : int or None
        Everything random comes from it; None stands for 0.
    executor : concurrent.futures.Executor or None
        Where trials run; local processes when None.
    """

    def __init__(
        self,
        seconds: float | None = None,
        *,
        max_trials: int | None = None,
        metric: str | None = None,
        cores: int | None = None,
        memory_mb: int | None = None,
        families: tuple[str, ...] = (),
        random_state: int | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.seconds = seconds
        self.max_trials = max_trials
        self.metric = metric
        self.cores = cores
        self.memory_mb = memory_mb
        self.families = families
        self.random_state = random_state
        self.executor = executor

    def _fit(self, X: Any, target: Array, task: Task | None, sample_weight: Array | None) -> TrainedModel:
        frame = self._frame(X).with_columns(pl.Series(self._name(TARGET), target))
        kinds = self._kinds
        if sample_weight is not None:
            frame = frame.with_columns(pl.Series(self._name(WEIGHT), sample_weight))
            kinds = {**kinds, self._name(WEIGHT): ColumnKind.NUMBER}
        recipe = Recipe.from_dict(
            {
                "target": {"column": self._name(TARGET), "task": task, "metric": self.metric},
                "columns": {
                    "weight": None if sample_weight is None else self._name(WEIGHT),
                    "kinds": kinds,
                },
                "split": {"holdout": 0},
                "train": {
                    "seconds": self.seconds if self.seconds or self.max_trials else DEFAULT_SECONDS,
                    "max_trials": self.max_trials,
                    "cores": self.cores,
                    "memory_mb": self.memory_mb,
                    "families": list(self.families),
                    "seed": 0 if self.random_state is None else int(self.random_state),
                },
            },
            where=f"parameters of {type(self).__name__}",
        )
        return train_frame(frame, recipe, executor=self.executor)

    def _name(self, wanted: str) -> str:
        """A column name that no feature has."""
        while wanted in self._columns:
            wanted += "_"
        return wanted

    def _learn_columns(self, X: Any) -> None:
        """Dataframes keep their columns and have their kinds inferred; arrays hold numbers."""
        if hasattr(X, "columns"):
            self._columns = [str(name) for name in X.columns]
            self._kinds: dict[str, ColumnKind] = {}
        else:
            self._columns = [f"x{i}" for i in range(self.n_features_in_)]
            self._kinds = dict.fromkeys(self._columns, ColumnKind.NUMBER)

    def _frame(self, X: Any) -> pl.DataFrame:
        if hasattr(X, "columns"):
            frame = to_polars(X)
            return frame.rename(dict(zip(frame.columns, self._columns, strict=True)))
        return pl.DataFrame(np.asarray(X, dtype=np.float64), schema=self._columns)

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """Validated as scikit-learn asks. Dataframes pass with their own types, arrays become float64."""
        if hasattr(X, "columns"):
            validate_data(self, X=X, reset=reset, skip_check_array=True)
            return X
        least = 2 if reset else 1
        return validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=least, reset=reset
        )

    def _start(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Array, Array | None]:
        """Rows, targets and weights of a fit, checked; rows of weight 0 are left out. Raises ValueError."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        X = self._checked(X, reset=True)
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        assert_all_finite(y, input_name="y")
        self._learn_columns(X)
        if sample_weight is None:
            return X, y, None
        weights = np.asarray(sample_weight, dtype=np.float64)
        weights = column_or_1d(np.broadcast_to(weights, y.shape) if weights.ndim == 0 else weights)
        check_consistent_length(X, weights)
        assert_all_finite(weights, input_name="sample_weight")
        if (weights < 0).any() or not weights.any():
            raise ValueError("sample_weight must hold no negative number and not be zero everywhere")
        counts = weights > 0
        if counts.all():
            return X, y, weights
        return _safe_indexing(X, np.flatnonzero(counts)), y[counts], weights[counts]

    def _scores(self, X: Any) -> Array:
        """The model's own scores, shape (rows, labels) or (rows, 1). Raises NotFittedError."""
        check_is_fitted(self)
        frame = self._frame(self._checked(X, reset=False))
        return self.model_.scores(self.model_.encode(frame))

    def __getstate__(self) -> dict[str, Any]:
        """For pickle, copy and joblib: the model as the inert tree that it is on disk."""
        state: dict[str, Any] = super().__getstate__()
        return {**state, "model_": state["model_"].to_state()} if "model_" in state else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            self.model_ = restore(state["model_"])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = False
        return tags


class AutoClassifier(ClassifierMixin, _AutoEstimator):  # type: ignore[misc]
    """Finds, tunes and combines classifiers for a table within a time budget.

    Attributes: `model_` (the TrainedModel), `classes_` (labels as given), `n_features_in_`.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """X: array or dataframe (rows, features); y: labels (rows,). Raises ValueError, TrainingError."""
        X, y, weights = self._start(X, y, sample_weight)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier can't train when only one class is present, but got {self.classes_!r}")
        task = Task.BINARY if len(self.classes_) == 2 else Task.MULTICLASS
        self.model_ = self._fit(X, codes.astype(np.int64), task, weights)
        return self

    def predict(self, X: Any) -> Array:
        """The most probable labels, as given to `fit`, shape (rows,).

        As scikit-learn expects, with no decision threshold; `model_.predict` uses the tuned one.
        """
        chosen = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[chosen])

    def predict_proba(self, X: Any) -> Array:
        """Probabilities, shape (rows, classes), in the order of `classes_`."""
        scores = self._scores(X)
        order = [self.model_.labels.index(str(code)) for code in range(len(self.classes_))]
        return np.ascontiguousarray(scores[:, order])


class AutoRegressor(RegressorMixin, _AutoEstimator):  # type: ignore[misc]
    """Finds, tunes and combines regressors for a table within a time budget.

    Attributes: `model_` (the TrainedModel), `n_features_in_`.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """X: array or dataframe (rows, features); y: numbers (rows,). Raises ValueError, TrainingError."""
        X, y, weights = self._start(X, y, sample_weight)
        self.model_ = self._fit(X, np.asarray(y, dtype=np.float64), Task.REGRESSION, weights)
        return self

    def predict(self, X: Any) -> Array:
        """Numbers, shape (rows,)."""
        return np.ascontiguousarray(self._scores(X)[:, 0])
