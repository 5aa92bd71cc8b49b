"""SQLite: a whole database in a file. A value has a type there, a column has none, so all of them are looked at."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from rowsmith.conform.plain import BOOLEAN, FLOAT64, INT64, NULL, STRING, plain_series
from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources.address import scheme_of
from rowsmith.ingestion.sources.cursor import Cursor, as_text
from rowsmith.ingestion.sources.databases.faults import translated
from rowsmith.ingestion.sources.databases.question import Dialect, Question, question_of, require_names
from rowsmith.ingestion.sources.protocol import Context, Opened
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

MARK = b"SQLite format 3\x00"
SCHEME = "sqlite:///"
ROWS_PER_BATCH = 50_000
TABLES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"


def quote_name(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def literal(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int | float):
        return repr(value)
    doubled = str(value).replace("'", "''")
    return f"'{doubled}'"


DIALECT = Dialect(quote_name, literal)


class SqliteFile:
    """A table or a query of an SQLite file, which is opened for reading only."""

    name = "sqlite"

    def accepts(self, origin: object) -> bool:
        if scheme_of(origin) == "sqlite":
            return True
        if not isinstance(origin, str | Path) or scheme_of(str(origin)):
            return False
        path = Path(origin).expanduser()
        try:
            if not path.is_file():
                return False
            with path.open("rb") as file:
                return file.read(len(MARK)) == MARK
        except OSError:
            return False

    def open(self, origin: object, options: DataSection, context: Context) -> Opened | None:
        text = str(origin)
        path = Path(text.removeprefix(SCHEME)).expanduser()
        if not path.is_file():
            raise SourceError("there is no such file", where=str(path), next_step="check the path of the SQLite file")
        cursor = Cursor(options.incremental, context.since)
        stat = _stat(path)
        if context.since is not None and context.since.get("stat") == stat:
            return None
        table = SqliteTable(path, _question(path, options, context), cursor)
        return Opened(
            table,
            mark=lambda: {**(cursor.mark() or {}), "stat": stat},
            only_new=cursor.start is not None,
            expected_rows=table.rows,
        )


class SqliteTable:
    def __init__(self, path: Path, question: Question, cursor: Cursor) -> None:
        self.description = f"{path} {question.name}"
        self.facts: JsonObject = {"format": "sqlite", **question.facts}
        self._path = path
        self._question = question
        self._cursor = cursor
        condition = ""
        if cursor.column is not None and cursor.start is not None:
            condition = f" WHERE {quote_name(cursor.column)} >= {literal(as_text(cursor.start))}"
        self._relation = f"{question.relation}{condition}"
        with _connected(path, self.description, question) as connection:
            names = [field[0] for field in connection.execute(f"SELECT * FROM {question.relation} LIMIT 0").description]
            require_names(names, where=self.description)
            cursor.require(names, where=self.description)
            booleans = _declared_booleans(connection, question)
            asked = ", ".join(_evidence(name) for name in names)
            self.rows, *found = connection.execute(f"SELECT count(*), {asked} FROM {self._relation}").fetchone()
        evidence = zip(names, zip(*[iter(found)] * 4, strict=True), strict=True)
        self.columns: Mapping[str, pl.DataType] = {
            name: _type(*counts, declared_boolean=name in booleans) for name, counts in evidence
        }

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        with _connected(self._path, self.description, self._question) as connection:
            # A word that is no UTF-8 is kept as far as it can be read.
            connection.text_factory = lambda text: text.decode(errors="replace")
            rows = connection.execute(f"SELECT * FROM {self._relation}")
            while found := rows.fetchmany(ROWS_PER_BATCH):
                columns = zip(types.items(), zip(*found, strict=True), strict=True)
                batch = pl.DataFrame(
                    [self._series(name, values, dtype) for (name, dtype), values in columns],
                )
                self._cursor.see(batch)
                yield batch

    def _series(self, name: str, values: Sequence[Any], dtype: pl.DataType) -> pl.Series:
        found = self.columns[name]
        if found == STRING:
            values = [value.hex() if isinstance(value, bytes) else value for value in values]
            return pl.Series(name, [value if value is None else str(value) for value in values], dtype=STRING)
        physical = INT64 if found == BOOLEAN else found
        return plain_series(pl.Series(name, values, dtype=physical, strict=False).cast(found), dtype, where=self._where)

    @property
    def _where(self) -> str:
        return self.description


def _question(path: Path, options: DataSection, context: Context) -> Question:
    """What was asked for; the one table where there is but one."""
    question = question_of(options, context, DIALECT)
    if question is not None:
        return question
    with _connected(path, str(path), None) as connection:
        tables = [name for (name,) in connection.execute(TABLES)]
    if len(tables) != 1:
        raise RecipeError(
            "this SQLite file holds several tables, and none is named" if tables else "this SQLite file has no tables",
            where=str(path),
            allowed=", ".join(tables),
            next_step="name one with --table, or a query with --query" if tables else "check whether it is the one",
        )
    return Question(quote_name(tables[0]), (tables[0],), {"table": tables[0]})


@contextmanager
def _connected(path: Path, where: str, question: Question | None) -> Iterator[sqlite3.Connection]:
    """Open for reading only; errors leave the block translated."""
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            connection.execute("PRAGMA query_only = ON")
            yield connection
    except (sqlite3.Error, OverflowError) as problem:
        tables, wanted = [], ""
        if question is not None and question.table and "no such table" in str(problem):
            with closing(sqlite3.connect(address, uri=True)) as connection:
                tables = [name for (name,) in connection.execute(TABLES)]
            wanted = ".".join(question.table)
        raise translated(str(problem), where=where, tables=tables, wanted=wanted) from problem


def _declared_booleans(connection: sqlite3.Connection, question: Question) -> set[str]:
    if question.table is None:
        return set()
    declared = connection.execute(f"SELECT name, type FROM pragma_table_info({literal(question.table[-1])})")
    return {name for name, kind in declared if kind.upper() in ("BOOLEAN", "BOOL")}


def _evidence(name: str) -> str:
    quoted = quote_name(name)
    kinds = [f"total(typeof({quoted}) = '{kind}')" for kind in ("integer", "real")]
    return ", ".join([*kinds, f"total(typeof({quoted}) IN ('text', 'blob'))", f"total({quoted} NOT IN (0, 1))"])


def _type(integers: float, reals: float, texts: float, beyond: float, *, declared_boolean: bool) -> pl.DataType:
    if texts:
        return STRING
    if declared_boolean and integers and not reals and not beyond:
        return BOOLEAN
    if reals:
        return FLOAT64
    return INT64 if integers else NULL


def _stat(path: Path) -> list[int]:
    """Of the file and of the log beside it, where newer pages are."""
    log = path.with_name(f"{path.name}-wal")
    found = [path.stat(), *([log.stat()] if log.exists() and log.stat().st_size else [])]
    return [number for one in found for number in (one.st_size, one.st_mtime_ns, one.st_ino)]
