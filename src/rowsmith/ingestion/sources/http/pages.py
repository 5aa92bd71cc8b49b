"""Pages: the tables of web pages, and lists that are no tables, as rows. No script of a page is run."""

from __future__ import annotations

import re
from urllib.parse import urljoin
from urllib.robotparser import RobotFileParser

import httpx
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources.address import shown
from rowsmith.ingestion.sources.gathered import Gathered
from rowsmith.ingestion.sources.http.client import USER_AGENT, Client, Fetched
from rowsmith.ingestion.sources.http.html_table import Grid, read_table, typed
from rowsmith.recipe_data import DataSection, PageSection

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
MAX_PAGES = 1_000
CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
MAX_TABLES_TOLD = 8


def read_pages(client: Client, url: str, options: DataSection, first: Fetched | None) -> Gathered:
    """The rows of a page and of those that follow it. `first` is its answer where that was fetched already.

    Raises SourceError where robots.txt asks machines to stay away, where there is no table, and where a later page has
    another shape than the first.
    """
    robots = Robots(client)
    table = Gathered(shown(url), {"format": "html"})
    names: list[str] = []
    address: str | None = url
    texts: list[list[str]] = []
    visited: set[str] = set()
    limit = options.http.max_pages or MAX_PAGES
    while address is not None:
        robots.require(address)
        answer = first if first is not None and not visited else client.get(address)
        visited.add(address)
        tree = _tree(answer, options.encoding)
        grid = _rows(tree, answer, options.page)
        names = names or grid.names
        if grid.names != names:
            raise SourceError(
                "this page has another shape than the first",
                where=shown(address),
                received=f"columns {', '.join(grid.names)}",
                allowed=f"columns {', '.join(names)}",
                next_step="choose the table by caption or select under [data.page]; the page may have been redesigned",
            )
        texts += grid.rows
        address = _next(tree, answer, options.page)
        if address in visited:
            break
        if address is not None and len(visited) >= limit:
            raise SourceError(
                f"there are more than {limit} pages", where=shown(address), next_step="set max_pages under [data.http]"
            )
    table.facts |= {"pages": len(visited)}
    table.add(typed(names, texts, where=shown(url)))
    return table


