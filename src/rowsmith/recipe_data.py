"""The part of a recipe that says where rows come from: files, databases, addresses, and how to read them again."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

PASSWORD_WRITTEN_OUT = re.compile(r"[a-z][a-z0-9+.-]+://[^/?#]*:(?!\$\{)[^/?#]+@", re.IGNORECASE)
SECRET_HEADER = re.compile(r"auth|token|key|secret|cookie|pass", re.IGNORECASE)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _written_out(where: str) -> ValueError:
    return ValueError(
        f"a password is written out {where}, and a recipe is kept and shared: put ${{VARIABLE}} or ${{file:PATH}} in "
        "its place"
    )


class SqlSection(Section):
    """Which rows of a database: a table, or a query that reads."""

    table: str | None = Field(
        None, examples=["loans"], description="a table or view, with its schema where need be: sales.loans"
    )
    query: str | None = Field(
        None, examples=["query.sql"], description="a query that reads, or a file that ends in .sql and holds one"
    )
    params: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        examples=[{"year": 2026}],
        description="values for the places that the query marks with a colon, as in :year",
    )


class HttpSection(Section):
    """How an address on the web is asked, page by page, and what it answers."""

    format: Literal["json", "json-lines", "csv", "html", "file"] | None = Field(
        None, description="what the answers are; told from their headers and the address when absent"
    )
    records: str | None = Field(
        None,
        examples=["data.items"],
        description="the path to the rows in a JSON answer; its only list of objects when absent. Objects inside a row "
        "become columns called outer.inner, lists stay JSON text",
    )
    params: dict[str, str | int | float | bool] = Field(
        default_factory=dict, examples=[{"year": 2026}], description="parameters added to the address"
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        examples=[{"X-Api-Key": "${API_KEY}"}],
        description="headers of every request; they never go to another host than the first",
    )
    bearer: str | None = Field(None, examples=["${API_TOKEN}"], description="a token for bearer authentication")
    basic: str | None = Field(
        None, examples=["user:${API_PASSWORD}"], description="user and password for basic authentication"
    )
    paging: Literal["none", "link", "page", "offset", "cursor"] | None = Field(
        None, description="how the next page is asked for; a Link header is followed when absent"
    )
    page_param: str = Field("page", description="the parameter that numbers pages")
    first_page: int = Field(1, ge=0, description="the number of the first page")
    offset_param: str = Field("offset", description="the parameter that says how many rows to pass over")
    size_param: str | None = Field(None, examples=["limit"], description="the parameter for rows a page")
    page_size: int | None = Field(
        None, examples=[100], ge=1, description="rows a page; a page with fewer is the last, otherwise an empty one is"
    )
    cursor_param: str = Field("cursor", description="the parameter that takes the cursor of the next page")
    cursor_path: str = Field(
        "next", description="where an answer has that cursor, or the address of the next page, such as meta.next"
    )
    since_param: str | None = Field(
        None,
        examples=["updated_since"],
        description="the parameter that asks for rows from some value of the cursor column of [data.incremental] on",
    )
    max_pages: int | None = Field(None, examples=[1000], ge=1, description="more pages than this are an error")
    timeout: float = Field(30.0, gt=0, description="seconds to wait for an answer, and for it to go on")
    retries: int = Field(4, ge=0, le=20, description="how often to try again what may pass, with growing pauses")
    rate: float | None = Field(
        None, examples=[5.0], gt=0, description="requests a second, at most; 1 for web pages when absent"
    )
    max_mb: int = Field(10_000, ge=1, description="megabytes of all answers together, unpacked, at most")
    certificates: str | None = Field(
        None, examples=["ca.pem"], description="a file with certificates to trust besides the usual ones"
    )

    @field_validator("headers")
    @classmethod
    def _headers_name_their_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if SECRET_HEADER.search(name) and "${" not in text:
                raise _written_out(f"in the header {name}")
        return value

    @field_validator("bearer", "basic")
    @classmethod
    def _login_names_its_secrets(cls, value: str | None) -> str | None:
        if value is not None and "${" not in value:
            raise _written_out("here")
        return value


class StorageSection(Section):
    """Where object storage is, and who asks; what is not said here comes from the usual environment variables."""

    endpoint: str | None = Field(
        None, examples=["https://minio.example.org"], description="the address of a server that speaks like the store"
    )
    region: str | None = Field(None, examples=["eu-central-1"], description="of a bucket of S3")
    key_id: str | None = Field(
        None, examples=["${STORAGE_KEY_ID}"], description="the id of a key, or the name of an account of Azure"
    )
    secret_key: str | None = Field(
        None,
        examples=["${STORAGE_SECRET}"],
        description="the secret of that key, or the JSON of a service account of Google",
    )
    anonymous: bool = Field(False, description="ask without credentials, for buckets that are public")

    @field_validator("secret_key")
    @classmethod
    def _names_its_secret(cls, value: str | None) -> str | None:
        if value is not None and "${" not in value:
            raise _written_out("here")
        return value


class PageSection(Section):
    """Which rows a web page holds: a table, or parts of it that repeat."""

    table: int | None = Field(None, examples=[2], ge=1, description="which table of the page, counted from 1")
    caption: str | None = Field(None, examples=["Population"], description="a part of the table's caption or heading")
    select: str | None = Field(None, examples=["table.data"], description="a CSS selector of the table")
    rows: str | None = Field(
        None, examples=["ul.products > li"], description="a CSS selector of each row, where the rows are no table"
    )
    fields: dict[str, str] = Field(
        default_factory=dict,
        examples=[{"name": "h3", "link": "a@href"}],
        description="for each column a CSS selector inside the row: its text, or an attribute named after @",
    )
    next: str | None = Field(
        None, examples=["a[rel=next]"], description="a CSS selector of the link to the next page, to be followed"
    )


class IncrementalSection(Section):
    """How a source is read again: only what is new is read, and joined to the snapshot before."""

    mode: Literal["append", "upsert", "replace"] | None = Field(
        None,
        description="append puts new rows after the old ones, upsert lets them take the place of old ones with the "
        "same key, replace reads all again when anything changed; upsert when absent and there is a key, else append",
    )
    cursor: str | None = Field(
        None, examples=["updated_at"], description="a column that grows: rows are new from its greatest value on"
    )
    key: tuple[str, ...] = Field((), examples=[["id"]], description="columns that name a row")
    lookback: str | None = Field(
        None,
        examples=["2 days"],
        description="how far before the greatest value late rows are looked for: a number, or so many seconds, "
        "minutes, hours or days",
    )
    on_schema_change: Literal["stop", "add", "ignore"] = Field(
        "stop",
        description="when the source's columns changed: stop says what changed, add takes new columns in (missing in "
        "old rows) and fills lost ones with nothing, ignore keeps to the old columns",
    )

    @property
    def is_wanted(self) -> bool:
        """Whether a source is read again at all, or anew every time."""
        return bool(self.mode or self.cursor or self.key)

    @property
    def way(self) -> Literal["append", "upsert", "replace"]:
        """The mode, chosen or by default."""
        return self.mode or ("upsert" if self.key else "append")


class DataSection(Section):
    """Where the rows come from, and how to read them where detection is wrong."""

    source: str | None = Field(
        None,
        examples=["data/table.csv"],
        description="a file, a folder, a glob of parts, - for standard input, or an address; "
        "a password in it is named, not written: ${VARIABLE} or ${file:PATH}",
    )
    separator: str | None = Field(None, examples=[";"], description="of a CSV file; detected when absent")
    quote: str | None = Field(None, examples=["'"], description="the quote character of a CSV file")
    encoding: str | None = Field(
        None, examples=["cp1252"], description="of a text file, such as utf-8 or cp1252; detected when absent"
    )
    decimal: Literal[".", ","] | None = Field(None, description="the decimal mark of numbers written as text")
    header: bool | None = Field(None, description="whether the first line names the columns; detected when absent")
    sheet: str | None = Field(None, examples=["Sheet1"], description="of an Excel file; the first when absent")
    member: str | None = Field(
        None, examples=["train.csv"], description="of a ZIP archive; the only table in it when absent"
    )
    fixed_width: dict[str, tuple[int, int]] = Field(
        default_factory=dict,
        examples=[{"id": [1, 5], "name": [6, 25]}],
        description="of a text without separators: the first and last character of each column, counted from 1",
    )
    sql: SqlSection = SqlSection()
    http: HttpSection = HttpSection()
    page: PageSection = PageSection()
    storage: StorageSection = StorageSection()
    incremental: IncrementalSection = IncrementalSection()

    @field_validator("source")
    @classmethod
    def _names_its_secrets(cls, value: str | None) -> str | None:
        if value is not None and PASSWORD_WRITTEN_OUT.match(value):
            raise _written_out("in this address")
        return value


class JoinSection(Section):
    """Several sources as one table: each is read into a snapshot of its own, and a query joins those."""

    query: str | None = Field(
        None,
        examples=["SELECT loans.*, people.age FROM loans LEFT JOIN people USING (person)"],
        description="polars SQL over the names under [join.sources], or a file that ends in .sql and holds it",
    )
    base: str | None = Field(
        None,
        examples=["loans"],
        description="the source whose rows are the rows of the table; the first of [join.sources] when absent",
    )
    may_multiply: bool = Field(False, description="whether a row of the base may come more than once out of the join")
    sources: dict[str, DataSection] = Field(
        default_factory=dict,
        examples=[{"loans": {"source": "loans.csv"}, "people": {"source": "people.csv"}}],
        description="the tables to join, by name, each with the keys of [data]: [join.sources.people]",
    )
