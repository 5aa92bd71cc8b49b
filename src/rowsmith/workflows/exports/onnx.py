"""One ONNX file, kept only when it answers hostile rows and the version's own rows as the model does."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from rowsmith.conversion.hostile import ACCEPTING, hostile_rows
from rowsmith.errors import RowsmithError, UsageError
from rowsmith.model import TrainedModel
from rowsmith.registry.versions import Version
from rowsmith.storage.files import write_atomically
from rowsmith.types import JsonObject
from rowsmith.version import __version__
from rowsmith.workflows.deploy import deploy
from rowsmith.workflows.exports.format import Format
from rowsmith.workflows.project import Project
from rowsmith.workflows.training_rows import rows_of

OWN_ROWS = 5000
"""Of the snapshot, where it is still there: the branches that rows really take."""


def write(project: Project, version: Version, place: Path) -> JsonObject:
    """Raises UsageError where there is no equal ONNX model, with the reason."""
    deployed = deploy(project, version)
    if deployed.types is not None:
        raise UsageError(
            "this version has features of its own, which are Python code and have no form in ONNX",
            next_step="use --format mlflow or --format docker, which run the model itself",
        )
    try:
        from rowsmith.conversion.onnx.model import TOLERANCE, compare, converted
    except ImportError as problem:
        raise UsageError(
            f"ONNX needs packages that are not installed ({problem.name})", next_step="pip install rowsmith[onnx]"
        ) from problem
    facts = {"rowsmith": __version__, "name": version.name, "version": str(version.number)}
    facts["artifact"] = version.artifact_hash
    title = f"{version.name} version {version.number}"
    content: bytes = converted(deployed.model, name=title, facts=facts).SerializeToString()
    rows = pl.concat([hostile_rows(deployed.model), *_own_rows(project, version, deployed.model)])
    agreement = compare(deployed.model, content, rows)
    if not agreement.holds:
        raise UsageError(
            "the ONNX model does not answer as the model does, and was not kept",
            received=f"a difference of {agreement.difference:.3g}, {agreement.other_labels} other labels "
            f"in {agreement.rows} rows",
            allowed=f"a difference of {TOLERANCE:g}",
            next_step="use --format mlflow or --format docker, which run the model itself",
        )
    write_atomically(place, content)
    return {"megabytes": round(len(content) / 1e6, 2), "agreement": agreement.to_dict()}


def _own_rows(project: Project, version: Version, model: TrainedModel) -> list[pl.DataFrame]:
    from dataclasses import replace

    from rowsmith.conform import Conformer

    try:
        rows = rows_of(project, version).head(OWN_ROWS)
    except RowsmithError:  # a version that was taken in from elsewhere has no rows here
        return []
    return [Conformer(replace(model.schema, policies=ACCEPTING)).frame(rows).frame]


ONNX = Format(
    "onnx",
    "One file for ONNX runtimes, compared with the model before it is kept.",
    "{name}-{number}.onnx",
    write,
    is_folder=False,
)
