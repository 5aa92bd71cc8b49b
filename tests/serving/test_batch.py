"""A file in, its scores out."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path

import polars as pl
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from rowsmith.serving.app import create_app
from rowsmith.serving.job_requests import shown_name
from rowsmith.serving.services import KEY
from rowsmith.serving.spreadsheet import write_safe_csv
from rowsmith.settings import Settings
from rowsmith.workflows.jobs import extension_of
from rowsmith.workflows.project import Project
from tests.ingestion.tables import write_xlsx
from tests.serving.models import loans


def upload(client: FlaskClient, content: bytes, name: str, **fields: str) -> TestResponse:
    return client.post(
        "/batch", data={"file": (io.BytesIO(content), name), **fields}, content_type="multipart/form-data"
    )


def finished(client: FlaskClient, response: TestResponse) -> str:
    """The address of a job, once it has ended."""
    assert response.status_code == 303, response.text
    place = response.headers["Location"]
    deadline = time.monotonic() + 60
    while "HX-Refresh" not in client.get(f"{place}/progress").headers:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return place


def table() -> pl.DataFrame:
    return loans(60, seed=5).drop("default", "rate", "amount")


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def excel(frame: pl.DataFrame) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        texts = frame.with_columns(pl.col("opened").dt.strftime("%Y-%m-%d"))
        path = write_xlsx(Path(folder) / "loans.xlsx", {"loans": [texts.columns, *texts.rows()]})
        return path.read_bytes()


def scores_of(client: FlaskClient, response: TestResponse, kind: str = "parquet") -> pl.DataFrame:
    with client.get(f"{finished(client, response)}/scores.{kind}") as download:
        assert download.status_code == 200
        assert "attachment" in download.headers["Content-Disposition"]
        data = io.BytesIO(download.data)
    return pl.read_parquet(data) if kind == "parquet" else pl.read_csv(data)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv", lambda t: t.write_csv().encode()),
        ("a.PARQUET", parquet),
        ("a.xlsx", excel),
        ("a.jsonl", lambda t: t.write_ndjson().encode()),
    ],
)
def test_scores_have_the_bits_of_the_model(client: FlaskClient, binary_project: Project, name: str, write) -> None:  # type: ignore[no-untyped-def]
    expected = binary_project.model().predict_frame(table())
    response = upload(client, write(table()), name)
    scores = scores_of(client, response)
    assert scores.columns == ["id", *expected.columns]
    assert scores.drop("id").equals(expected)
    assert binary_project.log.window("loans").entries["id"].is_in(scores["id"].to_list()).sum() == 60


def test_the_columns_of_the_file_are_kept_on_request(client: FlaskClient) -> None:
    scores = scores_of(client, upload(client, parquet(table().with_columns(extra=pl.lit("x"))), "a.parquet", keep="on"))
    assert set(table().columns) | {"extra"} <= set(scores.columns)


def test_the_result_has_a_page_with_a_preview(client: FlaskClient) -> None:
    response = upload(client, parquet(table()), "../../loans of <may>.parquet", keep="on")
    page = client.get(finished(client, response)).text
    assert "60 rows scored" in page and "probability_yes" in page
    assert "<may>" not in page and ".." not in page
    assert scores_of(client, response, "csv").height == 60


def test_departures_that_policies_let_pass_are_told(client: FlaskClient) -> None:
    odd = table().with_columns(purpose=pl.lit("boat"))
    assert "boat" in client.get(finished(client, upload(client, parquet(odd), "a.parquet"))).text


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        (b"", "a.csv", "empty"),
        (b"\x00\x01\x02", "a.parquet", "not scored"),
        (b"PAR1 cut off", "a.parquet", "not scored"),
        (b"a,b\n1,2\n", "a.csv", "age"),
    ],
)
def test_files_that_cannot_be_scored_say_why(
    client: FlaskClient, binary_project: Project, content: bytes, name: str, told: str
) -> None:
    place = finished(client, upload(client, content, name))
    page = client.get(place).text
    assert "The file was not scored" in page
    assert told in page
    assert str(binary_project.store) not in page
    assert client.get(f"{place}/scores.csv").status_code == 404
    left = {path.name for path in (binary_project.store / "jobs" / place.rsplit("/", 1)[1]).iterdir()}
    assert left == {"job.json", "status.json"}


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        (b"x", "a.exe", "This kind of file is not read"),
        (b"x", "noname", "This kind of file is not read"),
        (b"x", ".csv", "This kind of file is not read"),
        (b"", "", "Choose a file first"),
    ],
)
def test_what_is_no_file_of_ours_is_refused_at_once(
    client: FlaskClient, binary_project: Project, content: bytes, name: str, told: str
) -> None:
    before = set((binary_project.store / "jobs").glob("*"))
    response = upload(client, content, name)
    assert response.status_code == 422
    assert told in response.text
    assert set((binary_project.store / "jobs").glob("*")) == before


def test_faults_name_row_and_column(client: FlaskClient) -> None:
    broken = table().with_columns(
        age=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("old")).otherwise(pl.col("age").cast(pl.String))
    )
    page = client.get(finished(client, upload(client, parquet(broken), "a.parquet"))).text
    assert "Row 8" in page and "age" in page


def test_no_file_at_all(client: FlaskClient) -> None:
    assert client.post("/batch", data={}).status_code == 422


def test_a_file_beyond_the_limit(binary_project: Project) -> None:
    app = create_app(binary_project, Settings(max_upload_mb=1))
    response = upload(app.test_client(), b"a" * 1_200_000, "a.csv")
    assert response.status_code == 413
    # The client keeps so large a body in a file of its own.
    response.request.input_stream.close()
    app.extensions[KEY].close()


@pytest.mark.parametrize("token", ["0" * 32, "..", "x", "0" * 31 + "g"])
def test_results_that_do_not_exist(client: FlaskClient, token: str) -> None:
    assert client.get(f"/batch/{token}").status_code == 404
    assert client.get(f"/batch/{token}/scores.csv").status_code == 404


def test_results_come_in_two_kinds(client: FlaskClient) -> None:
    place = finished(client, upload(client, parquet(table()), "a.parquet"))
    assert client.get(f"{place}/scores.xlsx").status_code == 404


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.csv", ".csv"),
        ("a.CSV.gz", ".csv.gz"),
        ("a.b.parquet", ".parquet"),
        ("a.gz", ""),
        ("a", ""),
        ("a.csv.exe", ""),
    ],
)
def test_extensions(name: str, extension: str) -> None:
    assert extension_of(name) == extension


def test_text_that_a_spreadsheet_would_run_is_made_plain(tmp_path: Path) -> None:
    values = ["=1+1", "+1", "-1.5e3", "-cmd", "@x", "\tx", "plain", None, "a=b"]
    frame = pl.DataFrame({"=name": values, "number": [-1.0] * len(values)})
    frame.write_parquet(tmp_path / "in.parquet")
    write_safe_csv(tmp_path / "in.parquet", tmp_path / "out.csv")
    found = pl.read_csv(tmp_path / "out.csv", infer_schema=False)
    assert found.columns == ["'=name", "number"]
    assert found["'=name"].to_list() == ["'=1+1", "+1", "-1.5e3", "'-cmd", "'@x", "'\tx", "plain", None, "a=b"]
    assert found["number"][0] == "-1.0"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/loans.csv", "loans.csv"),
        ("C:\\data\\loans.csv", "loans.csv"),
        ("a\r\nX: y\x00.csv", "aX: y.csv"),
        ("日本 é.csv", "日本 é.csv"),
        ("a" * 500 + ".csv", "a" * 116 + ".csv"),
    ],
)
def test_the_name_of_a_file_is_shown_without_folders_and_controls(sent: str, shown: str) -> None:
    assert shown_name(sent) == shown
