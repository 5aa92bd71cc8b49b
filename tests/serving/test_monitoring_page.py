"""The monitoring page over a log that really filled."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import polars as pl
import pytest
from flask import Flask

from rowsmith.serving.app import create_app
from rowsmith.serving.pages import monitoring
from rowsmith.settings import Settings
from tests.serving.conftest import closed
from tests.serving.models import json_rows, loans, make_project


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test looks anew."""
    monkeypatch.setattr(monitoring, "RECENT", monitoring.Recent())


def asked(root: Path, target: str, table: pl.DataFrame) -> tuple[Flask, list[str]]:
    """An application that was asked about the rows, and the ids of its answers."""
    app = create_app(make_project(root, target), Settings())
    response = app.test_client().post("/api/v1/predict", json={"rows": json_rows(table)})
    return app, [item["id"] for item in response.get_json()["predictions"]]


def charts_of(text: str) -> dict[str, dict[str, list[float | None]]]:
    found = [json.loads(unescape(chart)) for chart in re.findall(r'data-chart="([^"]+)"', text)]
    return {chart["title"]: {series["name"]: series["values"] for series in chart["series"]} for chart in found}


def test_before_the_first_prediction(tmp_path: Path) -> None:
    app = create_app(make_project(tmp_path, "default"), Settings())
    text = app.test_client().get("/monitoring").text
    assert "No predictions yet" in text and "echarts" not in text
    closed(app)


def test_few_rows_are_not_judged(tmp_path: Path) -> None:
    app, _ = asked(tmp_path, "default", loans(10))
    text = app.test_client().get("/monitoring").text
    assert "Too early to tell" in text and "judged from 50 rows on" in text
    closed(app)


@pytest.mark.parametrize("target", ["default", "rate", "amount"])
def test_a_shifted_column_is_seen_and_outcomes_give_scores(tmp_path: Path, target: str) -> None:
    shifted = loans(300, seed=4).with_columns(age=pl.lit(78))
    app, ids = asked(tmp_path, target, shifted)
    client = app.test_client()
    client.post("/api/v1/predict", json={"row": {}})
    labels = [{"id": id_, "label": label} for id_, label in zip(ids, shifted[target].to_list(), strict=True)]
    client.post("/api/v1/labels", json={"labels": labels})
    text = client.get("/monitoring").text
    assert "All is well" not in text
    first = re.search(r'<th scope="row">(\w+).*?<span class="tag warn">drifted</span>', text, re.DOTALL)
    assert first is not None and first[1] == "age"
    charts = charts_of(text)
    assert charts["Predictions and refused rows"] == {"answered": [300], "refused": [1]}
    assert charts["Latency in milliseconds"].keys() == {"half of them", "95 %", "99 %"}
    title = {"default": "ROC AUC", "rate": "Log loss", "amount": "RMSE"}[target]
    assert charts[title]["measured"][0] is not None
    assert 'role="img"' in text and "the figures are in the table" in text
    closed(app)


def test_a_look_is_kept_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = asked(tmp_path, "default", loans(60))
    client = app.test_client()
    first = client.get("/monitoring").text
    client.post("/api/v1/predict", json={"rows": json_rows(loans(60))})
    assert client.get("/monitoring").text == first
    monkeypatch.setattr(monitoring, "KEPT_SECONDS", -1.0)
    monitoring.RECENT = monitoring.Recent()
    assert charts_of(client.get("/monitoring").text)["Predictions and refused rows"]["answered"] == [120]
    closed(app)


def test_a_server_that_keeps_nothing_says_so(tmp_path: Path) -> None:
    app = create_app(make_project(tmp_path, "default"), Settings(log_predictions=False))
    assert "Predictions are not kept here" in app.test_client().get("/monitoring").text
    closed(app)
