from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources import read_frame
from rowsmith.recipe_data import DataSection
from tests.web import Answer, Asked, WebServer, html

TOWNS = """
<h2>Menu</h2><table><tr><td>Home</td><td>About</td></tr></table>
<h2>Towns of <i>Norway</i></h2>
<table class="data"><thead>
<tr><th rowspan="2">Town</th><th colspan="2">People<sup class="reference">[1]</sup></th><th rowspan=2>Rent</th></tr>
<tr><th>2020</th><th>2024</th></tr></thead>
<tbody>
<tr><th colspan="4">South</th></tr>
<tr><td>Oslo<script>alert("x")</script></td><td>697,010</td><td>717,710[2]</td><td>€1,250.50</td></tr>
<tr><td rowspan="2">Bergen</td><td>285,601</td><td>\u2212291</td><td>€980</td></tr>
<tr><td>1</td><td>\u2014</td><td></td></tr>
</tbody><tfoot><tr><td>Total</td><td>1,000,000</td><td></td><td></td></tr></tfoot></table>
"""
READ = {
    "Town": ["Oslo", "Bergen", "Bergen"],
    "People 2020": [697010, 285601, 1],
    "People 2024": [717710, -291, None],
    "Rent": [1250.5, 980.0, None],
}
SHOP = """<ul class=shop><li><a href="/p/1"><b>Lamp</b></a> <span class=price>$1,200.00</span>
<li><a href="p/2"><b>Chair</b></a> <span class=price>$80.00</span></ul><a rel=next href="?page=2">more</a>"""


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer({}) as server:
        yield server


def read(url: str, **page: Any) -> dict[str, Any]:
    options = DataSection.model_validate({"page": page, "http": {"rate": 1000}})
    return read_frame(url, options).to_dict(as_series=False)


@pytest.mark.parametrize(
    "page", [{}, {"table": 2}, {"caption": "towns of"}, {"select": "table.data"}, {"select": "table", "table": 2}]
)
def test_a_table_of_a_page(web: WebServer, page: dict[str, Any]) -> None:
    web.routes["/towns"] = html(TOWNS)
    assert read(f"{web.url}/towns", **page) == READ


@pytest.mark.parametrize(
    ("table", "read_as"),
    [
        ("<table><tr><th>a<th>b<tr><td>1<td>x<tr><td>2<td>y</table>", {"a": [1, 2], "b": ["x", "y"]}),
        ("<table><tr><td>a<td>a<td><tr><td>1<td>2<td>3</table>", {"a": [1], "a 2": [2], "column_3": [3]}),
        ("<table><tr><th>n<th>v<tr><th>x<td>1,5<tr><th>y<td>12,25</table>", {"n": ["x", "y"], "v": [1.5, 12.25]}),
        ("<table><tr><th>code<tr><td>007<tr><td>012</table>", {"code": ["007", "012"]}),
        ("<table><tr><th>a<th>b<tr><td colspan=0>1<td>0<tr><td>0<td>0</table>", {"a": [1, 0], "b": [0, 0]}),
        ("<table><tr><th>a<tr><td rowspan=999999999>1<tr></table>", {"a": [1]}),
        ("<table><tr><th>a<th>b<tr><td>1<td><table><tr><td>in<td>side</table></table>", {"a": [1], "b": ["in side"]}),
    ],
)
def test_tables_of_all_sorts(web: WebServer, table: str, read_as: dict[str, Any]) -> None:
    web.routes["/t"] = html(table)
    assert read(f"{web.url}/t", table=1) == read_as


def test_lists_that_are_no_tables_over_pages(web: WebServer) -> None:
    second = SHOP.replace("Lamp", "Desk").replace("?page=2", "/shop?page=3")
    third = SHOP.replace("Lamp", "Bed").partition("<a rel=next")[0]
    pages = {None: SHOP, "2": second, "3": third}
    web.routes["/shop"] = lambda asked: html(pages[asked.params.get("page")])
    fields = {"name": "b", "price": ".price", "link": "a@href", "whole": "@class"}
    with pytest.raises(SourceError, match='"whole" finds nothing'):
        read(f"{web.url}/shop", rows="ul.shop > li", fields=fields)
    del fields["whole"]
    assert read(f"{web.url}/shop", rows="ul.shop > li", fields=fields, next="a[rel=next]") == {
        "name": ["Lamp", "Chair", "Desk", "Chair", "Bed", "Chair"],
        "price": [1200, 80, 1200, 80, 1200, 80],
        "link": [f"{web.url}/p/1", f"{web.url}/p/2"] * 3,
    }


