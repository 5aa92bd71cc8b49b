"""Visit: one reading of an address of the web: a file, an API that answers page by page, a web page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import httpx
import polars as pl

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources.address import shown
from rowsmith.ingestion.sources.formats import open_file
from rowsmith.ingestion.sources.gathered import Gathered
from rowsmith.ingestion.sources.http.client import Client, Fetched, Manners, NotThere, require_web
from rowsmith.ingestion.sources.http.guard import Guard
from rowsmith.ingestion.sources.http.pages import HTML_TYPES, a_page, read_pages
from rowsmith.ingestion.sources.http.paging import Page, first_address, linked, walk
from rowsmith.ingestion.sources.local_file import GZIP, HEAD_BYTES, ZSTD, LocalFile, decompressed
from rowsmith.ingestion.sources.protocol import Context, Opened
from rowsmith.ingestion.sources.records import Columns, find_records, parse
from rowsmith.recipe_data import DataSection, HttpSection
from rowsmith.types import JsonObject

JSON_LINES_TYPES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines", "application/json-lines")
Piece = Columns | pl.DataFrame
ROWS_AT_ONCE = 1 << 14
JSON_LINES_EXTENSIONS = (".jsonl", ".ndjson", ".jsonlines")


@dataclass(frozen=True)
class Visit:
    """One reading: where to, with what, and what was known before."""

    url: str
    options: DataSection
    client: Client
    since: JsonObject

    @classmethod
    def plan(cls, origin: str, options: DataSection, context: Context) -> Visit:
        http, fill = options.http, context.secrets.fill
        written = fill(origin, where="data.source")
        require_web(written)
        url, headers = _without_login(written)
        params = {
            name: fill(value, where=f"data.http.params.{name}") if isinstance(value, str) else value
            for name, value in http.params.items()
        }
        since = context.since or {}
        if http.since_param and since.get("cursor") is not None:
            params[http.since_param] = since["cursor"]
        for name, value in http.headers.items():
            headers[name.lower()] = fill(value, where=f"data.http.headers.{name}")
        headers |= _login(http, context)
        guard = Guard(context.internal, named=_host(url) if context.named_here else "")
        certificates = context.root / http.certificates if http.certificates else None
        rate = http.rate or (1.0 if _wants_page(options) else None)
        manners = Manners(http.timeout, http.retries, rate, http.max_mb * 1_000_000, certificates)
        address = first_address(str(httpx.URL(url).copy_merge_params(params)) if params else url, http)
        return cls(address, options, Client(guard, manners, headers), since)

    def opened(self) -> Opened | None:
        if _wants_page(self.options):
            return Opened(read_pages(self.client, self.url, self.options, None))
        by_cursor = self.options.http.since_param is not None
        first = self.client.get(self.url, headers={} if by_cursor else _if_changed(self.since))
        mark = _mark_of(first)
        if first.status == 304 or (mark is not None and not by_cursor and mark == self.since):
            return None
        kind = self._kind(first)
        if kind == "html":
            return Opened(read_pages(self.client, self.url, self.options, first))
        if kind == "file" and self.options.http.paging in (None, "none") and linked(first) is None:
            return Opened(open_file(decompressed(first.file()), self.options), mark=lambda: mark)
        return self._gathered(first, kind, mark)

    def _kind(self, answer: Fetched) -> str:
        wanted, media, extension = self.options.http.format, answer.media_type, answer.extension
        if wanted:
            return "file" if wanted == "csv" else wanted
        if media in JSON_LINES_TYPES or extension in JSON_LINES_EXTENSIONS:
            return "json-lines"
        if media == "application/json" or media.endswith("+json") or extension == ".json":
            return "json"
        if media in HTML_TYPES:
            if self.options.http.records:
                raise a_page(answer.name)
            return "html"
        return "file"

    def _gathered(self, first: Fetched, kind: str, mark: JsonObject | None) -> Opened:
        """All pages, as one table."""
        http = self.options.http
        table = Gathered(shown(self.url), {"format": kind})
        pieces = _Pieces(self.options, kind, http.records)

        def read(url: str, number: int) -> Page | None:
            answer = first if number == 0 else self._page(url)
            if answer is None:
                return None
            piece, document = pieces.read(answer, number)
            if piece.height:
                if http.paging in ("page", "offset") and pieces.repeats(piece):
                    raise _same_page(answer)
                pieces.put(piece, table)
            return Page(answer, piece.height, document)

        pages = sum(1 for _ in walk(self.url, http, read))
        pieces.finish(table)
        table.facts |= {"pages": pages} | ({"records": pieces.path or ""} if kind != "file" else {})
        return self._concluded(table, mark if pages == 1 else None)

    def _concluded(self, table: Gathered, mark: JsonObject | None) -> Opened:
        http, column = self.options.http, self.options.incremental.cursor
        if not table.columns and "cursor" not in self.since:
            raise SourceError(
                "there are no rows in this answer",
                where=table.description,
                next_step="look at params and records under [data.http], and at what the address answers in a browser",
            )
        if http.since_param is None:
            return Opened(table, mark=lambda: mark, expected_rows=table.rows)
        if column is None:
            raise RecipeError(
                "since_param needs a column to take the value from",
                where="data.http.since_param",
                next_step="name the column that grows: cursor under [data.incremental]",
            )
        highest = table.highest(column)
        latest = self.since.get("cursor") if highest is None else highest
        return Opened(table, lambda: {"cursor": latest}, only_new="cursor" in self.since, expected_rows=table.rows)

    def _page(self, url: str) -> Fetched | None:
        """None for a page beyond the last one, where the server says so by refusing it."""
        try:
            return self.client.get(url)
        except NotThere:
            if self.options.http.paging in ("page", "offset"):
                return None
            raise


@dataclass
class _Pieces:
    """Makes frames of answers. `path` is where the rows are, the same on every page once it is known."""

    options: DataSection
    kind: str
    path: str | None
    _last: Piece | None = None
    _waiting: Columns | None = None

    def repeats(self, piece: Piece) -> bool:
        """Whether these are the rows of the call before."""
        last, self._last = self._last, piece
        if isinstance(piece, Columns) and isinstance(last, Columns):
            # True is 1 here, and not in a frame.
            return piece.values == last.values and piece.frame().equals(last.frame())
        return isinstance(piece, pl.DataFrame) and isinstance(last, pl.DataFrame) and piece.equals(last)

    def put(self, piece: Piece, table: Gathered) -> None:
        """Columns wait for those of the next pages, since a frame of many rows is made faster than many of a few."""
        if isinstance(piece, pl.DataFrame):
            table.add(piece)
            return
        if self._waiting is None or not self._waiting.take(piece):
            self.finish(table)
            self._waiting = piece.copy()
        if self._waiting.height >= ROWS_AT_ONCE:
            self.finish(table)

    def finish(self, table: Gathered) -> None:
        if self._waiting is not None:
            table.add(self._waiting.frame())
        self._waiting = None

    def read(self, answer: Fetched, number: int) -> tuple[Piece, Any]:
        """The rows of a page, and its document where it is JSON."""
        where = f"{answer.name} (page {number + 1})" if number else answer.name
        if self.kind == "file":
            return self._file(answer, number), None
        if number and answer.media_type in HTML_TYPES:
            raise a_page(where)
        document = parse(_unpacked(answer), lines=self.kind == "json-lines", where=where)
        records, self.path = find_records(document, self.path, where=where)
        return Columns.of(records, where=where), document

    def _file(self, answer: Fetched, number: int) -> pl.DataFrame:
        if answer.media_type in HTML_TYPES:
            raise a_page(answer.name)
        body = decompressed(answer.file())
        if body.size == 0 or (number and self.options.header is not False and _is_one_line(body)):
            return pl.DataFrame()
        table = open_file(body, self.options)
        frames = [frame for frame in table.batches(table.columns) if frame.height]
        return pl.concat(frames) if frames else pl.DataFrame()


def _unpacked(answer: Fetched) -> bytes:
    content = answer.content()
    if not content.startswith((GZIP, ZSTD)):
        return content
    with decompressed(answer.file()).open() as file:
        return file.read()


def _same_page(answer: Fetched) -> SourceError:
    return SourceError(
        "this page has the same rows as the page before",
        where=answer.name,
        next_step="the source may call its pages otherwise: see page_param, offset_param and paging under [data.http]",
    )


def _is_one_line(file: LocalFile) -> bool:
    """Headings without rows, which is how a page of CSV beyond the last one looks."""
    head = file.head()
    return len(head) < HEAD_BYTES and b"\n" not in head.strip()


def _wants_page(options: DataSection) -> bool:
    page = options.page
    chosen = page.table is not None or page.caption or page.select or page.rows or page.fields or page.next
    return options.http.format == "html" or (options.http.format is None and bool(chosen))


def _without_login(url: str) -> tuple[str, dict[str, str]]:
    """The address, and the login that is written into it as a header."""
    target = httpx.URL(url)
    if not target.userinfo:
        return url, {}
    login = f"{target.username}:{target.password}"
    return str(target.copy_with(userinfo=b"")), {"authorization": _basic(login)}


def _login(http: HttpSection, context: Context) -> dict[str, str]:
    if http.bearer and http.basic:
        raise RecipeError("bearer and basic exclude each other", where="data.http", next_step="keep one of them")
    if http.bearer:
        return {"authorization": f"Bearer {context.secrets.fill(http.bearer, where='data.http.bearer')}"}
    if http.basic:
        return {"authorization": _basic(context.secrets.fill(http.basic, where="data.http.basic"))}
    return {}


def _basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def _host(url: str) -> str:
    return httpx.URL(url).host


def _mark_of(answer: Fetched) -> JsonObject | None:
    """What the server calls this version; None where it does not."""
    named = {"etag": answer.headers.get("etag"), "last_modified": answer.headers.get("last-modified")}
    mark = {name: value for name, value in named.items() if value}
    return mark or None


def _if_changed(since: JsonObject) -> dict[str, str]:
    names = {"etag": "if-none-match", "last_modified": "if-modified-since"}
    return {header: since[name] for name, header in names.items() if since.get(name)}
