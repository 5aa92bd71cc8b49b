"""MLflow gets a copy of each version, with the alias on the champion; and is never in the way."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rowsmith.cli import main
from rowsmith.workflows.deploy import deploy
from rowsmith.workflows.project import Project
from rowsmith.workflows.promote import rollback
from rowsmith.workflows.tracking import track
from tests.serving.models import NAME, loans, make_project, register, train

pytest.importorskip("mlflow")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "loans"
    folder.mkdir()
    return make_project(folder, "default")


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store without a server: MLflow's own client writes it."""
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A tracking server of its own, where what MLflow needs for one is installed."""
    pytest.importorskip("graphene", reason="mlflow-skinny has no server: pip install mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output)
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.3)
        else:
            raise AssertionError(log.read_text())
        yield address
    finally:
        process.terminate()
        process.wait(30)


def check_copies(project: Project, uri: str) -> None:
    """A run with figures and files, a model that answers the very bits, and an alias that follows the champion."""
    import mlflow

    first = project.version("champion")
    assert track(project, first, uri) == ""
    client = mlflow.MlflowClient(uri)
    copied: Any = client.get_model_version_by_alias(NAME, "champion")
    assert copied.tags["rowsmith.version"] == "1"
    run: Any = client.get_run(copied.run_id)
    score = first.score
    assert score is not None
    assert run.data.metrics[first.metric] == pytest.approx(score)
    assert run.data.metrics[f"{first.metric}_low"] <= score <= run.data.metrics[f"{first.metric}_high"]
    assert run.data.params["target.column"] == "default"
    assert run.data.tags["rowsmith.artifact"] == first.artifact_hash
    assert "report.html" in {item.path for item in client.list_artifacts(copied.run_id)}
    table = loans(30, seed=3)
    answers = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(table.to_pandas())
    assert answers.to_dict("list") == deploy(project, first).answers(table).to_dict(as_series=False)
    # Again changes nothing; the next champion takes the alias; and a rollback gives it back.
    assert track(project, first, uri) == ""
    second = register(project, train(seed=9))
    assert track(project, second, uri) == ""
    assert client.get_model_version_by_alias(NAME, "champion").tags["rowsmith.version"] == "2"
    rollback(replace(project, tracking_uri=uri), reason="a test")
    assert client.get_model_version_by_alias(NAME, "champion").tags["rowsmith.version"] == "1"
    assert len(client.search_model_versions(f"name='{NAME}'")) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_store_gets_a_copy(project: Project, uri: str) -> None:
    check_copies(project, uri)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_server_gets_a_copy(project: Project, server: str) -> None:
    check_copies(project, server)


def test_a_server_that_is_away_is_a_warning_within_seconds(project: Project) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    began = time.monotonic()
    warning = track(project, project.version(), f"http://somebody:secret@127.0.0.1:{port}")
    assert time.monotonic() - began < 10
    assert "does not know of version 1" in warning
    assert "secret" not in warning


def test_a_promotion_ends_well_though_the_server_is_away(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    register(project, train(seed=9))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (project.root / "rowsmith.toml").write_text(f'name = "{NAME}"\n')
    with pytest.raises(SystemExit) as ended:
        main(["rollback", "--project", str(project.root), "--json"])
    assert ended.value.code in (None, 0)
    assert "warning: MLflow at http://127.0.0.1:9" in capsys.readouterr().err
    assert project.version("champion").number == 1


def test_whoever_changes_the_champion_is_warned(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    """By the same function, whether the command line or a program calls it."""
    register(project, train(seed=9))
    entry = rollback(replace(project, tracking_uri="http://127.0.0.1:9"))
    assert entry.to_number == project.version("champion").number == 1
    assert "MLflow at http://127.0.0.1:9 does not know of version 1" in caplog.text
