"""A BentoML service over the pipeline of pipeline.py; the variable PIPELINE names its file."""

from __future__ import annotations

import os
from typing import Any

import bentoml
import joblib
import pandas


@bentoml.service(workers=2)
class Scoring:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["PIPELINE"])

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, rows: list[dict[str, Any]]) -> list[Any]:
        answers: list[Any] = self.model.predict_proba(pandas.DataFrame(rows)).tolist()
        return answers
