"""Records: the rows of a JSON answer, made flat.

An object inside a row becomes columns whose names are joined by dots (`address.city`), to any depth. A list stays one
value, as JSON text: how many rows it should be is nothing that a reader can know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson
import polars as pl

from rowsmith.conform.plain import NULL, common_type
from rowsmith.conform.values import series_of_values, type_of_values
from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources.formats.json_document import columns_of_records
from rowsmith.ingestion.sources.formats.json_text import parse_json

MAX_DEPTH = 20
MAX_PATHS = 8


def parse(content: bytes, *, lines: bool, where: str) -> Any:
    """A document, or the list of those on the lines. Raises SourceError for what is no JSON."""
    try:
        return [parse_json(line) for line in content.splitlines() if line.strip()] if lines else parse_json(content)
    except ValueError as problem:
        head = content[:200].lstrip().lower()
        if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<")):
            raise SourceError(
                "the answer is a web page or XML, and not JSON",
                where=where,
                next_step="look at the address in a browser: it may ask for a login, or say what is wrong",
            ) from problem
        raise SourceError(
            f"the answer is not valid JSON: {problem}",
            where=where,
            next_step='look at the address; format under [data.http] says what it answers, such as "csv"',
        ) from problem


def find_records(document: Any, path: str | None, *, where: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of a document, and the path to them. Raises SourceError where they are not there."""
    if path is None:
        path = _only_list(document, where)
    found = at_path(document, path)
    if isinstance(found, dict):
        found = [found]
    if found is None or not isinstance(found, list):
        raise SourceError(
            f'there are no rows at "{path}" in this answer',
            where=where,
            received=f"keys {', '.join(map(str, document))}" if isinstance(document, dict) else type(document).__name__,
            allowed=f"lists of objects: {', '.join(paths) or 'none here'}" if (paths := _lists(document)) else "",
            next_step="set records under [data.http] to the path of the list, such as data.items",
        )
    for place, record in enumerate(found) if set(map(type, found)) - {dict} else ():
        if not isinstance(record, dict):
            raise SourceError(
                "each row is an object",
                where=f"{where}, row {place + 1}",
                received=f"a {type(record).__name__}",
                next_step="set records under [data.http] to the path of a list of objects",
            )
    return found, path


def at_path(document: Any, path: str) -> Any:
    """What is at `a.b.0`; the document itself for the empty path, None where there is nothing."""
    for part in path.split(".") if path else ():
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document


@dataclass
class Columns:
    """Rows as flat columns of Python's values; `classes` are those of the values of each column, `types` the narrowest
    plain type for all of them (see `conform.values`)."""

    values: list[list[Any]]
    classes: list[set[type]]
    types: dict[str, pl.DataType]

    @classmethod
    def of(cls, records: Sequence[dict[str, Any]], *, where: str) -> Columns:
        columns = columns_of_records(list(records))
        classes = [set(map(type, values)) for values in columns.values()]
        if any(dict in each for each in classes):
            columns = columns_of_records([_flat(record, where) for record in records])
            classes = [set(map(type, values)) for values in columns.values()]
        values = list(columns.values())
        types = {
            str(name): type_of_values(column, each)
            for (name, column), each in zip(columns.items(), classes, strict=True)
        }
        return cls(values, classes, types)

    @property
    def height(self) -> int:
        return len(self.values[0]) if self.values else 0

    def copy(self) -> Columns:
        return Columns([list(column) for column in self.values], [set(each) for each in self.classes], dict(self.types))

    def take(self, other: Columns) -> bool:
        """Add rows, if the frame of all of them is the frames of each, one below the other; whether that is so.

        A value becomes what it is in a frame by itself and the type of its column.
        """
        if list(self.types) != list(other.types):
            return False
        pairs = list(zip(self.types.values(), other.types.values(), strict=True))
        if any(mine != theirs and NULL not in (mine, theirs) for mine, theirs in pairs):
            return False
        for column, more in zip(self.values, other.values, strict=True):
            column.extend(more)
        for each, further in zip(self.classes, other.classes, strict=True):
            each |= further
        self.types = {name: common_type(pair) for name, pair in zip(self.types, pairs, strict=True)}
        return True

    def frame(self) -> pl.DataFrame:
        return pl.DataFrame(
            [
                series_of_values(name, values, dtype, classes)
                for (name, dtype), values, classes in zip(self.types.items(), self.values, self.classes, strict=True)
            ]
        )


def frame_of_records(records: Sequence[dict[str, Any]], *, where: str) -> pl.DataFrame:
    """Flat columns, each in the narrowest plain type."""
    return Columns.of(records, where=where).frame()


def _flat(record: dict[str, Any], where: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in _pairs(record, "", 0):
        if name in flat:
            raise SourceError(
                f'two values of a row come to be called "{name}"',
                where=where,
                next_step="one is nested and one is not: read this source with a script of your own",
            )
        flat[name] = value
    return flat


def _pairs(record: dict[str, Any], before: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        name = f"{before}{key}"
        if isinstance(value, dict) and value and depth < MAX_DEPTH:
            yield from _pairs(value, f"{name}.", depth + 1)
        elif isinstance(value, dict):
            yield name, orjson.dumps(value).decode() if value else None
        else:
            yield name, value


def _only_list(document: Any, where: str) -> str:
    """Where the rows are in a document of which nobody said it. Raises RecipeError where several places may be."""
    if isinstance(document, list):
        return ""
    paths = _lists(document)
    if len(paths) > 1:
        raise RecipeError(
            "there are several lists in this answer",
            where=where,
            received=", ".join(paths),
            next_step="say which one holds the rows: records under [data.http]",
        )
    if paths:
        return paths[0]
    if isinstance(document, dict) and any(isinstance(value, list) for value in document.values()):
        # An empty page has the list, and nothing in it.
        return next(str(key) for key, value in document.items() if isinstance(value, list))
    return ""


def _lists(document: Any, before: str = "", depth: int = 0) -> list[str]:
    """Paths of lists of objects, the outermost first."""
    if not isinstance(document, dict) or depth > 3:
        return []
    here = [f"{before}{key}" for key, value in document.items() if _is_rows(value)]
    inside = (_lists(value, f"{before}{key}.", depth + 1) for key, value in document.items())
    return [*here, *chain.from_iterable(inside)][:MAX_PATHS]


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value[:10])
