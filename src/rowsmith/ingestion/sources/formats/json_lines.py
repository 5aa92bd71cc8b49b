"""JSON Lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import polars as pl

from rowsmith.conform.plain import NULL, common_type
from rowsmith.conform.values import series_of_values, type_of_values
from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.formats.json_text import parse_json
from rowsmith.ingestion.sources.formats.text import as_utf8
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Table
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

ROWS_PER_BATCH = 50_000
MAX_BYTES_KEPT = 1 << 24


class JsonLines:
    name = "json-lines"
    title = "JSON Lines"
    extensions = (".jsonl", ".ndjson", ".jsonlines")
    is_text = True

    def recognises(self, head: bytes) -> bool:
        """Two objects on two lines; one alone may be a document that goes on."""
        lines = head.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n")
        return len(lines) > 1 and lines[0].rstrip().endswith(b"}") and lines[1].startswith(b"{")

    def open(self, file: LocalFile, options: DataSection) -> Table:
        text, encoding = as_utf8(file, options.encoding)
        return JsonLinesTable(text, encoding)


class JsonLinesTable:
    """The first pass finds broken lines, the names and the types; the second gives the rows."""

    def __init__(self, file: LocalFile, encoding: str) -> None:
        self._file = file
        self.facts: JsonObject = {"format": "json-lines", "encoding": encoding}
        self._kept: list[list[dict[str, Any]]] | None = [] if file.size <= MAX_BYTES_KEPT else None
        self.columns = self._first_pass()

    @property
    def description(self) -> str:
        return self._file.name

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        for records in self._kept if self._kept is not None else self._records():
            yield pl.DataFrame(
                [series_of_values(name, [r.get(name) for r in records], dtype) for name, dtype in types.items()]
            )

    def _first_pass(self) -> dict[str, pl.DataType]:
        columns: dict[str, pl.DataType] = {}
        for records in self._records():
            for name in dict.fromkeys(chain.from_iterable(records)):
                found = type_of_values([record.get(name) for record in records])
                columns[name] = common_type([columns.get(name, NULL), found])
            if self._kept is not None:
                self._kept.append(records)
        if not columns:
            raise SourceError("there are no rows with columns in this file", where=self._file.name)
        return columns

    def _records(self) -> Iterator[list[dict[str, Any]]]:
        records: list[dict[str, Any]] = []
        with self._file.open() as content:
            for number, line in enumerate(content, start=1):
                if line.strip():
                    records.append(self._record(line, number))
                if len(records) == ROWS_PER_BATCH:
                    yield records
                    records = []
        if records:
            yield records

    def _record(self, line: bytes, number: int) -> dict[str, Any]:
        where = f"{self._file.name}, line {number}"
        try:
            record = parse_json(line)
        except ValueError as problem:
            raise SourceError(
                f"this line is not valid JSON: {problem}", where=where, allowed="one object a line"
            ) from problem
        if not isinstance(record, dict):
            raise SourceError(
                "each line of JSON Lines is an object", where=where, received=f"a {type(record).__name__}"
            )
        return record
