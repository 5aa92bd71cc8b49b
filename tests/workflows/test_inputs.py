"""What a version is asked with, read without the model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rowsmith.errors import ArtifactError
from rowsmith.workflows.deploy import deploy
from rowsmith.workflows.inputs import inputs_of
from tests.serving.models import make_project


def test_they_are_those_of_the_model(tmp_path: Path) -> None:
    project = make_project(tmp_path, "default")
    version = project.registry.champion("loans")
    assert version is not None
    assert inputs_of(project, version) == deploy(project, version).inputs
    (project.registry.folder(version) / "model" / "state.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError):
        inputs_of(project, version)


def test_no_library_of_models_or_tables_is_loaded() -> None:
    heavy = {"polars", "pandas", "sklearn", "lightgbm", "scipy"}
    code = f"import sys, rowsmith.workflows.inputs; print(*({heavy!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []
