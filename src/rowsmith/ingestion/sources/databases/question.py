"""Question: what a database is asked for. A table or one query that reads, with its values bound."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources.protocol import Context
from rowsmith.recipe_data import DataSection
from rowsmith.storage.files import inside
from rowsmith.types import JsonObject

QUERY_FILE = ".sql"
READING = ("SELECT", "WITH", "VALUES", "TABLE")
# Text, quoted names and comments, where nothing is a mark or an end; a colon with a name; the end of a statement.
REST = (
    r"""|"(?:[^"]|"")*"|`[^`]*`|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/"""
    r"""|(?<![:\w]):(?P<name>[A-Za-z_]\w*)|(?P<end>;)"""
)
TOKEN = re.compile(r"'(?:[^']|'')*'" + REST, re.DOTALL)
TOKEN_WITH_BACKSLASHES = re.compile(r"'(?:[^'\\]|''|\\.)*'" + REST, re.DOTALL)
COMMENT = re.compile(r"\s*(?:--[^\n]*(?:\n|$)|/\*.*?\*/)", re.DOTALL)
NAME_PART = re.compile(r'"((?:[^"]|"")+)"|`([^`]+)`|([^."`]+)')

Value = str | int | float | bool


@dataclass(frozen=True)
class Dialect:
    """How a database writes names and values. `literal` writes a value into a statement so that it stays a value.

    `token` finds what stands in a statement: in some databases a backslash in a text escapes the quote after it.
    """

    quote: Callable[[str], str]
    literal: Callable[[Value], str]
    token: re.Pattern[str] = TOKEN


@dataclass(frozen=True)
class Question:
    """`relation` is what comes after FROM; `table` the parts of a table's name, None for a query."""

    relation: str
    table: tuple[str, ...] | None
    facts: JsonObject

    @property
    def name(self) -> str:
        """For people."""
        return f"table {'.'.join(self.table)}" if self.table else "the query"


def question_of(options: DataSection, context: Context, dialect: Dialect) -> Question | None:
    """None where neither a table nor a query is named. Raises RecipeError."""
    sql = options.sql
    if sql.table is not None and sql.query is not None:
        raise RecipeError("name either a table or a query, not both", where="data.sql")
    if sql.table is not None:
        if sql.params:
            raise RecipeError("values are bound in a query, and a table is named", where="data.sql.params")
        parts = _name_parts(sql.table)
        return Question(".".join(map(dialect.quote, parts)), parts, {"table": ".".join(parts)})
    if sql.query is None:
        return None
    text = _query_text(sql.query, context)
    params = {
        name: context.secrets.fill(value, where=f"data.sql.params.{name}") if isinstance(value, str) else value
        for name, value in sql.params.items()
    }
    query = _bound(text, params, dialect)
    _require_reading(query)
    return Question(f"(\n{query}\n) AS asked", None, {"query": text, "params": dict(sql.params)})


def none_named(where: str, tables: Sequence[str]) -> RecipeError:
    """What a database is answered that holds these tables, where nobody says which of them is meant."""
    return RecipeError(
        "a database holds many tables, and none is named",
        where=where,
        allowed=", ".join(tables) or "there are no tables that this user sees",
        next_step="name one with --table, or a query with --query",
    )


def _name_parts(table: str) -> tuple[str, ...]:
    parts = tuple(one.replace('""', '"') or two or three for one, two, three in NAME_PART.findall(table))
    if not parts:
        raise RecipeError("this is no name of a table", where="data.sql.table", received=repr(table))
    return parts


def _query_text(query: str, context: Context) -> str:
    if not query.strip().lower().endswith(QUERY_FILE) or "\n" in query.strip():
        return query.strip()
    # A recipe may be somebody else's, so the files that it names lie in its folder.
    path = context.root / query.strip() if context.named_here else inside(context.root, query.strip())
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is no text"
        raise RecipeError(
            f"the file with the query cannot be read: {reason}",
            where=str(path),
            next_step="name a file that holds one SELECT, or write the query itself",
        ) from problem


def _bound(query: str, params: Mapping[str, Value], dialect: Dialect) -> str:
    """The query with its values in place of the names, without the semicolon at its end."""
    missing: list[str] = []
    used: set[str] = set()

    def replaced(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return found[0]
        used.add(name)
        if name not in params:
            missing.append(name)
            return found[0]
        return dialect.literal(params[name])

    bound = dialect.token.sub(replaced, query)
    if missing:
        raise RecipeError(
            f"the query wants a value for :{missing[0]}",
            where="data.sql.query",
            received=f"values for {', '.join(params)}" if params else "no values",
            next_step=f"give it with --param {missing[0]}=VALUE, or under [data.sql.params] in rowsmith.toml",
        )
    if unused := [name for name in params if name not in used]:
        raise RecipeError(
            f'the query has no place for the value "{unused[0]}"',
            where="data.sql.params",
            next_step=f"write :{unused[0]} where it belongs, or leave it out",
        )
    return _without_end(bound, dialect.token)


def one_query(text: str, context: Context, token: re.Pattern[str] = TOKEN) -> str:
    """A query that reads, from a file where a file is named, without the semicolon at its end. Raises RecipeError."""
    query = _without_end(_query_text(text, context), token)
    _require_reading(query)
    return query


def _without_end(query: str, token: re.Pattern[str]) -> str:
    ends = [found.start() for found in token.finditer(query) if found["end"]]
    for end in reversed(ends):
        if COMMENT.sub("", query[end + 1 :]).strip():
            raise RecipeError(
                "there is more than one statement here, and one query is read",
                where="data.sql.query",
                next_step="leave one SELECT; what has to happen before belongs into the database",
            )
        query = query[:end]
    return query.rstrip()


def _require_reading(query: str) -> None:
    bare = COMMENT.sub("", query).lstrip(" \t\r\n(")
    word = re.match(r"\w*", bare)
    verb = word[0].upper() if word else ""
    if not verb:
        raise RecipeError("this query is empty", where="data.sql.query", next_step="write one SELECT")
    if verb not in READING:
        raise RecipeError(
            f"this query does not read, it begins with {verb}",
            where="data.sql.query",
            allowed="one query that reads: SELECT, WITH ... SELECT, VALUES, TABLE",
            next_step="write what is to be read as a SELECT; Rowsmith changes nothing in a database",
        )


def require_names(names: list[str], *, where: str) -> None:
    """Raises SourceError where two columns have one name."""
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SourceError(
            f'two columns have the same name: "{twice}"',
            where=where,
            next_step="give each column of the query a name of its own, with AS",
        )
