"""An MLflow model folder: a pyfunc by models-from-code, so that nothing is pickled and the model itself answers."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rowsmith.errors import UsageError
from rowsmith.registry.versions import Version
from rowsmith.types import JsonObject
from rowsmith.workflows.carried import carry
from rowsmith.workflows.exports.format import Format
from rowsmith.workflows.inputs import inputs_of
from rowsmith.workflows.pins import pins
from rowsmith.workflows.project import Project

CODE_FILE = "rowsmith_model.py"
ARTIFACT = "version"
CODE = '''\
"""A Rowsmith version for MLflow. The answers are those of `rowsmith predict`, bit for bit."""

import mlflow.models
import mlflow.pyfunc
import pandas


class RowsmithModel(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        from rowsmith.workflows.carried import open_carried

        self._deployed = open_carried(context.artifacts["version"])

    def predict(self, context, model_input: pandas.DataFrame, params=None) -> pandas.DataFrame:
        from rowsmith.conform.dataframes import to_polars

        answers = self._deployed.answers(to_polars(model_input))
        return pandas.DataFrame(answers.to_dict(as_series=False), index=getattr(model_input, "index", None))


mlflow.models.set_model(RowsmithModel())
'''


def write(project: Project, version: Version, place: Path) -> JsonObject:
    """Raises UsageError where MLflow is not installed."""
    mlflow = imported()
    with tempfile.TemporaryDirectory() as temporary, without_advice():
        parts = pyfunc_parts(project, version, Path(temporary))
        place.rmdir()  # it is empty; MLflow makes it
        mlflow.pyfunc.save_model(str(place), **parts)
    return {"next_step": "mlflow models serve --env-manager local -m {out}"}


def imported() -> Any:
    try:
        import mlflow.pyfunc
    except ImportError as problem:
        raise UsageError("MLflow is not installed", next_step="pip install rowsmith[mlflow]") from problem
    return mlflow


@contextmanager
def without_advice() -> Iterator[None]:
    """MLflow warns where no example, type hints or signature are given (see `pyfunc_parts`)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
        warnings.filterwarnings("ignore", message=".*(input example|Add type hints|signature)")
        yield


def pyfunc_parts(project: Project, version: Version, temporary: Path) -> dict[str, Any]:
    """The arguments of `save_model` and `log_model`; files lie in `temporary` until they are copied.

    There is no signature: MLflow would bring values to its types first, and turns a missing boolean into false and a
    missing text into "None". The schema inside the version is what refuses a row, in its own words.
    """
    code = temporary / CODE_FILE
    code.write_text(CODE, encoding="utf-8")
    folder = carry(project, version, temporary / ARTIFACT)
    return {
        "python_model": str(code),
        "artifacts": {ARTIFACT: str(folder)},
        "pip_requirements": pins("mlflow-skinny"),
        "metadata": {
            "rowsmith": {"name": version.name, "version": version.number, "artifact": version.artifact_hash},
            "columns": {column.name: column.kind.value for column in inputs_of(project, version).features},
        },
    }


MLFLOW = Format("mlflow", "A pyfunc folder that `mlflow models serve` runs.", "{name}-{number}-mlflow", write)
