"""Batch jobs: by the API, from a path, cancelled, killed in their middle, forgotten in time."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import psutil
import pytest
from flask.testing import FlaskClient

from rowsmith.access.keys import KeyRole, KeyStore
from rowsmith.monitoring.log_table import ids_of
from rowsmith.registry.signature import make_key
from rowsmith.serving.app import create_app
from rowsmith.serving.job_process import order_of
from rowsmith.settings import Settings
from rowsmith.workflows.deploy import deploy
from rowsmith.workflows.jobs import JobStore, Status, count_rows, give_up, jobs_of, run_job
from rowsmith.workflows.predict import predict_source
from rowsmith.workflows.project import Project, open_project
from rowsmith.workflows.sign import sign
from tests.serving.browsing import Server, running
from tests.serving.conftest import closed
from tests.serving.models import NAME, loans, make_project

PATIENCE = 120.0
MANY = 700_000
"""Rows of half a dozen batches."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "project"
    folder.mkdir()
    opened = make_project(folder, "default")
    yield opened
    opened.database.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder that is open to jobs."""
    folder = tmp_path / "data"
    folder.mkdir()
    table(60).write_parquet(folder / "loans.parquet")
    return folder


@pytest.fixture
def client(project: Project, data: Path) -> Iterator[FlaskClient]:
    made = create_app(replace(project), Settings(job_folders=(str(data),)))
    yield made.test_client()
    closed(made)


def table(rows: int) -> pl.DataFrame:
    return loans(rows, seed=5).drop("default", "rate", "amount")


def send(client: FlaskClient, frame: pl.DataFrame, name: str = "a.parquet", **fields: str) -> Any:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    buffer.seek(0)
    return client.post("/api/v1/jobs", data={"file": (buffer, name), **fields}, content_type="multipart/form-data")


def ended(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while (document := ask())["state"] in ("waiting", "running"):
        assert time.monotonic() < deadline, document
        time.sleep(0.05)
    return document


def finished(client: FlaskClient, response: Any) -> dict[str, Any]:
    assert response.status_code == 202, response.text
    return ended(lambda: client.get(response.headers["Location"]).get_json())


def result(client: FlaskClient, job: dict[str, Any], kind: str = "parquet") -> pl.DataFrame:
    with client.get(f"{job['links']['result']}?format={kind}") as answer:
        assert answer.status_code == 200
        data = io.BytesIO(answer.data)
    return pl.read_parquet(data) if kind == "parquet" else pl.read_csv(data)


# -- the way of a job --------------------------------------------------------------------------------------


def test_an_uploaded_file_is_scored_and_logged(client: FlaskClient, project: Project) -> None:
    response = send(client, table(60), keep_inputs="true")
    assert response.get_json()["state"] == "waiting"
    job = finished(client, response)
    assert (job["state"], job["rows"], job["fraction"], job["file"]) == ("done", 60, 1.0, "a.parquet")
    assert job["model"] == {"name": NAME, "version": 1}
    assert job["ended"] >= job["started"] >= job["created"]
    scores = result(client, job)
    assert scores.drop("id", *table(1).columns).equals(deploy(project, project.version()).answers(table(60)))
    assert scores.select(table(1).columns).equals(table(60))
    assert result(client, job, "csv").height == 60
    logged = project.log.window(NAME).entries
    assert set(logged["id"]) == set(scores["id"])
    assert [each["id"] for each in client.get("/api/v1/jobs").get_json()["jobs"]] == [job["id"]]


def test_a_file_of_the_server_is_scored(client: FlaskClient, data: Path) -> None:
    for path in ("loans.parquet", str(data / "loans.parquet")):
        job = finished(client, client.post("/api/v1/jobs", json={"path": path}))
        assert (job["state"], job["rows"]) == ("done", 60)
    assert (data / "loans.parquet").is_file()


@pytest.mark.parametrize(
    "path", ["../project/rowsmith.toml", "/etc/passwd", "link.parquet", "nothing.csv", ".", "", "a\0b", "x" * 5000]
)
def test_only_files_below_the_open_folders(client: FlaskClient, data: Path, tmp_path: Path, path: str) -> None:
    table(3).write_parquet(tmp_path / "secret.parquet")
    (data / "link.parquet").symlink_to(tmp_path / "secret.parquet")
    response = client.post("/api/v1/jobs", json={"path": path})
    assert response.status_code in (404, 422)
    assert str(tmp_path) not in response.text


def test_no_folder_is_open_unless_one_is_named(project: Project) -> None:
    made = create_app(replace(project), Settings())
    assert made.test_client().post("/api/v1/jobs", json={"path": "/etc/passwd"}).status_code == 403
    closed(made)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/path"),
        ({"path": 3}, "/path"),
        ({"path": "loans.parquet", "keep_inputs": 1}, "/keep_inputs"),
        ({"path": "loans.parquet", "version": True}, "/version"),
        ({"path": "loans.parquet", "rows": []}, "/rows"),
    ],
)
def test_a_request_that_makes_no_sense(client: FlaskClient, body: dict[str, Any], pointer: str) -> None:
    response = client.post("/api/v1/jobs", json=body)
    assert response.status_code == 422
    assert [fault["pointer"] for fault in response.get_json()["errors"]] == [pointer]


def test_a_model_that_there_is_not(client: FlaskClient) -> None:
    assert client.post("/api/v1/jobs", json={"path": "loans.parquet", "version": 9}).status_code == 404
    assert client.post("/api/v1/jobs", json={"path": "loans.parquet", "model": "other"}).status_code == 404


@pytest.mark.parametrize("path", ["", "/cancel", "/result"])
@pytest.mark.parametrize("id_", ["0" * 32, "x", "..", "0" * 31 + "g"])
def test_a_job_that_there_is_not(client: FlaskClient, id_: str, path: str) -> None:
    ask = client.post if path == "/cancel" else client.get
    assert ask(f"/api/v1/jobs/{id_}{path}").status_code == 404


def test_rows_that_do_not_fit_are_named(client: FlaskClient, project: Project) -> None:
    broken = table(60).with_columns(age=pl.lit("old"))
    job = finished(client, send(client, broken))
    assert job["state"] == "failed"
    assert job["errors_total"] >= 1 and job["errors"][0]["column"] == "age"
    assert "result" not in job["links"]
    assert client.get(f"/api/v1/jobs/{job['id']}/result").status_code == 404
    assert project.log.window(NAME).entries.is_empty()


def test_each_sees_his_own_jobs_and_operators_all(project: Project) -> None:
    keys = KeyStore(project.database)
    secrets = {
        name: keys.create(name, role, actor="a test")[1]
        for name, role in (("one", KeyRole.PREDICT), ("other", KeyRole.PREDICT), ("boss", KeyRole.OPERATE))
    }
    made = create_app(replace(project), Settings(require_keys=True))
    clients = {}
    for name, secret in secrets.items():
        clients[name] = made.test_client()
        clients[name].environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    try:
        assert made.test_client().get("/api/v1/jobs").status_code == 401
        job = finished(clients["one"], send(clients["one"], table(5)))
        address = f"/api/v1/jobs/{job['id']}"
        for path in (address, f"{address}/result", f"/batch/{job['id']}"):
            for name, status in (("one", 200), ("other", 404), ("boss", 200)):
                with clients[name].get(path) as answer:
                    assert answer.status_code == status, (name, path)
        seen = {name: len(each.get("/api/v1/jobs").get_json()["jobs"]) for name, each in clients.items()}
        assert seen == {"one": 1, "other": 0, "boss": 1}
    finally:
        closed(made)


def test_the_process_of_a_job_trusts_the_same_keys(project: Project, data: Path, tmp_path: Path) -> None:
    trusting = replace(project, trusted_keys=(make_key(tmp_path / "key.pem"),))
    states = []
    for vouch in (False, True):
        if vouch:
            sign(project, "champion", tmp_path / "key.pem")
        store, id_ = job_of(project, data / "loans.parquet")
        command = [sys.executable, "-m", "rowsmith.serving.job_process"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(order_of(trusting, Settings(), id=id_))
        process.stdin.flush()
        process.wait(60)
        process.stdin.close()
        states.append(store.get(id_).status.state)
    assert states == ["failed", "done"]


# -- the store of jobs -------------------------------------------------------------------------------------


def job_of(project: Project, source: Path, **changed: Any) -> tuple[JobStore, str]:
    store = jobs_of(project)
    facts = {"name": "x", "created_by": "a test", "model": NAME, "version": 1, "keep_inputs": False, "log": True}
    with store.incoming() as place:
        return store, store.add(place, source, **{**facts, **changed}).job.id


def test_a_file_that_was_changed_meanwhile_is_not_scored(project: Project, data: Path) -> None:
    store, id_ = job_of(project, data / "loans.parquet")
    table(61).write_parquet(data / "loans.parquet")
    run_job(project, id_)
    assert "was changed" in store.get(id_).status.error


def test_a_cancelled_job_leaves_nothing_in_the_log(project: Project, data: Path) -> None:
    store, id_ = job_of(project, data / "loans.parquet")
    store.cancel(id_)
    assert store.get(id_).status.state == "cancelled"
    run_job(project, id_)
    assert store.get(id_).status.state == "cancelled"
    assert project.log.window(NAME).entries.is_empty()
    assert not (store.folder / id_ / "parts").exists()


def test_cancelling_what_has_ended_changes_nothing(project: Project, data: Path) -> None:
    store, id_ = job_of(project, data / "loans.parquet")
    run_job(project, id_)
    assert store.cancel(id_).status.state == "done"


def test_a_job_whose_process_keeps_dying_is_given_up(project: Project, data: Path) -> None:
    store, id_ = job_of(project, data / "loans.parquet")
    for attempts in (1, 2):
        store.note(id_, Status("running", attempts=attempts))
        assert not give_up(store, store.get(id_))
    store.note(id_, Status("running", attempts=3))
    assert give_up(store, store.get(id_))
    assert store.get(id_).status.state == "failed"


def test_jobs_are_forgotten_in_time(project: Project, data: Path) -> None:
    store, old = job_of(project, data / "loans.parquet")
    _, young = job_of(project, data / "loans.parquet")
    _, waiting = job_of(project, data / "loans.parquet")
    for id_, hours in ((old, 25), (young, 23)):
        moment = datetime.now(UTC) - timedelta(hours=hours)
        store.note(id_, Status("done", ended=moment.isoformat(timespec="milliseconds")))
    store.tidy(24)
    assert {known.job.id for known in store.list()} == {young, waiting}


def test_too_many_waiting_jobs_are_refused(client: FlaskClient, project: Project, data: Path) -> None:
    for _ in range(100):
        job_of(project, data / "loans.parquet")
    response = client.post("/api/v1/jobs", json={"path": "loans.parquet"})
    assert response.status_code == 429 and "Retry-After" in response.headers


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.jsonl"])
def test_rows_are_counted_for_the_progress(tmp_path: Path, name: str) -> None:
    write: dict[str, Any] = {"parquet": table(77).write_parquet, "csv": table(77).write_csv}
    write["jsonl"] = table(77).write_ndjson
    write[name.partition(".")[2]](tmp_path / name)
    assert count_rows(tmp_path / name) == 77
    assert count_rows(tmp_path / "a.xlsx") is None


# -- servers that are killed -------------------------------------------------------------------------------


def processes_below(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children(recursive=True)


def kill(server: Server) -> None:
    """The server and its workers at once. The process of the job is left, and has to end by itself."""
    below = processes_below(server)
    scoring = [process for process in below if "job_process" in " ".join(process.cmdline())]
    for process in (psutil.Process(server.process.pid), *(each for each in below if each not in scoring)):
        process.send_signal(signal.SIGKILL)
    server.process.wait()
    server.process.communicate()
    _, alive = psutil.wait_procs(scoring, timeout=10)
    assert not alive


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_job_survives_a_server_that_is_killed(project: Project, data: Path, kind: str) -> None:
    """Killed after each part it does: what comes out is what an undisturbed run gives, and no row is twice."""
    big = data / f"big.{kind}"
    frame = pl.concat([table(7000)] * (MANY // 7000)).with_columns(age=pl.int_range(pl.len()) % 60 + 18)
    frame.write_parquet(big) if kind == "parquet" else frame.write_csv(big)
    settings = {"job_folders": [str(data)], "log_predictions": True}
    seen: list[int] = []
    with httpx.Client(trust_env=False, timeout=30) as client:
        server = Server(project.root, settings=settings)
        address = client.post(f"{server.address}/api/v1/jobs", json={"path": big.name}).headers["Location"]
        for _ in range(4):
            rows = seen[-1] if seen else 0
            deadline = time.monotonic() + PATIENCE
            while True:
                job = client.get(f"{server.address}{address}").json()
                if job["rows"] > rows or job["state"] == "done":
                    break
                assert time.monotonic() < deadline, job
                time.sleep(0.02)
            seen.append(job["rows"])
            kill(server)
            server = Server(project.root, settings=settings)
        job = ended(lambda: client.get(f"{server.address}{address}").json())
        assert (job["state"], job["rows"]) == ("done", MANY)
        scores = pl.read_parquet(io.BytesIO(client.get(f"{server.address}{address}/result").content))
        server.stop()
    assert len(set(seen)) > 1 and seen[0] < MANY
    predict_source(deploy(project, project.version()), big, data / "undisturbed.parquet")
    assert scores.drop("id").equals(pl.read_parquet(data / "undisturbed.parquet"))
    assert scores["id"].n_unique() == MANY
    with project.database.reading() as connection:
        entries = connection.exec_driver_sql("SELECT id, rows FROM rowsmith_predictions").all()
    logged = [id_ for entry, rows in entries for id_ in ids_of(entry, rows)]
    assert len(logged) == MANY and set(logged) == set(scores["id"])


@pytest.mark.slow
def test_a_running_job_is_cancelled_and_answers_go_on_meanwhile(project: Project, data: Path) -> None:
    pl.concat([table(7000)] * (MANY // 7000)).write_parquet(data / "big.parquet")
    with (
        running(project.root, settings={"job_folders": [str(data)]}) as server,
        httpx.Client(base_url=server.address, trust_env=False, timeout=30) as client,
    ):
        address = client.post("/api/v1/jobs", json={"path": "big.parquet"}).headers["Location"]
        while client.get(address).json()["state"] == "waiting":
            time.sleep(0.02)
        scoring = [each for each in processes_below(server) if "job_process" in " ".join(each.cmdline())]
        assert len(scoring) == 1
        if hasattr(os, "nice"):
            assert scoring[0].nice() >= 10
        assert client.get("/health").status_code == 200
        assert client.post(f"{address}/cancel").json()["state"] == "cancelled"
        deadline = time.monotonic() + PATIENCE
        while client.get(address).json()["ended"] is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # What was scored so far goes once the end is written down.
        folder = project.store / "jobs" / address.rsplit("/", 1)[1]
        while {path.name for path in folder.iterdir()} - {"job.json", "status.json", "cancel"}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert open_project(project.root).log.window(NAME).entries.is_empty()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(project: Project, data: Path) -> None:
    """Ten times the rows take no more than a little more memory."""
    peaks = []
    for times in (1, 10):
        source = data / f"{times}.parquet"
        pl.concat([table(13_000)] * (10 * times)).write_parquet(source, row_group_size=65_536)
        peaks.append(_peak(project, job_of(project, source, log=False)[1]))
    assert peaks[1] < 1.5 * peaks[0] + 100e6, peaks


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process like this")
def test_a_file_of_huge_pages_ends_its_own_process_alone(project: Project, data: Path) -> None:
    """Some kilobytes, of which a page unpacks to 600 MB."""
    source = data / "huge.parquet"
    text = pl.Series([None, *["x" * 150_000_000] * 4], dtype=pl.String)
    table(5).with_columns(text.alias("purpose")).write_parquet(source, compression="zstd")
    assert source.stat().st_size < 1_000_000
    _, id_ = job_of(project, source)
    process = subprocess.Popen([sys.executable, "-m", "rowsmith.serving.job_process"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(order_of(project, Settings(job_memory_mb=450), id=id_))
    process.stdin.flush()
    watched, most = psutil.Process(process.pid), 0.0
    while process.poll() is None:
        with suppress(psutil.Error):
            most = max(most, float(watched.memory_info().rss))
        time.sleep(0.01)
    process.stdin.close()
    assert most < 700e6
    assert process.wait() != 0 or jobs_of(project).get(id_).status.state == "failed"


def _peak(project: Project, id_: str) -> float:
    """The most memory that the process of a job takes, in bytes."""
    process = subprocess.Popen([sys.executable, "-m", "rowsmith.serving.job_process"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(order_of(project, Settings(), id=id_))
    process.stdin.flush()
    watched, most = psutil.Process(process.pid), 0.0
    while process.poll() is None:
        try:
            most = max(most, float(watched.memory_info().rss))
        except psutil.Error:
            break
        time.sleep(0.01)
    process.stdin.close()
    assert process.wait() == 0
    assert jobs_of(project).get(id_).status.state == "done"
    return most
