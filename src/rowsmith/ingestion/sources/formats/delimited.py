"""CSV and TSV. Every value is read as text first; a column is of numbers only when every value in the file is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.ahead import ahead
from rowsmith.ingestion.sources.formats.delimited_dialect import Dialect, detect_dialect
from rowsmith.ingestion.sources.formats.delimited_rows import read_text_batches
from rowsmith.ingestion.sources.formats.delimited_types import TypeEvidence, convert
from rowsmith.ingestion.sources.formats.names import settle_names
from rowsmith.ingestion.sources.formats.text import as_utf8
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Table
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

MAX_BYTES_KEPT = 1 << 25


class Delimited:
    name = "csv"
    title = "CSV"
    extensions = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data")
    is_text = True

    def recognises(self, head: bytes) -> bool:
        """Any text will do."""
        return True

    def open(self, file: LocalFile, options: DataSection) -> Table:
        text, encoding = as_utf8(file, options.encoding)
        return DelimitedTable(text, detect_dialect(text, options), encoding, options.decimal)


class DelimitedTable:
    """The first pass finds broken rows and settles the types; the second gives the rows."""

    def __init__(self, file: LocalFile, dialect: Dialect, encoding: str, decimal: str | None) -> None:
        self._file = file
        self._dialect = dialect
        self._encoding = encoding
        self._names = settle_names(dialect.names, where=f"{file.name}, line 1")
        self._kept: list[pl.DataFrame] | None = [] if file.size <= MAX_BYTES_KEPT else None
        self._types = self._first_pass(decimal)

    @property
    def description(self) -> str:
        return self._file.name

    @property
    def columns(self) -> Mapping[str, pl.DataType]:
        return self._types.columns

    @property
    def facts(self) -> JsonObject:
        dialect = self._dialect
        facts: JsonObject = {
            "format": "csv",
            "separator": dialect.separator,
            "quote": dialect.quote,
            "header": dialect.header,
            "decimal": self._types.decimal,
            "encoding": self._encoding,
        }
        return facts | ({"packing": self._file.packing} if self._file.packing else {})

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        if self._kept is not None:
            yield from (convert(batch, types, self._types, where=self._file.name) for batch in self._kept)
            return
        # Reading, converting and what is done with the rows are three pieces of work at a time.
        texts = ahead(self._texts())
        yield from ahead(convert(batch, types, self._types, where=self._file.name) for batch in texts)

    def _texts(self) -> Iterator[pl.DataFrame]:
        return read_text_batches(self._file, self._dialect, self._names)

    def _first_pass(self, decimal: str | None) -> TypeEvidence:
        evidence = TypeEvidence(self._names, separator=self._dialect.separator, decimal=decimal)
        rows = 0
        for batch in self._texts() if self._kept is not None else ahead(self._texts()):
            rows += batch.height
            evidence.update(batch)
            if self._kept is not None:
                self._kept.append(batch)
        if not rows:
            raise SourceError(
                "this file has a header, but no rows",
                where=self._file.name,
                received=f"the columns {', '.join(self._names)}",
            )
        return evidence
