"""Triton's and MLflow's own clients, unchanged, get what `rowsmith predict` gives, bit for bit.

They want other releases of libraries than ours, and so have an environment of their own, whose Python the variable
ROWSMITH_CLIENTS_PYTHON names (.ci/run makes one: `pip install "tritonclient[http]" mlflow-skinny pandas scipy`).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rowsmith.workflows.deploy import deploy
from rowsmith.workflows.predict import predict_source
from tests.serving.browsing import running
from tests.serving.models import json_rows, loans, make_project

PYTHON = os.environ.get("ROWSMITH_CLIENTS_PYTHON", "")
SCRIPT = Path(__file__).with_name("official_clients.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="ROWSMITH_CLIENTS_PYTHON names no Python with tritonclient and mlflow"),
]


@pytest.mark.parametrize("target", ["default", "rate", "amount"])
def test_official_clients_get_what_predict_gives(tmp_path: Path, target: str) -> None:
    project = make_project(tmp_path, target)
    table = loans(40, seed=9)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(json_rows(table)))
    source = tmp_path / "rows.parquet"
    table.write_parquet(source)
    predict_source(deploy(project, project.version()), source, tmp_path / "scores.parquet")
    scores = pl.read_parquet(tmp_path / "scores.parquet")
    expected = {name: scores[name].to_list() for name in scores.columns if name != "id"}
    project.log.close()
    project.database.close()
    with running(tmp_path, workers=1) as server:
        host, _, port = server.address.removeprefix("http://").rpartition(":")
        triton = asked("triton", host, port, path)
        mlflow = asked("mlflow", host, port, path)
    assert "no model of this name" in triton.pop("error")
    assert triton == {way: expected for way in ("binary", "json", "gzip")}
    assert mlflow == {"split": expected}


def asked(kind: str, host: str, port: str, path: Path) -> Any:
    command = [PYTHON, str(SCRIPT), kind, host, port, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