class Robots:
    """What robots.txt of each host asks of machines, fetched once (RFC 9309)."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._rules: dict[str, RobotFileParser] = {}

    def require(self, url: str) -> None:
        """Raises SourceError where the page is not for machines; slows the client down where that is asked."""
        target = httpx.URL(url)
        host = str(target.copy_with(raw_path=b"/robots.txt", fragment=None))
        if host not in self._rules:
            self._rules[host] = self._fetch(host)
        rules = self._rules[host]
        if not rules.can_fetch(USER_AGENT, url):
            raise SourceError(
                "this site asks programs not to read this page",
                where=shown(url),
                received=f"{host} disallows it",
                next_step="look for an API or a file of the same data, or ask the owner",
            )
        delay = rules.crawl_delay(USER_AGENT)
        if delay:
            self._client.slow_down(float(delay))

    def _fetch(self, address: str) -> RobotFileParser:
        rules = RobotFileParser()
        text = self._client.text_or_none(address)
        rules.parse((text or "").splitlines())
        return rules


def a_page(where: str) -> SourceError:
    return SourceError(
        "the answer is a web page, and not data",
        where=where,
        next_step="look at the address in a browser: it may ask for a login, or say what is wrong",
    )


def _tree(answer: Fetched, encoding: str | None) -> LexborHTMLParser:
    """The page as a browser builds it from the same bytes."""
    content = answer.content()
    declared = answer.headers.get("content-type", "").partition("charset=")[2]
    charset = encoding or declared.strip(" \"';")
    if not charset and (found := CHARSET.search(content[:2048])):
        charset = found[1].decode("ascii")
    try:
        text = content.decode(charset or "utf-8", errors="replace")
    except LookupError:
        text = content.decode("utf-8", errors="replace")
    return LexborHTMLParser(text)


def _rows(tree: LexborHTMLParser, answer: Fetched, page: PageSection) -> Grid:
    if page.rows or page.fields:
        return _listed(tree, answer, page)
    tables = [node for node in _select(tree, page.select or "table", "select")]
    if page.select and tables and any(node.tag != "table" for node in tables):
        tables = [table for node in tables for table in ([node] if node.tag == "table" else node.css("table"))]
    grids = {place: grid for place, node in enumerate(tables, start=1) if (grid := read_table(node)) is not None}
    if page.caption:
        grids = {place: grid for place, grid in grids.items() if page.caption.casefold() in grid.caption.casefold()}
    if not grids or (page.table is not None and page.table not in grids):
        raise _no_table(answer, page, tables)
    if page.table is not None:
        return grids[page.table]
    # The largest one is what people mean: small ones are for layout.
    return max(grids.values(), key=lambda grid: len(grid.rows) * len(grid.names))


def _no_table(answer: Fetched, page: PageSection, tables: list[LexborNode]) -> SourceError:
    known = [(place, grid) for place, node in enumerate(tables, start=1) if (grid := read_table(node)) is not None]
    told = "; ".join(
        f"{place}: {grid.caption or ', '.join(grid.names[:4])} ({len(grid.rows)} rows)"
        for place, grid in known[:MAX_TABLES_TOLD]
    )
    return SourceError(
        "there is no such table on this page"
        if page.table or page.caption or page.select
        else "this page has no table",
        where=answer.name,
        received=f"tables {told}" if told else "no table with rows",
        next_step="choose one with table, caption or select under [data.page]; a list that is no table is read with "
        "rows and fields. A table that a script fills in is not there: look for the address that the script reads",
    )


def _listed(tree: LexborHTMLParser, answer: Fetched, page: PageSection) -> Grid:
    """Rows that are no table: one selector for each, and one for each field."""
    if not page.rows or not page.fields:
        raise RecipeError(
            "rows and fields belong together", where="data.page", next_step="name both, or neither of them"
        )
    items = _select(tree, page.rows, "rows")
    rows = [[_field(item, selector, name, answer.url) for name, selector in page.fields.items()] for item in items]
    empty = [name for place, name in enumerate(page.fields) if rows and not any(row[place] for row in rows)]
    if not rows or empty:
        what = f'the selector of "{empty[0]}"' if empty else "the selector of rows"
        raise SourceError(
            f"{what} finds nothing on this page",
            where=answer.name,
            received=page.fields[empty[0]] if empty else page.rows,
            next_step="look at the page: it may have been redesigned, or a script may fill it in",
        )
    return Grid("", list(page.fields), rows)


def _field(item: LexborNode, selector: str, name: str, url: str) -> str:
    """The text of the first match inside the row, or an attribute of it; the row itself for `@attribute` alone."""
    path, mark, attribute = selector.rpartition("@")
    if not mark:
        path = selector
    found = _select(item, path.strip(), f"fields.{name}")[:1] if path.strip() else [item]
    if not found:
        return ""
    if not mark:
        return " ".join(found[0].text(separator=" ").split())
    value = (found[0].attributes.get(attribute) or "").strip()
    return urljoin(url, value) if attribute in ("href", "src") and value else value


def _next(tree: LexborHTMLParser, answer: Fetched, page: PageSection) -> str | None:
    if page.next is None:
        return None
    found = _select(tree, page.next, "next")[:1]
    link = found[0].attributes.get("href") if found else None
    return str(httpx.URL(urljoin(answer.url, link)).copy_with(fragment=None)) if link else None


def _select(node: LexborHTMLParser | LexborNode, selector: str, option: str) -> list[LexborNode]:
    try:
        return list(node.css(selector))
    except (SelectolaxError, ValueError) as problem:
        raise RecipeError(
            f"this is no CSS selector: {problem}", where=f"data.page.{option}", received=selector
        ) from problem
