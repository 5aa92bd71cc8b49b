"""AutoClassifier and AutoRegressor: Rowsmith as scikit-learn estimators."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any, Self

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from rowsmith.model import TrainedModel
from rowsmith.recipe import Recipe
from rowsmith.types import Array, ColumnKind, Task
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
        if sample_weight is not None:
            weights = np.broadcast_to(np.asarray(sample_weight, dtype=np.float64), (frame.height,))
            frame = frame.with_columns(pl.Series(self._name(WEIGHT), weights))
        recipe = Recipe.from_dict(
            {
                "target": {"column": self._name(TARGET), "task": task, "metric": self.metric},
                "columns": {
                    "weight": None if sample_weight is None else self._name(WEIGHT),
                    "kinds": self._kinds,
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
            import narwhals as nw

            frame = nw.from_native(X, eager_only=True).to_polars()
            names = dict(zip(frame.columns, self._columns, strict=True))
            renamed: pl.DataFrame = frame.rename(names)
            return renamed
        return pl.DataFrame(np.asarray(X, dtype=np.float64), schema=self._columns)

    def _checked(self, X: Any, y: Any = None, *, reset: bool) -> Any:
        """Validated as scikit-learn asks. Dataframes pass with their own types, arrays become float64."""
        if hasattr(X, "columns"):
            validate_data(self, X=X, y="no_validation" if y is None else y, reset=reset, skip_check_array=True)
            return X
        options = {"dtype": np.float64, "ensure_all_finite": "allow-nan", "reset": reset}
        return validate_data(self, X, **options)

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
        X = self._checked(X, y, reset=True)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier can't train when only one class is present, but got {self.classes_!r}")
        self._learn_columns(X)
        task = Task.BINARY if len(self.classes_) == 2 else Task.MULTICLASS
        self.model_ = self._fit(X, codes.astype(np.int64), task, sample_weight)
        return self

    def predict(self, X: Any) -> Array:
        """Labels as given to `fit`, shape (rows,)."""
        return np.asarray(self.classes_[self.model_.choose(self._scores(X))])

    def predict_proba(self, X: Any) -> Array:
        """Probabilities, shape (rows, classes), in the order of `classes_`."""
        return self._scores(X)

    def _scores(self, X: Any) -> Array:
        check_is_fitted(self)
        frame = self._frame(self._checked(X, reset=False))
        scores = self.model_.scores(self.model_.encode(frame))
        order = [self.model_.labels.index(str(code)) for code in range(len(self.classes_))]
        return np.ascontiguousarray(scores[:, order])


class AutoRegressor(RegressorMixin, _AutoEstimator):  # type: ignore[misc]
    """Finds, tunes and combines regressors for a table within a time budget.

    Attributes: `model_` (the TrainedModel), `n_features_in_`.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """X: array or dataframe (rows, features); y: numbers (rows,). Raises ValueError, TrainingError."""
        X = self._checked(X, y, reset=True)
        self._learn_columns(X)
        self.model_ = self._fit(
            X, np.asarray(column_or_1d(y, warn=True), dtype=np.float64), Task.REGRESSION, sample_weight
        )
        return self

    def predict(self, X: Any) -> Array:
        """Numbers, shape (rows,)."""
        check_is_fitted(self)
        frame = self._frame(self._checked(X, reset=False))
        return self.model_.scores(self.model_.encode(frame))[:, 0]
