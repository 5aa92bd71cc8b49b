"""PostgreSQL through ADBC: rows leave the server by COPY and become Arrow batches without a Python object each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

from rowsmith.conform.plain import plain_frame, plain_type
from rowsmith.errors import RecipeError
from rowsmith.ingestion.sources.address import scheme_of, shown
from rowsmith.ingestion.sources.cursor import Cursor, as_text
from rowsmith.ingestion.sources.databases.faults import translated
from rowsmith.ingestion.sources.databases.question import Dialect, Question, none_named, question_of, require_names
from rowsmith.ingestion.sources.protocol import Context, Opened
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

if TYPE_CHECKING:
    import adbc_driver_manager as adbc

SCHEMES = re.compile(r"(postgresql|postgres)(\+\w+)?")
CONNECT_SECONDS = 10
BATCH_BYTES = 16 << 20
BEGIN = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    # The same rows in the same order, whoever else reads: snapshots are named by both.
    "SET LOCAL synchronize_seqscans = off",
    "SET LOCAL max_parallel_workers_per_gather = 0",
    "SET LOCAL TimeZone = 'UTC'",
)
# Types that arrive as they are; all others are written by the server.
NATIVE = frozenset(("bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar"))
WITH_INFINITY = frozenset(("date", "timestamp", "timestamptz"))
# What the driver adds to the server's message.
QUERY_AGAIN = re.compile(r"\s*Query was:.*", re.DOTALL)
EXACT_DIGITS = 18
TABLES = """
    SELECT CASE WHEN table_schema = ANY (current_schemas(false)) THEN '' ELSE table_schema || '.' END || table_name
    FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""


