"""Shadows, canaries and splits in a server: who answers, what the log says of it, and what a caller never notices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from rowsmith.access.keys import KeyRole, KeyStore
from rowsmith.monitoring.experiment import State
from rowsmith.registry.traffic import Rule
from rowsmith.serving.app import create_app
from rowsmith.serving.champion import Route
from rowsmith.serving.metrics import Meter
from rowsmith.serving.predictor import answer_rows
from rowsmith.serving.services import KEY, Services
from rowsmith.serving.shadows import Shadowed, Shadows
from rowsmith.settings import Settings
from rowsmith.storage import audit
from rowsmith.types import JsonObject
from rowsmith.workflows import traffic
from rowsmith.workflows.project import Project
from tests.serving.conftest import closed
from tests.serving.models import NAME, a_row, json_rows, loans, make_project, register, train

PATIENCE = 20.0


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Version 1 is champion, version 2 is another model of the same."""
    made = make_project(tmp_path, "default")
    register(made, train("default", seed=7), champion=False)
    return made


@pytest.fixture
def app(project: Project) -> Iterator[Flask]:
    made = create_app(project, Settings())
    yield made
    closed(made)


@pytest.fixture
def site(app: Flask) -> Services:
    services: Services = app.extensions[KEY]
    return services


def eventually(true: Callable[[], Any]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


def begin(project: Project, site: Services, kind: Any, **options: Any) -> Rule:
    values: dict[str, Any] = {"share": 0.5, "reason": "a test", **options}
    event = traffic.begin(project, kind, 2, **values)
    site.champion.refresh()
    assert event.rule is not None
    return event.rule


def ask(app: Flask, row: JsonObject, key: str | None = None) -> JsonObject:
    headers = {"Rowsmith-Key": key} if key is not None else {}
    response = app.test_client().post("/api/v1/predict", json={"row": row}, headers=headers)
    assert response.status_code == 200, response.text
    answer: JsonObject = response.get_json()
    return answer


def versions(app: Flask, keys: list[str]) -> list[int]:
    return [ask(app, a_row(), key)["model"]["version"] for key in keys]


def test_a_split_is_by_the_callers_key_and_stable(app: Flask, project: Project, site: Services) -> None:
    begin(project, site, "split")
    keys = [f"customer {number}" for number in range(40)]
    first = versions(app, keys)
    assert set(first) == {1, 2}
    assert versions(app, keys) == first
    entries = project.log.window(NAME).entries
    assert set(zip(entries["version"], entries["role"], strict=True)) == {(1, "champion"), (2, "challenger")}


def test_without_a_key_the_column_that_the_rule_names_or_the_row_decides(
    app: Flask, project: Project, site: Services
) -> None:
    begin(project, site, "split", key="city")
    by_city = {
        city: {ask(app, a_row(city=city, age=age))["model"]["version"] for age in (20, 30, 40)}
        for city in [f"city {number:02d}" for number in range(12)]
    }
    assert all(len(seen) == 1 for seen in by_city.values())
    assert set.union(*by_city.values()) == {1, 2}
    traffic.stop(project)
    begin(project, site, "split", key="")
    rows = json_rows(loans(20))
    answered = [ask(app, row)["model"]["version"] for row in rows]
    assert set(answered) == {1, 2}
    assert [ask(app, row)["model"]["version"] for row in rows] == answered


@pytest.mark.parametrize("odd", [10**40, "\ud800", float("nan"), {"a": [1]}, None, b"bytes"])
def test_any_value_can_be_split_by(site: Services, project: Project, odd: Any) -> None:
    begin(project, site, "split", key="city")
    for row in ({"city": odd}, {"other": odd}):
        first = site.models.route([row]).unit
        assert first is not None
        assert site.models.route([dict(row)]).unit == first
    assert site.models.route([{"other": odd}], key="").unit == first  # no key is given by an empty header


def test_every_answer_is_that_of_the_version_it_names(app: Flask, project: Project, site: Services) -> None:
    begin(project, site, "canary", share=0.3)
    models = {number: project.model(number) for number in (1, 2)}
    for number, row in enumerate(json_rows(loans(30, seed=9))):
        answer = ask(app, row, f"{number}")
        expected = models[answer["model"]["version"]].predict_row(row).to_dict()
        assert {**answer["predictions"][0], "id": None} == {**expected, "id": None}


def test_stopping_and_promoting_end_it(app: Flask, project: Project, site: Services) -> None:
    begin(project, site, "split")
    keys = [f"{number}" for number in range(20)]
    traffic.stop(project)
    site.champion.refresh()
    assert set(versions(app, keys)) == {1}
    begin(project, site, "split")
    project.registry.promote(NAME, 2, reason="better", actor="a test")
    site.champion.refresh()
    assert set(versions(app, keys)) == {2}
    assert project.traffic.rule(NAME) is None


def test_a_shadow_answers_for_the_log_alone(app: Flask, project: Project, site: Services) -> None:
    begin(project, site, "shadow", share=1.0)
    rows = json_rows(loans(12, seed=3))
    given = [ask(app, row) for row in rows]
    assert {answer["model"]["version"] for answer in given} == {1}
    assert eventually(lambda: project.log.summary(NAME, role="shadow").predictions == 12)
    shadows = project.log.window(NAME, role="shadow")
    expected = [project.model(2).predict_row(row).probabilities for row in rows]
    found = shadows.answers.sort("probability_no")
    assert found["probability_no"].to_list() == sorted(item["no"] for item in expected if item)
    assert set(shadows.entries["version"]) == {2}
    # A true outcome reported for the answer that was given is the shadow's too.
    project.log.label({given[0]["predictions"][0]["id"]: "yes"})
    assert project.log.window(NAME, role="shadow").entries["label"].drop_nulls().to_list() == ["yes"]
    assert 'rowsmith_shadow_rows_total{model="loans",version="2",result="answered"} 12' in (
        app.test_client().get("/metrics").text
    )


def test_a_shadow_that_fails_or_has_no_room_costs_the_caller_nothing(
    app: Flask, project: Project, site: Services
) -> None:
    """A challenger of another schema: it asks for a column that no row has."""
    meter = Meter()
    served = site.models.named(None, 2)
    champion = site.champion.current()
    rule = begin(project, site, "shadow", share=1.0)
    route = Route(champion, "champion", rule.position, rule.unit("x"), shadow=served)
    shadows = Shadows(meter, max_rows=3)
    answers, pending = answer_rows(replace(site, shadows=shadows), route, [a_row()], began=time.perf_counter())
    pending.settle()
    broken = Shadowed(route, served, [{"age": "not a number"}], ["broken"], project.now(), project.log)
    shadows.offer(broken)
    shadows.offer(Shadowed(route, served, [a_row()] * 9, ["many"] * 9, project.now(), project.log))
    shadows.close()
    totals = {key[-1]: value for key, value in meter.totals().items()}
    assert totals == {"answered": 1, "failed": 1, "dropped": 9}
    assert answers.served is champion
    assert project.log.summary(NAME, role="shadow").errors == 1


def test_where_a_challenger_cannot_answer_the_champion_does(app: Flask, project: Project, site: Services) -> None:
    rule = begin(project, site, "canary", share=0.5)
    key = next(f"{n}" for n in range(100) if rule.is_challengers(rule.unit(f"{n}")))
    assert ask(app, a_row(), key)["model"]["version"] == 2
    challenger = site.models.route([a_row()], key=key).served
    object.__setattr__(challenger.deployed.model, "encoder", None)  # a model that cannot answer
    answer = ask(app, a_row(), key)
    assert answer["model"]["version"] == 1
    (failed,) = [row for row in _rows(project) if row["status"] == "error"]
    assert (failed["role"], failed["version"], failed["code"]) == ("canary", 2, "internal")


def _rows(project: Project) -> list[JsonObject]:
    from sqlalchemy import select

    from rowsmith.storage.tables import predictions

    project.log.settle()
    with project.database.reading() as connection:
        return [dict(row._mapping) for row in connection.execute(select(predictions))]


def test_a_bad_row_is_refused_by_a_canary_as_by_the_champion(app: Flask, project: Project, site: Services) -> None:
    rule = begin(project, site, "canary")
    key = next(f"{n}" for n in range(100) if rule.is_challengers(rule.unit(f"{n}")))
    response = app.test_client().post("/api/v1/predict", json={"row": a_row(age="old")}, headers={"Rowsmith-Key": key})
    assert response.status_code == 422
    roles = [(row["role"], row["experiment"]) for row in _rows(project)]
    assert roles == [("canary", rule.position), ("champion", None)]


def test_a_challenger_that_cannot_be_loaded_leaves_all_traffic_to_the_champion(
    app: Flask, project: Project, site: Services
) -> None:
    folder = project.registry.folder(project.version(2))
    site.champion.current()
    begin(project, site, "canary")
    traffic.stop(project)
    site.champion.refresh()
    state = folder / "model" / "state.json"
    kept = state.read_text()
    state.write_text(kept.replace("a", "b", 1))
    begin(project, site, "split")
    assert set(versions(app, [f"{n}" for n in range(20)])) == {1}
    assert "challenger cannot be loaded" in app.test_client().get("/health").get_json()["fault"]


def test_a_canary_that_scores_worse_is_taken_back_with_its_evidence(
    app: Flask, project: Project, site: Services
) -> None:
    """A challenger of another question altogether, and outcomes that come in as they do."""
    register(project, _useless(), champion=False)
    event = traffic.begin(project, "canary", 3, share=0.5, reason="a test")
    site.champion.refresh()
    assert event.rule is not None
    table = loans(500, seed=11)
    outcomes: dict[str, str] = {}
    for number, (row, outcome) in enumerate(zip(json_rows(table), table["default"], strict=True)):
        outcomes[ask(app, row, f"{number}")["predictions"][0]["id"]] = outcome
    assert traffic.show(project).evidence.state is State.UNDECIDED  # type: ignore[union-attr]
    project.log.label(outcomes)
    assert eventually(lambda: project.traffic.rule(NAME) is None)
    last = project.traffic.events(NAME)[-1]
    assert (last.kind, last.challenger, last.actor) == ("roll back", 3, "rowsmith serve")
    assert "Brier score" in last.reason
    assert last.evidence["contrast"]["better"] is False
    assert last.evidence["challenger"]["role"] == "canary"
    site.champion.refresh()
    assert set(versions(app, [f"{n}" for n in range(20)])) == {1}


def _useless() -> Any:
    """It has learned labels that were dealt at random, and is sure of itself."""
    from dataclasses import replace

    model = train("default", seed=5)
    labels = (model.labels[1], model.labels[0])
    return replace(model, schema=replace(model.schema, labels=labels))


def test_a_report_of_a_shadow_compares_the_same_rows(app: Flask, project: Project, site: Services) -> None:
    begin(project, site, "shadow", share=1.0)
    table = loans(150, seed=12)
    outcomes: dict[str, str] = {}
    for row, outcome in zip(json_rows(table), table["default"], strict=True):
        outcomes[ask(app, row)["predictions"][0]["id"]] = outcome
    assert eventually(lambda: project.log.summary(NAME, role="shadow").predictions == 150)
    project.log.label(outcomes)
    report = traffic.show(project)
    evidence = report.evidence
    assert evidence is not None and evidence.agreement is not None and evidence.contrast is not None
    assert evidence.agreement.rows == 150
    assert evidence.agreement.same is not None and 0.5 < evidence.agreement.same <= 1
    assert evidence.contrast.units == 150
    assert evidence.contrast.path
    assert evidence.champion.counts.units == evidence.challenger.counts.units == 150


# -- page and API --------------------------------------------------------------------------------------------


def test_the_page_and_the_api_show_the_rule_and_its_evidence(app: Flask, project: Project, site: Services) -> None:
    client = app.test_client()
    assert "answers every request" in client.get("/traffic").text
    begin(project, site, "split", key="city")
    table = loans(260, seed=14)
    outcomes: dict[str, str] = {}
    for row, outcome in zip(json_rows(table), table["default"], strict=True):
        outcomes[ask(app, row, f"{len(outcomes)}")["predictions"][0]["id"]] = outcome
    project.log.label(outcomes)
    page = client.get("/traffic").text
    assert "by <code>city</code>" in page and "data-chart" in page and "rowsmith traffic stop" in page
    document = client.get("/api/v1/traffic").get_json()
    assert document["rule"]["kind"] == "split"
    assert document["evidence"]["contrast"]["units"] == 260
    assert "salt" not in client.get("/api/v1/traffic").text


def test_a_rule_is_put_in_force_and_ended_over_http(app: Flask, project: Project, site: Services) -> None:
    client = app.test_client()
    rule = {"kind": "canary", "version": 2, "share": 0.25, "key": "city", "slow_ms": 80, "reason": "why not"}
    begun = client.put("/api/v1/traffic", json=rule)
    assert begun.status_code == 200, begun.text
    event = begun.get_json()
    assert (event["kind"], event["challenger"], event["reason"]) == ("canary", 2, "why not")
    assert event["rule"] | {"share": 0.25, "key": "city", "slow_ms": 80} == event["rule"] and "salt" not in begun.text
    assert event["actor"] == "anyone on this machine (API)"
    assert client.get("/api/v1/traffic").get_json()["rule"]["position"] == event["position"]
    assert client.put("/api/v1/traffic", json={"kind": "shadow", "version": 2}).get_json()["rule"]["share"] == 1.0
    ended = client.post("/api/v1/traffic/stop", json={"reason": "enough"})
    assert ended.status_code == 200 and ended.get_json()["kind"] == "stop"
    assert client.post("/api/v1/traffic/stop", json={}).status_code == 404
    assert project.traffic.rule(NAME) is None
    actions = [line.action for line in audit.lines(project.database)]
    assert actions[-3:] == ["traffic.canary", "traffic.shadow", "traffic.stop"]


NONSENSE: list[tuple[JsonObject, int, str]] = [
    ({}, 422, "/kind"),
    ({"kind": "canary"}, 422, "/version"),
    ({"kind": "coup", "version": 2}, 422, "/kind"),
    ({"kind": "canary", "version": True}, 422, "/version"),
    ({"kind": "canary", "version": "2"}, 422, "/version"),
    ({"kind": "canary", "version": 2, "share": -1}, 422, "/share"),
    ({"kind": "canary", "version": 2, "reason": 7}, 422, "/reason"),
    ({"kind": "canary", "version": 2, "sahre": 0.5}, 422, "/sahre"),
    ({"kind": "canary", "version": 2, "share": 1}, 422, "below 100"),
    ({"kind": "canary", "version": 2, "alpha": 0.7}, 422, "below 0.5"),
    ({"kind": "canary", "version": 1}, 422, "champion itself"),
    ({"kind": "canary", "version": 99}, 404, "version"),
]


def test_a_rule_that_makes_no_sense(app: Flask, project: Project) -> None:
    client = app.test_client()
    for body, status, place in NONSENSE:
        answer = client.put("/api/v1/traffic", json=body)
        assert (answer.status_code, place in answer.text) == (status, True), (body, answer.text)
    assert project.traffic.events(NAME) == ()


def test_a_key_for_predictions_steers_nothing(project: Project) -> None:
    secrets = {
        role: KeyStore(project.database).create(role.label, role, actor="a test")[1]
        for role in (KeyRole.PREDICT, KeyRole.OPERATE)
    }
    made = create_app(project, Settings(require_keys=True))
    try:
        for role, status in ((KeyRole.PREDICT, 403), (KeyRole.OPERATE, 200)):
            headers = {"Authorization": f"Bearer {secrets[role]}"}
            rule = {"kind": "shadow", "version": 2}
            assert made.test_client().put("/api/v1/traffic", json=rule, headers=headers).status_code == status
        assert project.traffic.events(NAME)[-1].actor == "key operate (API)"
    finally:
        closed(made)


def test_without_a_model_there_is_nothing_to_see(empty_client: Any) -> None:
    assert empty_client.get("/traffic").status_code == 200
    assert empty_client.get("/api/v1/traffic").status_code == 404
    assert empty_client.put("/api/v1/traffic", json={"kind": "shadow", "version": 2}).status_code == 404
    assert empty_client.post("/api/v1/traffic/stop", json={}).status_code == 404
