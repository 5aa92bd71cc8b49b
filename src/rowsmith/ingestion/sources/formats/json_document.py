"""JSON: one array of objects, or one object of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

import polars as pl

from rowsmith.conform.values import series_of_values, type_of_values
from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.formats.json_lines import JsonLines
from rowsmith.ingestion.sources.formats.json_text import parse_json
from rowsmith.ingestion.sources.formats.text import as_utf8
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Table
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

ALLOWED = 'an array of objects, [{"a": 1}, {"a": 2}], or an object of arrays, {"a": [1, 2]}'


class JsonDocument:
    name = "json"
    title = "JSON"
    extensions = (".json",)
    is_text = True

    def recognises(self, head: bytes) -> bool:
        return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"[", b"{"))

    def open(self, file: LocalFile, options: DataSection) -> Table:
        """A file of JSON Lines that is called .json is read as what it is."""
        text, encoding = as_utf8(file, options.encoding)
        with text.open() as content:
            data = content.read()
        try:
            document = parse_json(data)
        except ValueError as problem:
            if _is_json(data.lstrip().split(b"\n", 1)[0]):
                return JsonLines().open(file, options)
            raise SourceError(f"this is not valid JSON: {problem}", where=file.name) from problem
        return JsonTable(file.name, _columns(document, file.name), encoding)


class JsonTable:
    """A document is read whole: the format has no parts."""

    def __init__(self, name: str, values: Mapping[str, list[Any]], encoding: str) -> None:
        self.description = name
        self.facts: JsonObject = {"format": "json", "encoding": encoding}
        self._values = values
        self.columns = {name: type_of_values(column) for name, column in values.items()}

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        yield pl.DataFrame([series_of_values(name, self._values[name], dtype) for name, dtype in types.items()])


def columns_of_records(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Every key of any record, in the order of their first appearance; a key that a record lacks is missing there."""
    if not records:
        return {}
    first = list(records[0])
    if sum(map(len, records)) == len(first) * len(records):
        try:
            # Each has all of these keys, and so no other.
            return {name: list(map(itemgetter(name), records)) for name in first}
        except KeyError:
            pass
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False


def _columns(document: Any, where: str) -> dict[str, list[Any]]:
    if isinstance(document, list):
        for place, record in enumerate(document):
            if not isinstance(record, dict):
                raise SourceError(
                    "each row of a JSON table is an object",
                    where=f"{where}, row {place + 1}",
                    received=f"a {type(record).__name__}",
                    allowed=ALLOWED,
                )
        columns = columns_of_records(document)
    elif isinstance(document, dict) and document and all(isinstance(value, list) for value in document.values()):
        columns = dict(document)
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            received = ", ".join(f"{name}: {length}" for name, length in lengths.items())
            raise SourceError("the columns of this table differ in length", where=where, received=received)
    elif isinstance(document, dict) and document and not any(isinstance(v, dict | list) for v in document.values()):
        columns = columns_of_records([document])
    else:
        raise SourceError("this JSON is no table", where=where, allowed=ALLOWED)
    if not columns or not any(columns.values()):
        raise SourceError("this table has no rows", where=where, allowed=ALLOWED)
    return columns
