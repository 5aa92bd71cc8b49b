"""The report: complete, closed to the outside, and safe with hostile names."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rowsmith.evaluation.gates import judge
from rowsmith.evaluation.metrics import default_metric
from rowsmith.evaluation.report import content_security_policy, render_report
from rowsmith.evaluation.report.charts import FIRST_SECOND, LAST_SECOND, date_axis
from rowsmith.evaluation.report.origin import NOTHING, plain_text
from rowsmith.evaluation.report.svg import Axis, bar, nice_ticks, percent_text, shorten, strip, tick_text
from rowsmith.evaluation.score import evaluate
from rowsmith.evaluation.segments import EPOCH
from rowsmith.types import Finding, JsonObject, Severity, Task
from tests.evaluation.models import World, world

EVIL = '</td></svg><script>alert("x")</script><img src=x onerror=alert(1)>&\'"'
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reader(HTMLParser):
    """Collects tags, ids, links and text, and insists that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def document_of(made: World) -> JsonObject:
    model = made.model
    evaluation = evaluate(
        model, made.frame, made.target, default_metric(model.task), baselines=made.baselines, seconds=1.0
    )
    findings = (
        Finding("duplicates", Severity.WARNING, "Duplicate rows", "Two rows are alike.", advice="Look at them."),
        Finding("constant", Severity.INFO, "A constant column", "It says nothing."),
    )
    document: JsonObject = {
        "title": "wine: quality",
        "recipe": model.recipe.to_dict(),
        "schema": model.schema.to_dict(),
        "findings": [finding.to_dict() for finding in findings],
        "evaluation": evaluation.to_dict(),
        "gates": judge(evaluation, findings, None, model.recipe.gates).to_dict(),
        "champion": {"before": None, "reason": "there is no champion yet", "comparison": None},
        "leaderboard": [
            {
                "id": 1,
                "family": "lightgbm",
                "params": {"num_leaves": 31},
                "score": 0.91,
                "fold_scores": [0.9, 0.92],
                "seconds": 1.5,
                "status": "complete",
                "message": "",
                "weight": 1.0,
            },
            {"id": 2, "family": "linear", "params": {}, "score": float("nan"), "fold_scores": [], "seconds": 0.1},
        ],
        "lineage": {
            "snapshot": "abc123",
            "source": "wine.csv",
            "rows_trained": 1000,
            "created": "2026-01-02T03:04:05+00:00",
            "code": None,
            "machine": {"cores": 2, "memory_mb": 8000},
            "packages": {"numpy": "2.4.0"},
        },
    }
    return document


@pytest.fixture(scope="module", params=list(Task))
def document(request: pytest.FixtureRequest) -> JsonObject:
    return document_of(world(Task(request.param), 500))


def test_it_is_well_formed_and_complete(document: JsonObject) -> None:
    reader = read(render_report(document))
    text = " ".join(reader.text)
    ids = {value for name, value in reader.attributes if name == "id"}
    links = {value[1:] for name, value in reader.attributes if name == "href" and value}
    assert {"summary", "scores", "behaviour", "columns", "slices", "fairness", "data", "leaderboard", "origin"} <= ids
    assert links <= ids
    for expected in ("wine: quality", "Simple linear model", "Duplicate rows", "lightgbm", "abc123", "numpy", "passed"):
        assert expected in text
    for metric in document["evaluation"]["metrics"]:
        assert metric["title"] in text
    assert "nan" not in text.lower().split()
    assert "None" not in text


def test_it_needs_nothing_from_outside_and_runs_nothing(document: JsonObject) -> None:
    page = render_report(document)
    reader = read(page)
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name in ("src", "style")]
    assert all(value is None or value.startswith("#") for name, value in reader.attributes if name == "href")
    assert "@import" not in page
    assert "url(" not in page


def test_its_own_policy_allows_its_own_style_alone(document: JsonObject) -> None:
    policy = content_security_policy()
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    page = render_report(document)
    assert f'content="{policy.replace(chr(39), "&#39;")}"' in page
    assert "unsafe" not in policy


def test_drawings_have_names_and_tables_can_be_reached_by_keyboard(document: JsonObject) -> None:
    page = render_report(document)
    drawings = re.findall(r"<svg[^>]*>", page)
    assert len(drawings) > 20
    assert all('aria-label="' in drawing or 'aria-hidden="true"' in drawing for drawing in drawings)
    assert page.count("<table") == len(
        re.findall(r'<div class="scroll" role="region" aria-label="[^"]+" tabindex="0">', page)
    )


