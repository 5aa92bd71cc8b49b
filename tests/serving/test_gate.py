"""Who gets in: keys, roles, sessions, limits."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from rowsmith.access.keys import KeyRole, KeyStore
from rowsmith.serving.app import create_app
from rowsmith.serving.permissions import BLUEPRINTS, ENDPOINTS, role_for
from rowsmith.serving.rate_limits import RateLimiter
from rowsmith.serving.services import KEY
from rowsmith.serving.sessions import COOKIE, SESSION_SECONDS, Sessions
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.conftest import closed
from tests.serving.models import a_row, make_project

SECONDS_TO_REVOKE = 1.0


@dataclass
class Guarded:
    app: Flask
    client: FlaskClient
    project: Project
    keys: dict[str, str]

    def get(self, path: str, key: str = "", **headers: str) -> int:
        sent = {"Accept": "application/json", **headers}
        if key:
            sent["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        with self.client.get(path, headers=sent) as response:
            return response.status_code


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    project = make_project(tmp_path_factory.mktemp("guarded"), "default")
    store = KeyStore(project.database)
    keys = {role.label: store.create(role.label, role, actor="a test")[1] for role in KeyRole}
    keys["slow"] = store.create("slow", KeyRole.PREDICT, actor="a test", rate=3)[1]
    app = create_app(project, Settings(host="0.0.0.0"))
    yield Guarded(app, app.test_client(), project, keys)
    closed(app)


def test_without_a_key_only_health_and_the_way_in_are_open(guarded: Guarded) -> None:
    assert guarded.get("/health") == 200
    assert guarded.get("/static/rowsmith.css") == 200
    assert guarded.get("/sign-in") == 200
    for rule in guarded.app.url_map.iter_rules():
        if role_for(rule.endpoint) is None:
            continue
        path = re.sub(r"<[^>]+>", "1", rule.rule)
        for method in (rule.methods or set()) - {"OPTIONS"}:
            response = guarded.client.open(path, method=method, headers={"Accept": "application/json"})
            assert response.status_code == 401, (method, path)
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            assert "loans" not in response.text
    assert guarded.get("/nowhere") == 401, "strangers are not told what exists"


def test_every_blueprint_says_what_it_needs(guarded: Guarded) -> None:
    assert set(guarded.app.blueprints) == set(BLUEPRINTS), "list a new blueprint in serving/permissions.py"
    endpoints = {rule.endpoint for rule in guarded.app.url_map.iter_rules()}
    assert set(ENDPOINTS) <= endpoints
    assert role_for("not_listed.view") is KeyRole.ADMIN


@pytest.mark.parametrize("key", ["", "rowsmith_", "x" * 10_000, "é", "rowsmith_" + "A" * 43])
def test_a_wrong_key_is_no_key(guarded: Guarded, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}".encode().decode("latin-1"), "Accept": "application/json"}
    assert guarded.client.get("/openapi.json", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("path", "least"),
    [
        ("/openapi.json", "predict"),
        ("/api/v1/models", "predict"),
        ("/metrics", "operate"),
        ("/monitoring", "operate"),
        ("/api/v1/audit", "admin"),
    ],
)
def test_roles(guarded: Guarded, path: str, least: str) -> None:
    for role in KeyRole:
        expected = 200 if role >= KeyRole.of(least) else 403
        assert guarded.get(path, role.label) == expected, role


def test_the_scheme_is_written_in_any_case(guarded: Guarded) -> None:
    for scheme in ("bearer", "BEARER"):
        header = {"Authorization": f"{scheme}  {guarded.keys['predict']} "}
        assert guarded.client.get("/openapi.json", headers=header).status_code == 200
    assert guarded.client.get("/openapi.json", headers={"Authorization": guarded.keys["predict"]}).status_code != 200


def test_a_prediction_with_a_key(guarded: Guarded) -> None:
    headers = {"Authorization": f"Bearer {guarded.keys['predict']}"}
    response = guarded.client.post("/api/v1/predict", json={"row": a_row()}, headers=headers)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"


def test_a_revoked_key_is_refused_within_a_second(guarded: Guarded) -> None:
    store = KeyStore(guarded.project.database)
    secret = store.create("short", KeyRole.PREDICT, actor="a test")[1]
    deadline = time.monotonic() + SECONDS_TO_REVOKE
    while guarded.get("/openapi.json", secret) != 200:
        assert time.monotonic() < deadline, "a new key is known within a second"
        time.sleep(0.02)
    store.revoke("short", actor="a test")
    deadline = time.monotonic() + SECONDS_TO_REVOKE
    while guarded.get("/openapi.json", secret) != 401:
        assert time.monotonic() < deadline, "a revoked key is refused within a second"
        time.sleep(0.02)


def test_a_limit_is_told_and_kept(guarded: Guarded) -> None:
    header = {"Authorization": f"Bearer {guarded.keys['slow']}"}
    answers = [guarded.client.get("/openapi.json", headers=header) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"key";q=3;w=60'
    assert [answer.headers["RateLimit"].split(";")[1] for answer in answers[:4]] == ["r=2", "r=1", "r=0", "r=0"]
    assert answers[3].get_json()["type"] == "/problems/too-many-requests"
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 20


def test_a_bucket_fills_again() -> None:
    limiter = RateLimiter()
    assert [limiter.take(1, 2, now=0.0).allowed for _ in range(3)] == [True, True, False]
    assert limiter.take(2, 2, now=0.0).allowed, "another key has a bucket of its own"
    assert not limiter.take(1, 2, now=29.0).allowed
    assert limiter.take(1, 2, now=30.0).allowed
    assert not limiter.take(1, 2, now=30.0).allowed
    assert [limiter.take(1, 2, now=1000.0).allowed for _ in range(3)] == [True, True, False]
    limiter.close()


def test_processes_share_a_bucket(tmp_path: Path) -> None:
    one, two = RateLimiter(tmp_path), RateLimiter(tmp_path)
    assert [limiter.take(7, 3, now=5.0).allowed for limiter in (one, two, one, two)] == [True, True, True, False]
    one.close()
    two.close()


def sign_in(guarded: Guarded, key: str, goal: str = "/monitoring") -> FlaskClient:
    browser = guarded.app.test_client()
    response = browser.post("/sign-in", data={"key": guarded.keys[key], "next": goal})
    assert (response.status_code, response.headers["Location"]) == (303, goal)
    return browser


def test_people_are_sent_to_sign_in_and_back(guarded: Guarded) -> None:
    response = guarded.client.get("/monitoring?x=1", headers={"Accept": "text/html"})
    assert (response.status_code, response.headers["Location"]) == (303, "/sign-in?next=/monitoring%3Fx%3D1")
    browser = sign_in(guarded, "operate")
    page = browser.get("/monitoring")
    assert page.status_code == 200 and "Sign out" in page.text
    browser.post("/sign-out", headers={"Sec-Fetch-Site": "same-origin"})
    assert browser.get("/monitoring", headers={"Accept": "text/html"}).status_code == 303


def test_the_cookie_holds_no_key_and_scripts_cannot_read_it(guarded: Guarded) -> None:
    browser = guarded.app.test_client()
    response = browser.post("/sign-in", data={"key": guarded.keys["admin"]})
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    assert guarded.keys["admin"] not in cookie
    response = browser.post("/sign-in", data={"key": guarded.keys["admin"]}, headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in response.headers["Set-Cookie"]


def test_a_page_shows_what_its_reader_may_open(guarded: Guarded) -> None:
    assert "Monitoring" in sign_in(guarded, "operate").get("/").text
    assert "Monitoring" not in sign_in(guarded, "predict").get("/").text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_cookie_alone_changes_nothing(guarded: Guarded, headers: dict[str, str], status: int) -> None:
    browser = sign_in(guarded, "predict")
    assert browser.post("/api/v1/predict", json={"row": a_row()}, headers=headers).status_code == status


def test_a_session_ends_with_its_key(guarded: Guarded) -> None:
    store = KeyStore(guarded.project.database)
    guarded.keys["guest"] = store.create("guest", KeyRole.PREDICT, actor="a test")[1]
    guarded.app.extensions[KEY].gate.keyring.refresh()
    browser = sign_in(guarded, "guest", "/predict")
    assert browser.get("/predict").status_code == 200
    store.revoke("guest", actor="a test")
    guarded.app.extensions[KEY].gate.keyring.refresh()
    assert browser.get("/predict").status_code == 303


def test_a_forged_or_old_session_is_none() -> None:
    sessions = Sessions(lambda: b"s" * 32)
    cookie = sessions.begin(4, now=0.0)
    assert sessions.key_number(cookie, now=SESSION_SECONDS - 1.0) == 4
    assert sessions.key_number(cookie, now=SESSION_SECONDS + 1.0) is None
    number, ends, signature = cookie.split(".")
    for forged in (f"5.{ends}.{signature}", f"{number}.9{ends}.{signature}", f"{number}.{ends}.", "", "..", "é.ü.ö"):
        assert sessions.key_number(forged, now=0.0) is None
    assert Sessions(lambda: b"t" * 32).key_number(cookie, now=0.0) is None


@pytest.mark.parametrize("goal", ["//evil.example", "https://evil.example", "/\\evil.example", "x", "", "/a\nb"])
def test_signing_in_leads_nowhere_else(guarded: Guarded, goal: str) -> None:
    browser = guarded.app.test_client()
    response = browser.post("/sign-in", data={"key": guarded.keys["admin"], "next": goal})
    assert response.headers["Location"] == "/"


def test_a_wrong_key_is_said_to_be_wrong(guarded: Guarded) -> None:
    response = guarded.client.post("/sign-in", data={"key": "rowsmith_nothing"})
    assert response.status_code == 401 and "revoked" in response.text and COOKIE not in str(response.headers)
    assert "begins with" in guarded.client.post("/sign-in", data={"key": "hello"}).text


def test_a_server_on_loopback_asks_nobody(client: FlaskClient) -> None:
    assert client.get("/monitoring").status_code == 200
    assert client.get("/sign-in").headers["Location"] == "/"
    assert client.get("/api/v1/audit").get_json()["lines"][-1]["action"] == "promote"
    assert client.get("/api/v1/audit?limit=x").status_code == 422
