"""Signing versions, and refusing those that nobody trusted has signed."""

from __future__ import annotations

from pathlib import Path

from rowsmith.registry import signature
from rowsmith.registry.signature import Statement
from rowsmith.registry.versions import Version
from rowsmith.storage import archive, audit
from rowsmith.workflows.project import Project

OWN_CODE = "own_code"


def sign(project: Project, ref: str | int, key: Path, *, actor: str = "rowsmith sign") -> Version:
    """Vouch for a version with a private key, after every hash of its files was checked.

    Raises NotFoundError, UsageError (the key), ArtifactError (the files), StorageError.
    """
    version = project.version(ref)
    folder = project.registry.folder(version)
    archive.read(folder / "model")
    signature.sign(folder, statement_of(version), key)
    with project.database.writing() as connection:
        details = {"version": version.number, "artifact": version.artifact_hash}
        audit.record(connection, actor=actor, action="sign", subject=version.name, details=details)
    return version


def check(project: Project, version: Version, trusted: tuple[Path, ...]) -> Path:
    """The trusted key that vouches for a version. Raises ArtifactError, NotFoundError, UsageError, StorageError."""
    return signature.check(project.registry.folder(version), statement_of(version), trusted)


def require_trust(project: Project, version: Version) -> None:
    """Where the project names trusted keys, one of them has to vouch. Raises ArtifactError."""
    if project.trusted_keys:
        check(project, version, project.trusted_keys)


def statement_of(version: Version) -> Statement:
    return Statement(version.artifact_hash, str(version.lineage.get(OWN_CODE, "")))
