"""The pages in headless Chromium: drawn, used, by keyboard, on a phone, and without a complaint of the browser."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from tests.serving.browsing import BROWSER_ARGUMENTS, Server, chromium, running
from tests.serving.models import a_row, json_rows, loans, make_project

playwright_api = pytest.importorskip("playwright.sync_api")

pytestmark = pytest.mark.browser

PAGES = (
    "/",
    "/predict",
    "/batch",
    "/data",
    "/models/loans/2",
    "/models/loans/2/report",
    "/monitoring",
    "/api",
    "/problems",
    "/nothing-here",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browsed")
    make_project(folder, "default", "default")
    return folder


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    with running(root) as started:
        rows = json_rows(loans(200, seed=3))
        httpx.post(f"{started.address}/api/v1/predict", json={"rows": rows}, trust_env=False).raise_for_status()
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium is installed")
    with playwright_api.sync_playwright() as playwright:
        # Another proxy than the environment's: everything asked for is on this machine.
        opened = playwright.chromium.launch(executable_path=path, args=[*BROWSER_ARGUMENTS, "--no-proxy-server"])
        yield opened
        opened.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(browser: Any, server: Server, complaints: list[str]) -> Iterator[Any]:
    context = browser.new_context(base_url=server.address, viewport={"width": 1280, "height": 900})
    opened = watched(context, complaints)
    yield opened
    context.close()


def watched(context: Any, complaints: list[str]) -> Any:
    """A page whose console errors, exceptions, policy violations and foreign requests are collected."""
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request", lambda asked: complaints.append(asked.url) if not asked.url.startswith("http://127.0.0.1:") else None
    )
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " event => console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
    )
    return page


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_load_without_a_complaint_and_fit(
    browser: Any, server: Server, complaints: list[str], path: str, width: int, scheme: str
) -> None:
    context = browser.new_context(
        base_url=server.address, viewport={"width": width, "height": 844}, color_scheme=scheme
    )
    page = watched(context, complaints)
    page.goto(path, wait_until="load")
    expected = ["404"] if path == "/nothing-here" else []
    assert [text for text in complaints if not any(part in text for part in expected)] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").count() == 1
    assert page.title().endswith("Rowsmith")
    context.close()


def test_the_form_predicts_what_the_api_predicts(page: Any, server: Server, complaints: list[str]) -> None:
    page.goto("/predict")
    page.get_by_label("income").fill("31000.25")
    page.get_by_label("age", exact=True).fill("41")
    page.get_by_label("purpose").select_option("home")
    page.get_by_label("city").fill("city 11")
    page.get_by_label("owner").select_option("true")
    page.get_by_label("opened").fill("2024-05-17")
    page.get_by_label("remark").fill("was late once")
    page.get_by_role("button", name="Predict").click()
    page.wait_for_selector("text=Kept as")
    (item,) = httpx.post(f"{server.address}/api/v1/predict", json={"row": a_row()}, trust_env=False).json()[
        "predictions"
    ]
    answer = page.locator("#answer")
    assert answer.locator(".big").inner_text() == item["prediction"]
    assert f"{item['probabilities']['yes']:.1%}" in answer.inner_text()
    assert page.get_by_label("age", exact=True).input_value() == "41"
    assert complaints == []


def test_a_changed_field_changes_the_answer(page: Any, complaints: list[str]) -> None:
    page.goto("/predict")
    page.get_by_role("button", name="Predict").click()
    page.wait_for_selector("text=Kept as")
    before = page.locator("#answer .bars").first.inner_text()
    page.get_by_label("income").fill("90000")
    page.wait_for_selector("text=With these values")
    assert page.locator("#answer .bars").first.inner_text() != before
    assert "against the answer that was asked for" in page.locator("#answer").inner_text()
    page.get_by_label("income").fill("500")
    page.wait_for_selector("text=outside the range of training")
    assert complaints == []


def test_the_form_works_without_javascript(browser: Any, server: Server) -> None:
    context = browser.new_context(base_url=server.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/predict")
    page.get_by_role("button", name="Predict").click()
    page.wait_for_selector("text=Kept as")
    context.close()


def test_a_prediction_by_keyboard_alone(page: Any) -> None:
    page.goto("/predict")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == "Predict":
            break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Kept as")


def test_a_file_is_scored_and_fetched(page: Any, server: Server, tmp_path: Path, complaints: list[str]) -> None:
    table = loans(40, seed=8).drop("default", "rate", "amount")
    table.write_parquet(tmp_path / "loans.parquet")
    page.goto("/batch")
    page.get_by_label("File", exact=True).set_input_files(tmp_path / "loans.parquet")
    page.get_by_role("button", name="Score it").click()
    page.wait_for_selector("text=40 rows scored")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download Parquet").click()
    scores = pl.read_parquet(io.BytesIO(Path(waiting.value.path()).read_bytes()))
    body = {"rows": json_rows(loans(40, seed=8))}
    items = httpx.post(f"{server.address}/api/v1/predict", json=body, trust_env=False).json()["predictions"]
    assert scores["probability_yes"].to_list() == [item["probabilities"]["yes"] for item in items]
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download CSV").click()
    assert Path(waiting.value.path()).read_text().count("\n") == 41
    assert complaints == []


@pytest.mark.parametrize("width", [1280, 390])
def test_the_progress_of_a_large_file_is_seen(page: Any, tmp_path: Path, complaints: list[str], width: int) -> None:
    """The bar moves while the page stays where it is; the work can be cancelled."""
    many = pl.concat([loans(7000, seed=8).drop("default", "rate", "amount")] * 500)
    many.write_parquet(tmp_path / "a year of loans.parquet")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/batch")
    page.get_by_label("File", exact=True).set_input_files(tmp_path / "a year of loans.parquet")
    page.get_by_role("button", name="Score it").click()
    page.wait_for_selector("text=scored of about 3,500,000")
    bar = page.get_by_role("progressbar")
    assert 0 < float(bar.get_attribute("value")) < 1
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.get_by_role("button", name="Cancel it").click()
    page.wait_for_selector("text=Cancelled after")
    page.get_by_role("link", name="Another file").click()
    assert "cancelled" in page.get_by_role("table").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert complaints == []


def test_a_bad_file_is_refused_with_the_reason(page: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("age,city\nold,x\n")
    page.goto("/batch")
    page.get_by_label("File", exact=True).set_input_files(tmp_path / "bad.csv")
    page.get_by_role("button", name="Score it").click()
    page.wait_for_selector("text=The file was not scored")
    assert "purpose" in page.get_by_role("alert").inner_text()


def test_charts_are_drawn_in_both_schemes(page: Any, complaints: list[str]) -> None:
    page.goto("/monitoring")
    page.wait_for_selector("[data-chart] canvas")
    page.emulate_media(color_scheme="dark")
    page.locator("[data-chart]").first.hover()
    page.wait_for_timeout(200)
    assert complaints == []


def test_the_report_is_drawn_whole_and_runs_nothing(page: Any, complaints: list[str]) -> None:
    page.goto("/models/loans/2/report")
    page.wait_for_function("document.querySelector('iframe').clientHeight >= 3000")
    assert page.frame_locator("iframe").locator("#r").inner_text() == "drawn"
    assert complaints == []


def test_a_script_in_a_report_does_not_run(browser: Any, tmp_path: Path) -> None:
    make_project(tmp_path, "default")
    (report,) = tmp_path.rglob("report.html")
    report.write_text("<p id=r>drawn</p><script>r.textContent = 'a script ran'</script>", encoding="utf-8")
    with running(tmp_path, workers=1) as server:
        page = browser.new_page()
        for path in ("report", "report.html"):
            page.goto(f"{server.address}/models/loans/1/{path}", wait_until="load")
            texts = [frame.locator("#r").inner_text() for frame in page.frames if frame.locator("#r").count()]
            assert texts == ["drawn"]
        page.close()


def test_text_has_enough_contrast_in_both_schemes(page: Any) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text. Every pair of text and background colours that the style sheet uses."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto("/")
        for text, background in PAIRS:
            assert page.evaluate(CONTRAST, [text, background]) >= 4.5, (scheme, text, background)
        assert page.evaluate(CONTRAST, ["edge", "surface"]) >= 3.0, scheme


PAIRS = [
    *((text, background) for text in ("ink", "ink-soft", "ember") for background in ("paper", "surface", "sunken")),
    *((tone, f"{tone}-soft") for tone in ("good", "warn", "bad")),
    *(("ink", background) for background in ("good-soft", "warn-soft", "bad-soft", "ember-soft")),
    ("ember-strong", "ember-soft"),
    ("on-ember", "ember"),
    ("bad", "surface"),
]
CONTRAST = """([a, b]) => {
  const light = (name) => {
    const hex = getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
    const [r, g, b] = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16) / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
}"""
