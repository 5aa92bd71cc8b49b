"""The pages, as the server renders them."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from flask.testing import FlaskClient

from rowsmith.serving.app import create_app
from rowsmith.serving.errors import KINDS
from rowsmith.serving.pages.forms import control_name, row_of, typical_values
from rowsmith.serving.pages.layout import DASH, NAVIGATION, figure, percent, plural, when
from rowsmith.serving.services import KEY
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.conftest import closed
from tests.serving.models import a_row, make_project, register, train


def form_of(**values: object) -> dict[str, str]:
    return {control_name(name): "" if value is None else str(value) for name, value in a_row(**values).items()}


def test_home_shows_champion_versions_and_ledger(tmp_path: Path) -> None:
    project = make_project(tmp_path, "default")
    register(project, train("default", seed=7), champion=False)
    app = create_app(project, Settings())
    text = app.test_client().get("/").text
    assert "version 1 is champion" in text
    assert "Version 2" in text and "was the first champion" in text and "better than nothing" in text
    assert "ROC AUC" in text
    assert "curl http://localhost/api/v1/predict" in text
    closed(app)


def test_empty_states_say_what_to_run(empty_client: FlaskClient) -> None:
    for path in ("/", "/predict", "/batch", "/report", "/monitoring", "/data", "/api"):
        response = empty_client.get(path)
        assert response.status_code == 200, path
        assert "rowsmith run DATA.csv --target COLUMN" in response.text


def test_the_data_page_lists_snapshots_and_shows_one(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    frame = pl.DataFrame({"age": [41, None, 7], "note": ["<b>", "x", "x"]})
    first = project.snapshots.add([frame], source="people.csv", facts={"format": "csv"})
    second = project.snapshots.add([frame[:1]], source="more.csv", append_to=first.id)
    app = create_app(project, Settings())
    client = app.test_client()
    text = client.get("/data").text
    assert first.id[:12] in text and "more.csv" in text
    text = client.get(f"/data/{second.id[:8]}").text
    assert "25.0%" in text and "&lt;b&gt; (2)" in text and first.id[:12] in text
    assert client.get("/data/0000").status_code == 404
    closed(app)


def test_versions_without_a_champion(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    register(project, train(), champion=False)
    app = create_app(project, Settings())
    text = app.test_client().get("/").text
    assert "rowsmith promote 1" in text and "no champion" in text
    closed(app)


@pytest.mark.parametrize("target", ["default", "rate", "amount"])
def test_the_form_answers_with_the_bits_of_the_api_and_is_kept(project_of: dict[str, Project], target: str) -> None:
    project = project_of[target]
    app = create_app(project, Settings())
    client = app.test_client()
    response = client.post("/predict", data=form_of(age=37))
    assert response.status_code == 200
    (id_,) = re.findall(r"[0-9a-f]{32}", response.text)
    window = project.log.window("loans")
    place = window.entries["id"].to_list().index(id_)
    assert window.entries["source"][place] == "page"
    (item,) = client.post("/api/v1/predict", json={"row": a_row(age=37)}).get_json()["predictions"]
    if target == "amount":
        assert window.answers["prediction"][place] == item["prediction"]
        assert "are expected between" in response.text and "range of training" in response.text
    else:
        assert window.answers[f"probability_{item['prediction']}"][place] == item["probabilities"][item["prediction"]]
        assert "Probabilities" in response.text
    assert "What drove it" in response.text
    app.extensions[KEY].close()


def test_the_form_keeps_what_was_typed_and_says_what_is_wrong(client: FlaskClient) -> None:
    response = client.post("/predict", data=form_of(age="old", city="<script>alert(1)</script>"))
    assert response.status_code == 422
    assert 'value="old"' in response.text and 'aria-invalid="true"' in response.text
    assert "cannot be read as a number" in response.text
    assert "<script>alert" not in response.text


def test_what_if_answers_alone_compares_and_is_not_kept(client: FlaskClient, binary_project: Project) -> None:
    before = binary_project.log.summary("loans").predictions
    response = client.post("/predict/what-if", data=form_of() | {"asked": "0.25"})
    assert response.status_code == 200
    assert "<html" not in response.text and "points" in response.text and "With these values" in response.text
    assert binary_project.log.summary("loans").predictions == before
    response = client.post("/predict/what-if", data=form_of(age="old"))
    assert response.status_code == 422
    assert "cannot be read" in response.text


def test_what_if_gives_the_answer_of_the_api(client: FlaskClient, binary_project: Project) -> None:
    shares = binary_project.model().predict_row(a_row(age=61)).probabilities
    assert shares is not None
    text = client.post("/predict/what-if", data=form_of(age=61)).text
    assert percent(shares["yes"]) in text and percent(shares["no"]) in text


def test_the_untouched_form_can_be_sent(client: FlaskClient, binary_project: Project) -> None:
    schema = binary_project.model().schema
    assert client.post("/predict", data=typical_values(schema)).status_code == 200
    assert row_of(schema, typical_values(schema))["purpose"] == "car"


def test_a_version_and_its_report(client: FlaskClient) -> None:
    text = client.get("/models/loans/1").text
    assert "gates passed" in text and "It is better." in text and "What it relies on" in text and "# loans" in text
    assert client.get("/report", follow_redirects=True).status_code == 200
    assert "drawn" in client.get("/models/loans/1/report.html").text


@pytest.mark.parametrize(
    "path", ["/models/loans/9", "/models/nobody/1", "/models/loans/9/report", "/models/loans/x", "/problems/x"]
)
def test_what_is_not_there_is_a_page_for_people(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.content_type.startswith("text/html")
    assert "To the overview" in response.text


def test_machines_get_documents_where_people_get_pages(client: FlaskClient) -> None:
    response = client.get("/models/loans/9", headers={"Accept": "application/json"})
    assert response.content_type == "application/problem+json"


def test_every_kind_of_problem_has_its_page(client: FlaskClient) -> None:
    for kind in KINDS:
        assert kind.title in client.get(kind.type).text


def test_files_that_are_gone_leave_the_overview_standing(tmp_path: Path) -> None:
    project = make_project(tmp_path, "default", "default")
    (project.registry.folder(project.registry.get("loans", 1)) / "model" / "manifest.json").unlink()
    app = create_app(project, Settings())
    client = app.test_client()
    assert client.get("/").status_code == 200
    assert client.get("/models/loans/1").status_code == 503
    closed(app)


def test_the_api_page_has_commands_that_work(client: FlaskClient) -> None:
    text = client.get("/api").text
    assert "/api/v1/labels" in text and "openapi.json" in text and "18 to 79 in training" in text


def test_navigation_marks_where_one_is(client: FlaskClient) -> None:
    for path, name in (("/", "Overview"), ("/predict", "Predict"), ("/batch", "Batch"), ("/api", "API")):
        assert re.search(rf'aria-current="page">{name}<', client.get(path).text), path
    assert len({name for _, name in NAVIGATION}) == len(NAVIGATION)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.92741, "0.9274"),
        (12345.6, "12,346"),
        (1234.5, "1,234.5"),
        (7.0, "7"),
        (1.23e-7, "1.2e-07"),
        (None, DASH),
        (float("nan"), DASH),
        (-0.5, "-0.5"),
        (0.0, "0"),
        (99.987654, "99.99"),
        (5000.04, "5,000"),
    ],
)
def test_figures(value: float | None, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.5, "50.0%"),
        (1.0, "100.0%"),
        (0.0, "0.0%"),
        (0.99999, ">99.9%"),
        (0.00001, "<0.1%"),
        (0.9949, "99.5%"),
        (None, DASH),
    ],
)
def test_percents_say_certain_only_where_it_is(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_dates_and_counts() -> None:
    assert when("2026-11-23T18:09:00+01:00") == "23 Nov 2026, 17:09 UTC"
    assert when(0.0) == "1 Jan 1970, 00:00 UTC"
    assert (plural(1, "row"), plural(2000, "row")) == ("1 row", "2,000 rows")
