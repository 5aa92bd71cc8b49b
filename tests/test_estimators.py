"""AutoClassifier and AutoRegressor as scikit-learn estimators."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from rowsmith import AutoClassifier, AutoRegressor

# One small fit a trial, in this process: the checks fit some hundred times.
CHEAP: dict[str, Any] = {"max_trials": 1, "families": ("linear",)}


class _InProcess(ThreadPoolExecutor):
    """An executor that survives clone, deepcopy and pickling, as scikit-learn's checks ask of a parameter."""

    def __repr__(self) -> str:
        # Names of tests are made of it, and every process has to find the same ones.
        return "in_process"

    def __init__(self) -> None:
        super().__init__(1)

    def __deepcopy__(self, memo: object) -> _InProcess:
        return _InProcess()

    def __reduce__(self) -> tuple[type[_InProcess], tuple[()]]:
        return _InProcess, ()


EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "a row twice is not a row of weight 2 to the folds",
    "check_sample_weight_equivalence_on_sparse_data": "sparse matrices are not taken",
}


@pytest.mark.slow
@parametrize_with_checks(  # type: ignore[untyped-decorator]  # scikit-learn ships no types
    [AutoClassifier(executor=_InProcess(), **CHEAP), AutoRegressor(executor=_InProcess(), **CHEAP)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
@pytest.mark.filterwarnings("ignore")  # scikit-learn's own checks warn of what they test
def test_scikit_learn_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_classifier_answers_with_the_labels_it_was_given() -> None:
    X, y = load_wine(return_X_y=True)
    names = np.array(["barolo", "grignolino", "barbera"])[y]
    model = AutoClassifier(executor=_InProcess(), **CHEAP).fit(X, names)
    assert list(model.classes_) == ["barbera", "barolo", "grignolino"]
    assert (model.predict(X) == names).mean() > 0.9
    assert model.predict_proba(X).shape == (len(X), 3)
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)


def test_dataframes_keep_their_categories_and_gaps() -> None:
    data = load_diabetes(as_frame=True, scaled=False)
    frame: pd.DataFrame = data.data.assign(sex=np.where(data.data["sex"] > 1, "m", "f"))
    frame.loc[::7, "bmi"] = np.nan
    model = AutoRegressor(executor=_InProcess(), **CHEAP).fit(frame, data.target)
    assert model.score(frame, data.target) > 0.3
    assert list(model.feature_names_in_) == list(frame.columns)
    assert model.model_.schema["sex"].kind == "category"


def test_works_inside_pipelines_and_cross_validation() -> None:
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), AutoClassifier(executor=_InProcess(), **CHEAP))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.9


def test_a_feature_may_be_called_target() -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    X.columns = ["target", "sample_weight", "a", "b"]
    model = AutoClassifier(executor=_InProcess(), **CHEAP).fit(X, y, sample_weight=np.ones(len(y)))
    assert (model.predict(X) == y).mean() > 0.9
