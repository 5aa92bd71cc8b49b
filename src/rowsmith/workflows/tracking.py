"""Runs and versions in an MLflow tracking server, where this installation names one.

It is a copy for people who look there: the registry of the project stays the one that counts, and nothing here ever
fails a training or a promotion. What goes wrong is a warning.
"""

from __future__ import annotations

import json
import logging
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rowsmith.errors import UsageError
from rowsmith.registry.versions import Version
from rowsmith.types import JsonObject
from rowsmith.workflows.project import Project

logger = logging.getLogger("rowsmith.tracking")

ALIAS = "champion"
VERSION_TAG = "rowsmith.version"
ARTIFACT_TAG = "rowsmith.artifact"
FILES = ("report.html", "card.md", "evaluation.json", "provenance.json")
PROBE_SECONDS = 5.0
RETRIES, TIMEOUT_SECONDS = 2, 30
LONGEST_PARAMETER = 500


def follow(project: Project, version: Version) -> None:
    """Copy a version, and who is champion, where the project names a tracking server; a logged warning at worst."""
    if project.tracking_uri and (warning := track(project, version, project.tracking_uri)):
        logger.warning("%s", warning)


def track(project: Project, version: Version, uri: str) -> str:
    """The same to a server; answers a warning, empty where all went well.

    Log a version as a run of the experiment that is called like it, register its model under the same name, and let
    the alias `champion` point to the model of the reigning version.
    """
    try:
        mlflow = _connected(uri)
        number = _registered(mlflow, version) or _log(mlflow, project, version)
        reigning = project.registry.champion(version.name)
        if reigning is None:
            return ""
        if reigning.number != version.number:
            number = _registered(mlflow, reigning) or _log(mlflow, project, reigning)
        mlflow.MlflowClient().set_registered_model_alias(version.name, ALIAS, number)
    except Exception as problem:  # whatever MLflow, its server or the network raise: the version is kept all the same
        return f"MLflow at {_shown(uri)} does not know of version {version.number}: {_first_line(problem)}"
    return ""


def _connected(uri: str) -> Any:
    """MLflow, told where to go. Its own patience with a server that is away is minutes; ours is seconds."""
    from rowsmith.workflows.exports.mlflow import imported

    mlflow = imported()
    from mlflow import environment_variables

    variables: Any = environment_variables

    if uri.startswith(("http://", "https://")):
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=PROBE_SECONDS).close()
    for variable, value in (
        (variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES, RETRIES),
        (variables.MLFLOW_HTTP_REQUEST_TIMEOUT, TIMEOUT_SECONDS),
    ):
        if not variable.is_set():
            variable.set(value)
    mlflow.set_tracking_uri(uri)
    return mlflow


def _registered(mlflow: Any, version: Version) -> str | None:
    """The number that MLflow gave to a version, or None where it does not know it."""
    found = mlflow.MlflowClient().search_model_versions(f"name='{version.name}'")
    same = [each for each in found if each.tags.get(ARTIFACT_TAG) == version.artifact_hash]
    return str(same[0].version) if same else None


def _log(mlflow: Any, project: Project, version: Version) -> str:
    from rowsmith.workflows.exports.mlflow import pyfunc_parts, without_advice

    folder = project.registry.folder(version)
    tags = {VERSION_TAG: str(version.number), ARTIFACT_TAG: version.artifact_hash}
    lineage = {"rowsmith.snapshot": version.snapshot_id, "rowsmith.recipe": version.recipe_hash}
    experiment = mlflow.set_experiment(version.name)
    run_name = f"{version.name} {version.number}"
    with (
        tempfile.TemporaryDirectory() as temporary,
        without_advice(),
        mlflow.start_run(experiment_id=experiment.experiment_id, run_name=run_name, tags={**tags, **lineage}),
    ):
        parts = pyfunc_parts(project, version, Path(temporary))
        mlflow.log_params(_parameters(project, folder))
        mlflow.log_metrics(_metrics(folder))
        for name in FILES:
            if (folder / name).is_file():
                mlflow.log_artifact(str(folder / name))
        info = mlflow.pyfunc.log_model(name="model", registered_model_name=version.name, **parts)
    number = str(info.registered_model_version)
    client = mlflow.MlflowClient()
    for key, value in tags.items():
        client.set_model_version_tag(version.name, number, key, value)
    return number


def _parameters(project: Project, folder: Path) -> dict[str, str]:
    """The recipe of the version, flat."""
    from rowsmith.storage import archive

    recipe = archive.read_data(folder / "model")["recipe"]
    return {
        name: str(value)[:LONGEST_PARAMETER] for name, value in _flat(recipe).items() if value not in (None, [], "")
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _metrics(folder: Path) -> dict[str, float]:
    """Every figure of the sealed test, with the ends of its interval."""
    path = folder / "evaluation.json"
    evaluation: JsonObject = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    scores = evaluation.get("scores", {}).get("model", {})
    figures = {
        name if end == "value" else f"{name}_{end}": score.get(end)
        for name, score in scores.items()
        for end in ("value", "low", "high")
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


def _shown(uri: str) -> str:
    """Without a password."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _first_line(problem: Exception) -> str:
    text = problem.what if isinstance(problem, UsageError) else str(problem)
    return (text.splitlines() or [type(problem).__name__])[0][:300]
