"""Database servers that SQLAlchemy has a dialect for: MariaDB and MySQL, and whatever else is installed.

Rows come from a cursor of the server's side, so that no more than a batch of them is here at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import polars as pl

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.address import scheme_of, shown
from rowsmith.ingestion.sources.cursor import Cursor, as_text
from rowsmith.ingestion.sources.databases import mysql_types
from rowsmith.ingestion.sources.databases.faults import translated
from rowsmith.ingestion.sources.databases.question import (
    TOKEN_WITH_BACKSLASHES,
    Dialect,
    Question,
    none_named,
    question_of,
    require_names,
)
from rowsmith.ingestion.sources.databases.spool import Spool
from rowsmith.ingestion.sources.protocol import Context, Opened
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

ROWS_PER_BATCH = 20_000
CONNECT_SECONDS = 10
MYSQL = ("mysql", "mariadb")
NOT_DATABASES = ("http", "https", "file", "s3", "gs", "az", "abfs", "abfss", "gcs", "ftp", "sftp")
BEGIN = {
    "mysql": (
        "SET SESSION sql_mode = ''",
        "SET SESSION time_zone = '+00:00'",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ),
    "sqlite": ("PRAGMA query_only = ON",),
    "oracle": ("SET TRANSACTION READ ONLY",),
}


class DatabaseServer:
    """A table or a query of a database by an SQLAlchemy address, in a read-only transaction where there is such."""

    name = "database"

    def accepts(self, origin: object) -> bool:
        scheme = scheme_of(origin)
        if not scheme or scheme in NOT_DATABASES:
            return False
        from sqlalchemy.dialects import registry
        from sqlalchemy.exc import NoSuchModuleError

        try:
            registry.load(scheme.replace("+", "."))
        except NoSuchModuleError:
            return False
        return True

    def open(self, origin: object, options: DataSection, context: Context) -> Opened:
        address = context.secrets.fill(str(origin), where="data.source")
        connection = Connection(address, context)
        try:
            return self._opened(connection, options, context)
        except BaseException:
            connection.close()
            raise

    def _opened(self, connection: Connection, options: DataSection, context: Context) -> Opened:
        question = question_of(options, context, connection.dialect)
        if question is None:
            raise none_named(connection.where, connection.tables())
        cursor = Cursor(options.incremental, context.since)
        kind = MySqlTable if connection.is_pymysql else SpooledTable
        return Opened(kind(connection, question, cursor), mark=cursor.mark, only_new=cursor.start is not None)


class _ServerTable:
    def __init__(self, connection: Connection, question: Question, cursor: Cursor) -> None:
        self.description = f"{connection.where} {question.name}"
        self.facts: JsonObject = {"format": connection.name, **question.facts}
        self._connection = connection
        self._question = question
        self._cursor = cursor

    def _statement(self) -> str:
        column, start = self._cursor.column, self._cursor.start
        if column is None or start is None:
            return f"SELECT * FROM {self._question.relation}"
        quoted, dialect = self._connection.dialect.quote(column), self._connection.dialect
        return f"SELECT * FROM {self._question.relation} WHERE {quoted} >= {dialect.literal(as_text(start))}"


class MySqlTable(_ServerTable):
    """The server says the types of the columns before the first row, and values come as it wrote them."""

    def __init__(self, connection: Connection, question: Question, cursor: Cursor) -> None:
        super().__init__(connection, question, cursor)
        self._kinds = self._settled(connection.fields(f"SELECT * FROM {question.relation} LIMIT 0", question))
        require_names(list(self._kinds), where=self.description)
        cursor.require(self._kinds, where=self.description)
        self.columns: Mapping[str, pl.DataType] = {name: kind.dtype for name, kind in self._kinds.items()}

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        kinds = list(self._kinds.items())
        try:
            for rows in self._connection.rows(self._statement(), self._question):
                columns = zip(*rows, strict=True)
                batch = pl.DataFrame(
                    [
                        kind.series(name, values, types[name], where=self.description)
                        for (name, kind), values in zip(kinds, columns, strict=True)
                    ]
                )
                self._cursor.see(batch)
                yield batch
        finally:
            self._connection.close()

    def _settled(self, fields: list[tuple[str, Any]]) -> dict[str, mysql_types.Kind]:
        """A column of TINYINT(1) is of booleans where it holds no more than 0 and 1."""
        names = [name for name, _ in fields]
        require_names(names, where=self.description)
        kinds = {name: mysql_types.kind_of(field) for name, field in fields}
        maybe = [name for name, kind in kinds.items() if kind is mysql_types.MAYBE_BOOLEAN]
        if not maybe:
            return kinds
        quote = self._connection.dialect.quote
        asked = ", ".join(f"COALESCE(MAX({quote(name)} NOT IN (0, 1)), 0)" for name in maybe)
        (found,) = next(self._connection.rows(f"SELECT {asked} FROM {self._question.relation}", self._question))
        return kinds | {
            name: mysql_types.INTEGER for name, more in zip(maybe, found, strict=True) if str(more) not in ("0", "None")
        }


class SpooledTable(_ServerTable):
    """Nobody says the types before the last row, so rows are kept on disk until all of them are known."""

    def __init__(self, connection: Connection, question: Question, cursor: Cursor) -> None:
        super().__init__(connection, question, cursor)
        names = [name for name, _ in connection.fields(f"SELECT * FROM {question.relation} WHERE 1 = 0", question)]
        require_names(names, where=self.description)
        cursor.require(names, where=self.description)
        self._spool = Spool(names, where=self.description)
        try:
            for rows in connection.rows(self._statement(), question):
                self._spool.add(rows)
        finally:
            connection.close()
        self.columns = self._spool.columns

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        for batch in self._spool.batches(types):
            self._cursor.see(batch)
            yield batch


class Connection:
    """A connection with its transaction open. Errors of the driver leave it translated."""

    def __init__(self, address: str, context: Context) -> None:
        self.where = shown(address)
        self._context = context
        with self._translating():
            from sqlalchemy import create_engine
            from sqlalchemy.pool import NullPool

            url = _url(address)
            self._engine = create_engine(url, poolclass=NullPool, hide_parameters=True, **_arguments(url))
            self._connection = self._engine.connect().execution_options(
                stream_results=True, max_row_buffer=ROWS_PER_BATCH, no_parameters=True
            )
            self.name = self._engine.dialect.name
            for statement in BEGIN.get("mysql" if self.name in MYSQL else self.name, ()):
                self._connection.exec_driver_sql(statement)
            self.is_pymysql = self._engine.dialect.driver == "pymysql"
            if self.is_pymysql:
                # Values as the server wrote them: polars reads numbers and dates faster than Python does.
                driver: Any = self._connection.connection.driver_connection
                driver.decoders = {}
                self._driver = driver
        quote = self._engine.dialect.identifier_preparer.quote_identifier
        token = {"token": TOKEN_WITH_BACKSLASHES} if self.name in MYSQL else {}
        self.dialect = Dialect(quote, self._literal, **token)

    def close(self) -> None:
        """At once: the rest of a result is not waited for, and a connection that was lost stays lost."""
        if self.is_pymysql and (result := getattr(self._driver, "_result", None)) is not None:
            # Else its destructor would read on, from a connection that is closed.
            result.unbuffered_active = False
        if not self._connection.closed:
            self._connection.invalidate()
            self._connection.close()
        self._engine.dispose()

    def tables(self) -> list[str]:
        from sqlalchemy import inspect

        with self._translating(), self._engine.connect() as other:
            inspector = inspect(other)
            return sorted([*inspector.get_table_names(), *inspector.get_view_names()])

    def fields(self, statement: str, question: Question) -> list[tuple[str, Any]]:
        """Names of the columns, with what the driver says of each."""
        with self._translating(question):
            result = self._connection.exec_driver_sql(statement)
            found = [(field[0], field) for field in result.cursor.description]
            result.close()
            return found

    def rows(self, statement: str, question: Question) -> Iterator[list[Any]]:
        with self._translating(question):
            result = self._connection.exec_driver_sql(statement)
            for rows in result.partitions(ROWS_PER_BATCH):
                yield list(rows)

    def _literal(self, value: object) -> str:
        if isinstance(value, bool):
            return "1" if value else "0"
        if isinstance(value, int | float):
            return repr(value)
        text = str(value).replace("'", "''")
        if self.name in MYSQL:
            text = text.replace("\\", "\\\\")
        return f"'{text}'"

    @contextmanager
    def _translating(self, question: Question | None = None) -> Iterator[None]:
        from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

        where = f"{self.where} {question.name}" if question else self.where
        try:
            yield
        except ModuleNotFoundError as problem:
            raise SourceError(
                f"the driver of this database is not installed: {problem.name}",
                where=where,
                next_step=f"install it beside Rowsmith: pip install {problem.name}",
            ) from problem
        except (SQLAlchemyError, NoSuchModuleError, OSError, ValueError, _driver_error(self)) as problem:
            cause = getattr(problem, "orig", None) or problem
            message = self._context.secrets.hide(str(cause))
            tables, wanted = self._alternatives(message, question)
            raise translated(message, where=where, tables=tables, wanted=wanted) from problem

    def _alternatives(self, message: str, question: Question | None) -> tuple[list[str], str]:
        if question is None or question.table is None or ("1146" not in message and "no such table" not in message):
            return [], ""
        return self.tables(), ".".join(question.table)


def _driver_error(connection: Connection) -> type[Exception]:
    """The family of the driver's own errors: rows are fetched from its cursor, past SQLAlchemy."""
    engine = getattr(connection, "_engine", None)
    found = getattr(getattr(engine, "dialect", None), "dbapi", None)
    error: type[Exception] = getattr(found, "Error", OSError)
    return error


def _url(address: str) -> Any:
    from sqlalchemy import make_url

    url = make_url(address)
    # The driver that comes with Rowsmith, where the address names none.
    return url.set(drivername=f"{url.drivername}+pymysql") if url.drivername in MYSQL else url


def _arguments(url: Any) -> dict[str, Any]:
    if url.get_backend_name() in MYSQL:
        # A server may ask its client for any file of his, where he lets it.
        return {"connect_args": {"connect_timeout": CONNECT_SECONDS, "charset": "utf8mb4", "local_infile": False}}
    return {}
