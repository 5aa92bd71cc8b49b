"""Provenance: what was used to make a model, and nothing that must stay secret."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rowsmith.registry.provenance import gather, without_secrets


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "rowsmith.toml").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_it_is_json_and_complete() -> None:
    facts = gather(seed=7, command=["rowsmith", "run"])
    assert json.loads(json.dumps(facts)) == facts
    assert facts["seed"] == 7
    assert facts["python"].endswith(".".join(map(str, sys.version_info[:3])))
    assert facts["packages"]["numpy"] == importlib.metadata.version("numpy")
    assert facts["machine"]["cores"] >= 1 and facts["machine"]["memory_mb"] > 100
    assert facts["code"] is None


def test_the_time_can_be_given() -> None:
    assert gather(seed=0, source_date_epoch=0)["created"] == "1970-01-01T00:00:00+00:00"


def test_the_commit_of_the_project(repository: Path) -> None:
    (repository / "untracked").write_text("x")
    head = git(repository, "rev-parse", "HEAD")
    assert gather(seed=0, project=repository)["code"] == {"commit": head, "dirty": False}
    (repository / "rowsmith.toml").write_text("changed")
    assert gather(seed=0, project=repository)["code"]["dirty"] is True


def test_a_hook_s_repository_is_not_the_project_s(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert gather(seed=0, project=repository)["code"]["dirty"] is False


@pytest.mark.parametrize("commands", [[], ["init", "-q"]])
def test_without_a_commit_there_is_no_code(tmp_path: Path, commands: list[str]) -> None:
    if commands:
        git(tmp_path, *commands)
    assert gather(seed=0, project=tmp_path)["code"] is None


def test_without_git_there_is_no_code(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert gather(seed=0, project=repository)["code"] is None


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["/home/ada/bin/rowsmith", "run", "data.csv", "--target", "y"], "rowsmith run data.csv --target y"),
        (["rowsmith", "--api-key", "s3cret", "run"], "rowsmith --api-key *** run"),
        (["rowsmith", "--db-password=s3cret"], "rowsmith --db-password=***"),
        (["rowsmith", "run", "TOKEN=s3cret"], "rowsmith run TOKEN=***"),
        (["rowsmith", "ingest", "https://h/x?token=s3cret&n=1"], "rowsmith ingest https://h/x?token=***&n=1"),
        (["rowsmith", "ingest", "postgresql://ada:s3cret@h/db"], "rowsmith ingest postgresql://ada:***@h/db"),
        (["rowsmith", "ingest", "postgresql://ada:s3@cret@h/db"], "rowsmith ingest postgresql://ada:***@h/db"),
        (["rowsmith", "run", "data.csv", "--target", "token"], "rowsmith run data.csv --target token"),
        ([], ""),
    ],
)
def test_secrets_are_left_out(words: list[str], shown: str) -> None:
    assert without_secrets(words) == shown