def quote_name(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def literal(value: object) -> str:
    """A value as text whose type the server finds from where it stands."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"'{value!r}'"
    text = str(value)
    if "\0" in text:
        raise RecipeError("a text for PostgreSQL has no null character", where="data.sql.params")
    doubled = text.replace("'", "''").replace("\\", "\\\\")
    return f"E'{doubled}'" if "\\" in doubled else f"'{doubled}'"


DIALECT = Dialect(quote_name, literal)


class PostgreSQL:
    """A table or a query of a PostgreSQL server, in one read-only transaction."""

    name = "postgresql"

    def accepts(self, origin: object) -> bool:
        return SCHEMES.fullmatch(scheme_of(origin)) is not None

    def open(self, origin: object, options: DataSection, context: Context) -> Opened:
        address = context.secrets.fill(str(origin), where="data.source")
        connection = _Connection(address, context)
        try:
            return self._opened(connection, options, context)
        except BaseException:
            connection.close()
            raise

    def _opened(self, connection: _Connection, options: DataSection, context: Context) -> Opened:
        question = question_of(options, context, DIALECT)
        if question is None:
            raise none_named(connection.where, connection.tables())
        cursor = Cursor(options.incremental, context.since)
        table = PostgresTable(connection, question, cursor)
        expected = connection.estimate(question) if cursor.start is None else None
        return Opened(table, mark=cursor.mark, only_new=cursor.start is not None, expected_rows=expected)


class PostgresTable:
    def __init__(self, connection: _Connection, question: Question, cursor: Cursor) -> None:
        self.description = f"{connection.where} {question.name}"
        self.facts: JsonObject = {"format": "postgresql", **question.facts}
        self._connection = connection
        self._question = question
        self._cursor = cursor
        expressions = connection.expressions(question)
        cursor.require(expressions, where=self.description)
        listed = ", ".join(f"{expression} AS {quote_name(name)}" for name, expression in expressions.items())
        self._statement = f"SELECT {listed} FROM {question.relation}"
        self.columns: Mapping[str, pl.DataType] = {
            name: plain_type(dtype) for name, dtype in connection.schema(self._statement, question).items()
        }

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        statement = self._statement
        start = self._cursor.start
        if start is not None and self._cursor.column is not None:
            statement += f" WHERE {quote_name(self._cursor.column)} >= {literal(as_text(start))}"
        try:
            for batch in self._connection.stream(statement, self._question):
                plain = plain_frame(batch, types, where=self.description)
                self._cursor.see(plain)
                yield plain
        finally:
            self._connection.close()


class _Connection:
    """A connection with its transaction open. Errors of the driver leave it translated."""

    def __init__(self, address: str, context: Context) -> None:
        self.where = shown(address)
        self._context = context
        with self._translating():
            import adbc_driver_manager as adbc
            import adbc_driver_postgresql

            self._adbc = adbc
            self._database = adbc_driver_postgresql.connect(_for_libpq(address))
            self._connection = adbc.AdbcConnection(self._database)
        for statement in BEGIN:
            with self._translating(), self._statement(statement) as opened:
                opened.execute_update()

    def close(self) -> None:
        self._connection.close()
        self._database.close()

    def tables(self) -> list[str]:
        return self._values(TABLES)

    def estimate(self, question: Question) -> int | None:
        """About how many rows a table has, as the server's statistics say."""
        if question.table is None:
            return None
        name = literal(question.relation)
        found = self._values(f"SELECT reltuples::bigint FROM pg_class WHERE oid = {name}::regclass")
        return int(found[0]) if found and found[0] >= 0 else None

    def expressions(self, question: Question) -> dict[str, str]:
        """For each column of the relation what to select, so that it arrives as a plain type."""
        with self._translating(question), self._statement(f"SELECT * FROM {question.relation} LIMIT 0") as opened:
            import nanoarrow

            fields = list(nanoarrow.Schema(opened.execute_schema()).fields)
        require_names([field.name for field in fields], where=f"{self.where} {question.name}")
        return {field.name: _expression(field) for field in fields}

    def schema(self, statement: str, question: Question) -> Mapping[str, pl.DataType]:
        with self._translating(question), self._statement(f"{statement} LIMIT 0") as opened:
            handle, _ = opened.execute_query()
            return pl.DataFrame(handle).schema

    def stream(self, statement: str, question: Question) -> Iterator[pl.DataFrame]:
        import nanoarrow

        with self._translating(question), self._statement(statement) as opened:
            opened.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
            handle, _ = opened.execute_query()
            with nanoarrow.c_array_stream(handle) as arrays:
                for array in arrays:
                    yield pl.Series(array).struct.unnest()

    def _values(self, statement: str) -> list[Any]:
        with self._translating(), self._statement(statement) as opened:
            handle, _ = opened.execute_query()
            return pl.DataFrame(handle).to_series().to_list()

    @contextmanager
    def _statement(self, text: str) -> Iterator[adbc.AdbcStatement]:
        with self._adbc.AdbcStatement(self._connection) as opened:
            opened.set_sql_query(text)
            yield opened

    @contextmanager
    def _translating(self, question: Question | None = None) -> Iterator[None]:
        import adbc_driver_manager as adbc
        from nanoarrow._utils import NanoarrowException

        try:
            yield
        except (adbc.Error, NanoarrowException, pl.exceptions.ComputeError) as problem:
            state = getattr(problem, "sqlstate", None) or ""
            message = self._context.secrets.hide(QUERY_AGAIN.sub("", str(problem)))
            name = f" {question.name}" if question else ""
            tables, wanted = self._alternatives(state, question)
            raise translated(message, where=f"{self.where}{name}", tables=tables, wanted=wanted) from problem

    def _alternatives(self, state: str, question: Question | None) -> tuple[list[str], str]:
        """The tables that there are, when the one that was asked for is not."""
        if state != "42P01" or question is None or question.table is None:
            return [], ""
        with self._statement("ROLLBACK") as opened:
            opened.execute_update()
        return self.tables(), ".".join(question.table)


def _for_libpq(address: str) -> str:
    """The address as libpq reads it: one name of the scheme, and an end to waiting for a server that is not there."""
    rest = address.partition("://")[2]
    found = [f"{name}={quote(value)}" for name, value in _defaults().items() if f"{name}=" not in rest]
    joint = "&" if "?" in rest else "?"
    return f"postgresql://{rest}{joint}{'&'.join(found)}" if found else f"postgresql://{rest}"


def _defaults() -> dict[str, str]:
    return {"connect_timeout": str(CONNECT_SECONDS), "application_name": "rowsmith"}


def _expression(field: Any) -> str:
    metadata = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    kind = metadata.get("POSTGRESQL:type") or metadata.get("ADBC:postgresql:typname") or ""
    name = quote_name(field.name)
    if kind in NATIVE:
        return name
    if kind in WITH_INFINITY:
        return f"CASE WHEN isfinite({name}) THEN {name} END"
    if kind == "numeric":
        return f"{name}::{_number_type(int(metadata.get('POSTGRESQL:typmod', -1)))}"
    if kind == "money":
        return f"{name}::numeric::float8"
    if kind == "interval":
        return f"extract(epoch FROM {name})::float8"
    if kind == "bytea":
        return f"encode({name}, 'hex')"
    return f"to_json({name})::text" if kind.startswith("_") else f"{name}::text"


def _number_type(typmod: int) -> str:
    """`typmod` holds precision and scale, and is negative where neither was declared."""
    precision, scale = (typmod - 4 >> 16) & 0xFFFF, typmod - 4 & 0x7FF
    return "int8" if typmod >= 4 and scale == 0 and precision <= EXACT_DIGITS else "float8"
