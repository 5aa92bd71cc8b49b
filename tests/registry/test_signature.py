"""Signatures: what was signed loads, and nothing else does where keys are trusted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rowsmith.errors import ArtifactError, NotFoundError, UsageError
from rowsmith.registry.signature import SIGNATURE_FILE, Statement, check, make_key, sign
from rowsmith.registry.versions import Version
from rowsmith.settings import read_settings
from rowsmith.storage import audit
from rowsmith.workflows import sign as signing
from rowsmith.workflows.deploy import deploy
from rowsmith.workflows.project import Project
from rowsmith.workflows.promote import promote
from tests.serving.models import make_project

STATEMENT = Statement("a" * 64, "b" * 64)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "release.pem")
    return tmp_path / "release.pem"


@pytest.fixture
def public(key: Path) -> Path:
    return key.with_name("release.pem.pub")


def test_a_key_is_private_and_never_overwritten(key: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="not overwritten"):
        make_key(key)


def test_what_was_signed_is_vouched_for(tmp_path: Path, key: Path, public: Path) -> None:
    make_key(tmp_path / "other.pem")
    sign(tmp_path, STATEMENT, key)
    assert check(tmp_path, STATEMENT, [tmp_path / "other.pem.pub", public]) == public


@pytest.mark.parametrize("changed", [replace(STATEMENT, artifact="c" * 64), replace(STATEMENT, own_code="")])
def test_what_was_changed_is_not(tmp_path: Path, key: Path, public: Path, changed: Statement) -> None:
    sign(tmp_path, STATEMENT, key)
    with pytest.raises(ArtifactError, match="no trusted key vouches"):
        check(tmp_path, changed, [public])


def test_another_key_does_not_count(tmp_path: Path, key: Path, public: Path) -> None:
    make_key(tmp_path / "eve.pem")
    sign(tmp_path, STATEMENT, tmp_path / "eve.pem")
    with pytest.raises(ArtifactError, match="no trusted key vouches"):
        check(tmp_path, STATEMENT, [public])


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"signature": 1}', '{"signature": "é"}', '{"signature": "AAAA"}', "[" * 9_000, " " * 20_000],
)
def test_a_signature_that_is_none(tmp_path: Path, public: Path, content: str) -> None:
    (tmp_path / SIGNATURE_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError):
        check(tmp_path, STATEMENT, [public])


def test_keys_that_cannot_be_used(tmp_path: Path, key: Path, public: Path) -> None:
    sign(tmp_path, STATEMENT, key)
    with pytest.raises(NotFoundError):
        check(tmp_path, STATEMENT, [tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="not a public key"):
        check(tmp_path, STATEMENT, [key])
    with pytest.raises(UsageError, match="not a private key"):
        sign(tmp_path, STATEMENT, public)


def test_keys_of_openssl_are_taken(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command is not installed")
    for arguments in (
        ["genpkey", "-algorithm", "ed25519", "-out", "k.pem"],
        ["pkey", "-in", "k.pem", "-pubout", "-out", "k.pub"],
        ["genpkey", "-algorithm", "x25519", "-out", "x.pem"],
    ):
        subprocess.run([openssl, *arguments], check=True, capture_output=True, cwd=tmp_path)
    sign(tmp_path, STATEMENT, tmp_path / "k.pem")
    assert check(tmp_path, STATEMENT, [tmp_path / "k.pub"]) == tmp_path / "k.pub"
    with pytest.raises(UsageError, match="no Ed25519 key"):
        sign(tmp_path, STATEMENT, tmp_path / "x.pem")


def load_model(project: Project, version: Version) -> object:
    return project.model(version.number)


def promote_it(project: Project, version: Version) -> object:
    return promote(project, version.number)


@pytest.mark.parametrize("use", [deploy, load_model, promote_it])
def test_only_signed_versions_are_used_where_keys_are_trusted(
    tmp_path: Path, key: Path, public: Path, use: Callable[[Project, Version], object]
) -> None:
    (tmp_path / "p").mkdir()
    project = make_project(tmp_path / "p", "default")
    version = project.version("champion")
    strict = replace(project, trusted_keys=(public,))
    with pytest.raises(ArtifactError, match=r"not signed.*rowsmith sign 1"):
        use(strict, version)
    signing.sign(project, 1, key)
    signing.require_trust(strict, version)
    assert deploy(strict, version).version == version
    assert audit.lines(project.database, action="sign")[-1].details["artifact"] == version.artifact_hash
    forged = json.loads((project.registry.folder(version) / SIGNATURE_FILE).read_text())
    forged["signature"] = "A" * 86 + "=="
    (project.registry.folder(version) / SIGNATURE_FILE).write_text(json.dumps(forged))
    with pytest.raises(ArtifactError, match="no trusted key vouches"):
        use(strict, version)
    for opened in (project, strict):
        opened.database.close()


def test_trusted_keys_come_from_the_settings() -> None:
    found = read_settings({"ROWSMITH_TRUSTED_KEYS": os.pathsep.join(["a.pub", "/b c.pub"])})
    assert found.trusted_keys == ("a.pub", "/b c.pub")
    assert read_settings({"ROWSMITH_TRUSTED_KEYS": ""}).trusted_keys == ()