def test_hostile_names_stay_text() -> None:
    document = document_of(world(Task.BINARY, 200))
    text = json.dumps(document)
    for name in ("colour", "red", "yes", "no", "wine: quality", "lightgbm", "Duplicate rows", "abc123", "num_leaves"):
        text = text.replace(json.dumps(name), json.dumps(EVIL + name))
    reader = read(render_report(json.loads(text)))
    assert "script" not in reader.tags
    assert "img" not in reader.tags
    assert any(EVIL in piece for piece in reader.text)


def test_the_same_document_gives_the_same_page(document: JsonObject) -> None:
    assert render_report(document) == render_report(json.loads(json.dumps(document)))


def test_a_document_of_an_evaluation_alone(document: JsonObject) -> None:
    page = render_report({"title": "bare", "evaluation": document["evaluation"]})
    reader = read(page)
    assert "leaderboard" not in {value for name, value in reader.attributes if name == "id"}


def test_a_model_that_was_never_tested() -> None:
    made = world(Task.BINARY, 50)
    empty = World(made.model, made.frame[:0], made.target[:0], {n: s[:0] for n, s in made.baselines.items()})
    page = render_report(document_of(empty))
    text = " ".join(read(page).text)
    assert "No rows were sealed for a test" in text
    assert "Refused" in text


def test_one_row() -> None:
    for task in Task:
        read(render_report(document_of(world(task, 1))))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 7, [0, 2, 4, 6]),
        (-130, 240, [-100, 0, 100, 200]),
        (3, 3, [3]),
        (0.001, 0.0042, [0.001, 0.002, 0.003, 0.004]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1500, "1,500"), (25_000, "25k"), (-3_200_000, "-3.2M"), (0.123456, "0.123"), (2e9, "2G")],
)
def test_numbers_on_an_axis(value: float, text: str) -> None:
    assert tick_text(value) == text


@pytest.mark.parametrize(
    ("first", "last", "marks"),
    [
        ("1985-03-01", "2016-09-01", ["1990", "2000", "2010"]),
        ("2012-03-01", "2016-09-01", ["2013", "2014", "2015", "2016"]),
        ("2015-11-15", "2016-03-20", ["2015-12", "2016-01", "2016-02", "2016-03"]),
        ("2016-01-01", "2016-12-31", ["2016-04", "2016-07", "2016-10"]),
        ("2016-02-25", "2016-03-20", ["02-29", "03-05", "03-10", "03-15", "03-20"]),
        ("2016-02-25", "2016-02-27", ["02-25 00:00", "02-25 12:00", "02-26 00:00", "02-26 12:00", "02-27 00:00"]),
        ("0001-02-01", "0001-02-01", ["02-01 00:00"]),
    ],
)
def test_dates_are_marked_where_a_person_would(first: str, last: str, marks: list[str]) -> None:
    low, high = ((datetime.fromisoformat(text + "T00:00+00:00") - EPOCH).total_seconds() for text in (first, last))
    axis = date_axis(Axis(low, high, ""))
    assert [axis.text(value) for value in axis.marks] == marks


def test_dates_at_the_ends_of_the_calendar() -> None:
    axis = date_axis(Axis.over([FIRST_SECOND, LAST_SECOND], ""))
    assert [axis.text(value) for value in axis.marks] == ["5000"]


def test_small_things() -> None:
    assert percent_text(0.123) == "12.3%"
    assert shorten("abcdef", 4) == "abc…"
    assert Axis.over([], "").low < Axis.over([], "").high
    assert Axis.over([5.0], "").share(5.0) == 0.5
    assert "circle" not in strip(None, None, None, Axis(0, 1, ""))
    assert 'width="0.8"' in bar(-1)
    assert [plain_text(value) for value in (True, [1, 2], {"a": 0.5})] == ["yes", "1, 2", "a 0.500"]
    assert plain_text(None) == plain_text([]) == plain_text("") == NOTHING


@pytest.mark.browser
def test_no_page_is_wider_than_a_phone(document: JsonObject, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    path = tmp_path / "report.html"
    path.write_text(render_report(document), encoding="utf-8")
    faults: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser: Any = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("console", lambda message: faults.append(message.text))
        page.on("request", lambda request: faults.append(request.url) if not request.url.startswith("file:") else None)
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        browser.close()
    assert faults == []
