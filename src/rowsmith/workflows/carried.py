"""A version outside its store: a folder that can be carried to another machine, used there, and taken in.

version.json    what the registry knew of it
model/ ...      the version's folder as it was, with the project's own features where it has any
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from rowsmith.errors import ArtifactError
from rowsmith.registry import signature
from rowsmith.registry.versions import MODEL_FOLDER, Version
from rowsmith.storage import archive
from rowsmith.storage.files import sha256_of_file, writing_to
from rowsmith.types import JsonObject
from rowsmith.workflows.deploy import Deployed, deployed_from
from rowsmith.workflows.project import Project
from rowsmith.workflows.sign import statement_of

VERSION_FILE = "version.json"


def carry(project: Project, version: Version, folder: Path) -> Path:
    """Copy a version into a folder that is new. Raises ArtifactError, StorageError."""
    origin = project.registry.folder(version)
    with writing_to(folder):
        shutil.copytree(origin, folder)
        text = json.dumps(asdict(version), ensure_ascii=False, indent=2)
        (folder / VERSION_FILE).write_text(text + "\n", encoding="utf-8")
    return folder


def carried_version(folder: Path) -> Version:
    """What `version.json` says, the model's manifest being the one it names. Raises ArtifactError."""
    try:
        version = Version(**json.loads((folder / VERSION_FILE).read_text(encoding="utf-8")))
        found = sha256_of_file(folder / MODEL_FOLDER / archive.MANIFEST)
    except (OSError, ValueError, TypeError) as problem:
        raise ArtifactError(
            "this is not a version that was exported",
            where=str(folder),
            next_step="make one with: rowsmith export --format folder",
        ) from problem
    if found != version.artifact_hash:
        raise ArtifactError(
            "the model is not the one that was exported", where=str(folder), next_step="export it again"
        )
    return version


def open_carried(folder: str | Path) -> Deployed:
    """A carried version ready to answer. Raises ArtifactError."""
    place = Path(folder)
    return deployed_from(place, carried_version(place))


def adopt(project: Project, folder: Path, *, promote: bool, actor: str = "rowsmith adopt") -> Version:
    """Take a carried version into the project's store, as the next number of its name, and make it champion if asked.

    Where it is already, nothing changes, so that a server may do this each time it starts. Every hash is checked, and
    the signature where the project trusts some keys alone. Raises ArtifactError, StorageError.
    """
    origin = carried_version(folder)
    if known := _same(project, origin):
        return known
    if project.trusted_keys:
        signature.check(folder, statement_of(origin), project.trusted_keys)
    archive.read(folder / MODEL_FOLDER)
    version = project.registry.add(
        origin.name,
        lambda incoming: _fill(folder, incoming),
        lineage=_lineage(origin),
        metric=origin.metric,
        score=origin.score,
    )
    if promote:
        reason = f"taken in, version {origin.number} where it was made"
        project.registry.promote(version.name, version.number, reason=reason, actor=actor)
    return version


def _same(project: Project, origin: Version) -> Version | None:
    known = () if project.is_empty else project.registry.list(origin.name)
    return next((version for version in known if version.artifact_hash == origin.artifact_hash), None)


def _fill(folder: Path, incoming: Path) -> None:
    shutil.copytree(folder, incoming, dirs_exist_ok=True)
    (incoming / VERSION_FILE).unlink()


def _lineage(origin: Version) -> JsonObject:
    return {**origin.lineage, "carried_from": {"number": origin.number, "created": origin.created}}
