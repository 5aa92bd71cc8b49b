"""Schemathesis, with all of its checks and phases, against a running server and its OpenAPI document."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rowsmith.access.keys import KeyRole, KeyStore
from rowsmith.schema import Policies
from tests.serving.browsing import running
from tests.serving.models import make_project

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")
STRICT = Policies(unknown_column="error", unseen_category="error", missing_value="error")
# No more rows in a request than can be explained, since a schema of the body cannot depend on the query.
ROWS = 100


@pytest.mark.slow
@pytest.mark.parametrize("case", ["default", "rate", "amount", "strict", "keys"])
def test_schemathesis_finds_nothing(tmp_path: Path, case: str) -> None:
    target = case if case in {"default", "rate", "amount"} else "default"
    project = make_project(tmp_path, target, policies=STRICT if case == "strict" else None)
    settings: dict[str, Any] = {"max_rows": ROWS}
    command = [
        str(SCHEMATHESIS),
        "--config-file",
        str(CONFIG),
        "run",
        "--max-examples",
        "15",
        "--seed",
        "1",
        "--no-color",
    ]
    if case == "keys":
        settings["require_keys"] = True
        secret = KeyStore(project.database).create("fuzzer", KeyRole.ADMIN, actor="a test")[1]
        command += ["-H", f"Authorization: Bearer {secret}"]
    project.log.close()
    project.database.close()
    with running(tmp_path, workers=1, settings=settings) as server:
        done = subprocess.run(
            [*command, f"{server.address}/openapi.json"], capture_output=True, text=True, cwd=tmp_path, timeout=300
        )
    assert done.returncode == 0, done.stdout[-6000:]
