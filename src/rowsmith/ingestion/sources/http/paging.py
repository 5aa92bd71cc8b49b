"""Paging: the addresses of a source that answers a piece at a time, each known once the one before has been read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.address import shown
from rowsmith.ingestion.sources.http.client import Fetched
from rowsmith.ingestion.sources.records import at_path
from rowsmith.recipe_data import HttpSection

LINK = re.compile(r"<([^>]*)>\s*((?:;\s*[^,;]+)*)")
RELATION = re.compile(r';\s*rel\s*=\s*"?([^";]+)"?', re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """What was read of an answer: as much as the next address depends on."""

    answer: Fetched
    rows: int
    document: Any = None


def walk(first: str, options: HttpSection, read: Callable[[str, int], Page | None]) -> Iterator[Page]:
    """Pages in order, until there is none. `read` fetches one by its address and number; None says that it is not
    there. Raises SourceError for a source that goes in a circle or does not end."""
    url: str | None = first
    seen: set[str] = set()
    number = 0
    while url is not None:
        if url in seen:
            raise SourceError(
                "the pages go in a circle",
                where=shown(url),
                received=f"page {number + 1} is one that was read before",
                next_step="look at paging under [data.http], and at what the source says about its pages",
            )
        seen.add(url)
        page = read(url, number)
        if page is None:
            return
        yield page
        number += 1
        url = _next(url, page, number, options)
        if url is not None and options.max_pages is not None and number >= options.max_pages:
            raise SourceError(
                f"there are more than {options.max_pages} pages",
                where=shown(url),
                next_step="set max_pages under [data.http] higher, or ask for less",
            )


def first_address(url: str, options: HttpSection) -> str:
    """With what asks for the first page."""
    extra: dict[str, Any] = {}
    if options.paging == "page":
        extra[options.page_param] = options.first_page
    if options.paging == "offset":
        extra[options.offset_param] = 0
    if options.page_size is not None and options.size_param:
        extra[options.size_param] = options.page_size
    return _with(url, extra)


def _next(url: str, page: Page, number: int, options: HttpSection) -> str | None:
    if options.paging in ("page", "offset"):
        if page.rows == 0 or (options.page_size is not None and page.rows < options.page_size):
            return None
        if options.paging == "page":
            return _with(url, {options.page_param: options.first_page + number})
        offset = int(httpx.URL(url).params[options.offset_param])
        return _with(url, {options.offset_param: offset + page.rows})
    if options.paging == "cursor":
        return _after(url, at_path(page.document, options.cursor_path), options)
    if options.paging == "none":
        return None
    return linked(page.answer)


def _after(url: str, cursor: Any, options: HttpSection) -> str | None:
    """A cursor may be an address of its own."""
    if cursor is None or cursor == "" or cursor is False:
        return None
    if isinstance(cursor, str) and (cursor.startswith(("http://", "https://", "/", "?"))):
        return urljoin(url, cursor)
    return _with(url, {options.cursor_param: cursor})


def linked(answer: Fetched) -> str | None:
    """The address that a `Link` header calls the next one (RFC 8288)."""
    for target, parameters in LINK.findall(answer.headers.get("link", "")):
        relations = " ".join(RELATION.findall(parameters)).lower().split()
        if "next" in relations:
            return urljoin(answer.url, str(target))
    return None


def _with(url: str, params: dict[str, Any]) -> str:
    """The address with some parameters set, the others left as they are."""
    return str(httpx.URL(url).copy_merge_params(params)) if params else url
