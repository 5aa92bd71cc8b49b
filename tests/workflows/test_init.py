"""`rowsmith init`: a repository that works at once, or nothing at all."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from rowsmith.errors import UsageError
from rowsmith.recipe import Recipe
from rowsmith.workflows.init import init_project, package_of, suggested
from rowsmith.workflows.plugins import load_plugins

EXPECTED = {
    ".github/workflows/ci.yml",
    ".gitignore",
    "README.md",
    "churn_model/__init__.py",
    "churn_model/checks.py",
    "churn_model/features.py",
    "data/example.csv",
    "environment.yml",
    "pyproject.toml",
    "requirements.txt",
    "rowsmith.toml",
    "setup.py",
    "tests/test_project.py",
}


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return init_project(tmp_path_factory.mktemp("init") / "churn-model").root


def test_every_file_is_there_and_no_marker_is_left(root: Path) -> None:
    found = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and ".git" not in p.parts}
    assert found == EXPECTED
    for name in EXPECTED - {"data/example.csv"}:
        text = (root / name).read_text(encoding="utf-8")
        assert not any(word in text for word in ("@P", "@ROWSMITH", "PACKAGE"))


def test_everything_is_in_the_first_commit(root: Path) -> None:
    assert set(git(root, "ls-files").splitlines()) == EXPECTED
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "rev-list", "--count", "HEAD") == "1"
    assert git(root, "branch", "--show-current") == "main"


def test_the_files_are_valid(root: Path) -> None:
    recipe = Recipe.read(root / "rowsmith.toml")
    assert (recipe.name, recipe.target.column) == ("churn-model", "diagnosis")
    assert (root / str(recipe.data.source)).is_file()
    environment = yaml.safe_load((root / "environment.yml").read_text())
    assert environment["dependencies"][-1] == {"pip": ["--requirement requirements.txt"]}
    workflow = yaml.safe_load((root / ".github/workflows/ci.yml").read_text())
    assert any("pytest" in step.get("run", "") for step in workflow["jobs"]["test"]["steps"])
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert project["project"]["name"] == "churn-model"


def test_the_requirements_pin_rowsmith_and_all_that_it_needs(root: Path) -> None:
    lines = (root / "requirements.txt").read_text().splitlines()[1:]
    names = {line.split("==")[0].split(" @ ")[0] for line in lines}
    assert {"rowsmith", "polars", "lightgbm", "psycopg-binary", "werkzeug"} <= names
    assert "pytest" not in names, "only what Rowsmith needs, not what happens to be installed"
    assert all("==" in line or " @ " in line for line in lines)


def test_own_code_is_found_by_name(root: Path) -> None:
    plugins = load_plugins(root)
    assert plugins.package == "churn_model"
    assert plugins.add_features is not None
    assert len(plugins.checks) == 1


@pytest.mark.slow
def test_its_tests_pass_at_once(root: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    folder = tmp_path / "emptyone"
    folder.mkdir()
    assert (init_project(folder).root / "rowsmith.toml").is_file()


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="something here already"):
        init_project(tmp_path / "taken")
    (tmp_path / "file-of-this-name").write_text("mine")
    with pytest.raises(UsageError, match="something here already"):
        init_project(tmp_path / "file-of-this-name")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file-of-this-name", "note.txt", "taken"]


def test_a_git_folder_around_it_does_not_lead_astray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    root = init_project(tmp_path / "inner").root
    monkeypatch.delenv("GIT_DIR")
    assert git(root, "rev-list", "--count", "HEAD") == "1"
    assert git(root, "rev-parse", "--show-toplevel") == os.path.realpath(root)


def test_without_git_there_is_a_project_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    made = init_project(tmp_path / "nogit")
    assert made.commit == ""
    assert not (made.root / ".git").exists()
    assert (made.root / "rowsmith.toml").is_file()


@pytest.mark.parametrize(
    ("name", "package"), [("churn", "churn"), ("Churn-Model", "churn_model"), ("a.b--c", "a_b_c"), ("x2", "x2")]
)
def test_names_that_can_be_used(name: str, package: str) -> None:
    assert package_of(name) == package


@pytest.mark.parametrize(
    "name",
    ["", "a b", "données", "模型", "1st", "-x", "_x", "x/y", "x!", "x" * 64, "class", "match", "json", "numpy",
     "rowsmith", "tests", "data", ".", ".."],
)  # fmt: skip
def test_names_that_cannot_be_used(name: str) -> None:
    with pytest.raises(UsageError, match="For example: rowsmith init") as caught:
        package_of(name)
    proposal = caught.value.next_step.rsplit(" ", 1)[1]
    assert package_of(proposal), "what the message proposes can be used"


def test_a_proposal_looks_like_the_name() -> None:
    assert suggested("Données café") == "donnees-cafe-model"
    assert suggested("模型") == "my-model"
