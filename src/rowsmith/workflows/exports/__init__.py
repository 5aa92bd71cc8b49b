"""Exports: a version in the form that somebody else's tools take. One file a format, listed in `FORMATS`."""

from __future__ import annotations

import shlex
from pathlib import Path

from rowsmith.errors import UsageError
from rowsmith.registry.versions import Version
from rowsmith.storage.files import folder_in_one_step
from rowsmith.types import JsonObject
from rowsmith.workflows.exports.docker import DOCKER
from rowsmith.workflows.exports.folder import FOLDER
from rowsmith.workflows.exports.format import Format
from rowsmith.workflows.exports.mlflow import MLFLOW
from rowsmith.workflows.exports.onnx import ONNX
from rowsmith.workflows.project import Project

FORMATS: tuple[Format, ...] = (FOLDER, MLFLOW, ONNX, DOCKER)


def export(project: Project, ref: str, format_name: str, out: Path | None = None) -> JsonObject:
    """Write a version in a format to `out`, which must not be there; all of it or nothing.

    Answers `format`, `out`, `version`, and what the format has to say. Raises UsageError (an unknown format, something
    in the way, a model that the format cannot hold), NotFoundError, ArtifactError, StorageError.
    """
    chosen = next((known for known in FORMATS if known.name == format_name), None)
    if chosen is None:
        names = ", ".join(known.name for known in FORMATS)
        raise UsageError("there is no such format to export to", received=repr(format_name), allowed=names)
    version = project.version(ref)
    place = (out or Path(chosen.file_name.format(name=version.name, number=version.number))).resolve()
    if place.exists():
        raise UsageError(
            "there is something here already, and it will not be touched",
            where=str(place),
            next_step="choose another place with --out",
        )
    said = _write(chosen, project, version, place)
    if "next_step" in said:
        said["next_step"] = said["next_step"].format(out=shlex.quote(str(out or place.name)))
    return {"format": chosen.name, "out": str(place), "name": version.name, "version": version.number, **said}


def _write(chosen: Format, project: Project, version: Version, place: Path) -> JsonObject:
    if not chosen.is_folder:
        return chosen.write(project, version, place)
    with folder_in_one_step(place) as folder:
        return chosen.write(project, version, folder)
