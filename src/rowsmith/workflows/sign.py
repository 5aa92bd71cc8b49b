"""Signing versions, and refusing those that nobody trusted has signed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rowsmith.errors import UsageError
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


@dataclass(frozen=True, slots=True)
class Vouched:
    """A version that `public_key` vouches for; `is_new` says that it was signed just now."""

    version: Version
    public_key: Path
    is_new: bool


def vouch(
    project: Project,
    ref: str | int,
    *,
    key: Path | None = None,
    new_key: Path | None = None,
    public_key: Path | None = None,
    actor: str = "rowsmith sign",
) -> Vouched:
    """Sign with a `key`, or with one that is made in `new_key`; or check against a `public_key`, and sign nothing.

    Raises UsageError where not just one of the three is given, and what `sign` and `check` raise.
    """
    if sum(given is not None for given in (key, new_key, public_key)) != 1:
        raise UsageError("give one of --key FILE, --new-key FILE and --check FILE")
    if public_key is not None:
        version = project.version(ref)
        check(project, version, (public_key,))
        return Vouched(version, public_key, is_new=False)
    if new_key is not None:
        project.version(ref)  # before a key is made for nothing
        signature.make_key(new_key)
    private = key or new_key
    assert private is not None
    return Vouched(sign(project, ref, private, actor=actor), Path(f"{private}.pub"), is_new=True)


def check(project: Project, version: Version, trusted: tuple[Path, ...]) -> Path:
    """The trusted key that vouches for a version. Raises ArtifactError, NotFoundError, UsageError, StorageError."""
    return signature.check(project.registry.folder(version), statement_of(version), trusted)


def require_trust(project: Project, version: Version) -> None:
    """Where the project names trusted keys, one of them has to vouch. Raises ArtifactError."""
    if project.trusted_keys:
        check(project, version, project.trusted_keys)


def statement_of(version: Version) -> Statement:
    return Statement(version.artifact_hash, str(version.lineage.get(OWN_CODE, "")))