@pytest.mark.parametrize("declared", ["header", "meta"])
def test_encodings(web: WebServer, declared: str) -> None:
    text = "<meta charset=iso-8859-1>" * (declared == "meta") + "<table><tr><th>Größe<tr><td>groß<tr><td>öd</table>"
    kind = "text/html; charset=ISO-8859-1" if declared == "header" else "text/html"
    web.routes["/t"] = Answer(text.encode("latin-1"), headers={"Content-Type": kind})
    assert read(f"{web.url}/t") == {"Größe": ["groß", "öd"]}


@pytest.mark.parametrize(
    ("robots", "allowed"),
    [
        ("User-agent: *\nDisallow: /private", False),
        ("User-agent: rowsmith\nDisallow: /", False),
        ("User-agent: *\nDisallow: /private\n\nUser-agent: rowsmith\nAllow: /", True),
        ("User-agent: other\nDisallow: /", True),
        ("<html>no robots here", True),
    ],
)
@pytest.mark.parametrize("page", [{}, {"table": 1}])
def test_robots_are_told_to_stay_away(web: WebServer, robots: str, allowed: bool, page: dict[str, Any]) -> None:
    web.routes |= {"/private/t": html("<table><tr><th>a<tr><td>1</table>"), "/robots.txt": Answer(robots.encode())}
    if allowed:
        assert read(f"{web.url}/private/t", **page) == {"a": [1]}
        return
    with pytest.raises(SourceError, match=r"asks programs not to read"):
        read(f"{web.url}/private/t", **page)
    if page:
        assert web.paths() == ["/robots.txt"]


@pytest.mark.parametrize(
    ("text", "page", "says"),
    [
        ("<p>nothing", {}, "no table"),
        (TOWNS, {"table": 9}, r"no such table.*1: Menu|no such table.*Towns of Norway"),
        (TOWNS, {"caption": "Sweden"}, "Towns of Norway"),
        (TOWNS, {"select": "table[["}, "no CSS selector"),
        (SHOP, {"rows": "li.gone", "fields": {"a": "b"}}, "selector of rows finds nothing"),
        (SHOP, {"rows": "li", "fields": {"a": "b", "c": ".gone"}}, '"c" finds nothing'),
        (SHOP, {"rows": "li"}, "rows and fields belong together"),
    ],
)
def test_pages_without_what_was_asked_for(web: WebServer, text: str, page: dict[str, Any], says: str) -> None:
    web.routes["/p"] = html(text)
    with pytest.raises((SourceError, RecipeError), match=says):
        read(f"{web.url}/p", **page)


def test_a_page_that_changes_its_shape(web: WebServer) -> None:
    pages = {
        None: "<table><tr><th>a<th>b<tr><td>1<td>2</table><a id=n href='?p=2'>",
        "2": "<table><tr><th>a<tr><td>1</table>",
    }
    web.routes["/p"] = lambda asked: html(pages[asked.params.get("p")])
    with pytest.raises(SourceError, match=r"p=2: this page has another shape.*columns a\. Allowed: columns a, b"):
        read(f"{web.url}/p", next="#n")


def test_pages_are_asked_for_slowly(web: WebServer) -> None:
    def page(asked: Asked) -> Answer:
        number = int(asked.params.get("p", 0))
        return html(f"<table><tr><th>a<tr><td>{number}</table>" + f"<a id=n href='?p={number + 1}'>" * (number < 1))

    web.routes |= {"/p": page, "/robots.txt": Answer(b"User-agent: *\nCrawl-delay: 1")}
    options = DataSection.model_validate({"page": {"next": "#n"}, "http": {"rate": 100}})
    begin = time.monotonic()
    assert read_frame(f"{web.url}/p", options)["a"].to_list() == [0, 1]
    assert time.monotonic() - begin > 0.9
