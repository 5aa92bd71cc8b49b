"""Headers, foreign requests, and addresses."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from rowsmith.serving.addresses import is_loopback
from rowsmith.serving.app import create_app
from rowsmith.serving.services import KEY
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.models import a_row


@pytest.mark.parametrize("path", ["/", "/predict", "/health", "/nothing", "/static/rowsmith.css", "/api/v1/predict"])
def test_every_answer_has_the_headers(client: FlaskClient, path: str) -> None:
    with client.get(path) as response:
        headers = response.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_pages_have_nothing_inline(client: FlaskClient) -> None:
    for path in (
        "/",
        "/predict",
        "/batch",
        "/monitoring",
        "/api",
        "/models/loans/1",
        "/models/loans/1/report",
        "/nothing",
    ):
        text = client.get(path).text
        assert "style=" not in text and "<style" not in text and "onclick" not in text, path
        assert text.count("<script") == text.count("<script src="), path


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_not_make_a_browser_ask(client: FlaskClient, site: str) -> None:
    headers = {"Sec-Fetch-Site": site}
    assert client.post("/predict", data={}, headers=headers).status_code == 403
    response = client.post("/api/v1/predict", json={"row": a_row()}, headers=headers)
    assert (response.status_code, response.get_json()["type"]) == (403, "/problems/foreign-request")
    assert (
        client.post("/api/v1/predict", json={"row": a_row()}, headers={"Sec-Fetch-Site": "same-origin"}).status_code
        == 200
    )
    assert client.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::2]"])
def test_a_server_on_loopback_answers_to_its_own_names_only(client: FlaskClient, host: str) -> None:
    assert client.get("/health", headers={"Host": host}).status_code in {400, 403}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "localhost:80"])
def test_loopback_has_several_names(client: FlaskClient, host: str) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == 200


def test_a_server_on_the_network_answers_to_any_name(binary_project: Project) -> None:
    app = create_app(binary_project, Settings(host="0.0.0.0"))
    assert app.test_client().get("/health", headers={"Host": "models.example"}).status_code == 200
    app.extensions[KEY].close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_addresses_of_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.0.7", "example.org", "", "localhost.evil", "127.0.0.1.evil"]
)
def test_addresses_that_others_reach(host: str) -> None:
    assert not is_loopback(host)


def test_the_report_runs_in_a_sandbox(client: FlaskClient) -> None:
    response = client.get("/models/loans/1/report.html")
    policy = response.headers["Content-Security-Policy"]
    # The origin is kept so that the page can measure it: for that it must run nothing.
    assert policy.startswith("sandbox allow-same-origin;") and "default-src 'none'" in policy and "script" not in policy
    page = client.get("/models/loans/1/report").text
    assert 'sandbox="allow-same-origin"' in page


@pytest.mark.parametrize("path", ["/api/v1/models/%00/versions", "/models/a%00b/1", "/%00"])
def test_an_address_with_nul_names_nothing(client: FlaskClient, path: str) -> None:
    response = client.get(path, headers={"Accept": "application/json"})
    assert (response.status_code, response.get_json()["detail"]) == (404, "no address has a NUL character")
