"""CSV and TSV. A column is of numbers only when every value in the file is one, and else text, as it was written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from itertools import islice

import polars as pl

from rowsmith.conform.plain import STRING
from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.ahead import ahead
from rowsmith.ingestion.sources.formats.delimited_dialect import detect_dialect
from rowsmith.ingestion.sources.formats.delimited_records import Records, cut_records, no_check
from rowsmith.ingestion.sources.formats.delimited_rows import Rows
from rowsmith.ingestion.sources.formats.delimited_types import TypeEvidence, convert
from rowsmith.ingestion.sources.formats.names import settle_names
from rowsmith.ingestion.sources.formats.text import UTF8, Utf8Check, as_utf8, likely_utf8
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Table, Unsettled
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

MAX_BYTES_KEPT = 1 << 25
GUESSED_PIECES = 2


class Delimited:
    name = "csv"
    title = "CSV"
    extensions = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data")
    is_text = True

    def recognises(self, head: bytes) -> bool:
        """Any text will do."""
        return True

    def open(self, file: LocalFile, options: DataSection) -> Table:
        return DelimitedTable(file, options)


class DelimitedTable:
    """Types are guessed from the first rows, and UTF-8 from the first bytes, until `settle` has looked at all of them;
    where a guess is wrong, `batches` raise Unsettled. A small file is settled from the beginning, and kept.
    """

    def __init__(self, file: LocalFile, options: DataSection) -> None:
        self._original, self._options = file, options
        likely = likely_utf8(file, options.encoding) if file.size > MAX_BYTES_KEPT else None
        if likely is not None:
            with suppress(Unsettled):
                self._begin(likely, UTF8, is_sure=False)
                return
        self._begin_surely()

    def _begin_surely(self) -> None:
        self._begin(*as_utf8(self._original, self._options.encoding), is_sure=True)

    def _begin(self, file: LocalFile, encoding: str, *, is_sure: bool) -> None:
        self._file, self._encoding, self._encoding_is_sure = file, encoding, is_sure
        self._dialect = dialect = detect_dialect(file, self._options)
        self._names = settle_names(dialect.names, where=f"{file.name}, line 1")
        self._rows = Rows(dialect, self._names)
        self._evidence = TypeEvidence(self._names, separator=dialect.separator, decimal=self._options.decimal)
        self._is_settled = file.size <= MAX_BYTES_KEPT
        self._kept = [self._rows.frame(piece, {}) for piece in self._pieces()] if self._is_settled else None
        for batch in self._kept or ():
            self._evidence.update(batch)
        if self._kept is None:
            self._look_at_first()
        if not self._kept and self._is_settled:
            raise self._without_rows()

    @property
    def description(self) -> str:
        return self._file.name

    @property
    def columns(self) -> Mapping[str, pl.DataType]:
        return self._evidence.columns

    @property
    def facts(self) -> JsonObject:
        dialect = self._dialect
        facts: JsonObject = {
            "format": "csv",
            "separator": dialect.separator,
            "quote": dialect.quote,
            "header": dialect.header,
            "decimal": self._evidence.decimal,
            "encoding": self._encoding,
        }
        return facts | ({"packing": self._file.packing} if self._file.packing else {})

    def settle(self) -> None:
        """Look at every row. Raises SourceError for a broken one, and where there is none."""
        if self._is_settled:
            return
        try:
            self._look_at_all()
        except Unsettled:
            self._begin_surely()
            self._look_at_all()
        self._is_settled = self._encoding_is_sure = True

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        if self._kept is not None:
            yield from (self._converted(batch, types) for batch in self._kept)
            return
        # Cutting, parsing and what is done with the rows are three pieces of work at a time.
        frames = self._known(types) if self._is_settled else self._guessed()
        for batch in ahead(frames):
            yield self._converted(batch, types)

    def _converted(self, batch: pl.DataFrame, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
        return convert(batch, types, self._evidence, where=self._file.name)

    def _pieces(self) -> Generator[Records | pl.DataFrame]:
        check = no_check if self._encoding_is_sure else self._utf8_check()
        return cut_records(self._file, self._dialect, self._names, check)

    def _utf8_check(self) -> Callable[[bytes], None]:
        look = Utf8Check(self._file)

        def check(chunk: bytes) -> None:
            if look.fault(chunk):
                raise Unsettled

        return check

    def _look_at_first(self) -> None:
        with closing(self._looked_at()) as batches:
            for _ in islice(batches, GUESSED_PIECES):
                pass

    def _look_at_all(self) -> None:
        if not sum(batch.height for batch in self._looked_at()):
            raise self._without_rows()

    def _looked_at(self) -> Generator[pl.DataFrame]:
        """Every batch, after the evidence has seen it."""
        for piece in ahead(self._pieces()):
            batch = self._rows.frame(piece, self._evidence.numbers)
            self._evidence.update(batch)
            yield batch

    def _guessed(self) -> Iterator[pl.DataFrame]:
        promised, rows = self.columns, 0
        for batch in self._looked_at():
            if self.columns != promised:
                raise Unsettled
            rows += batch.height
            yield batch
        if not rows:
            raise self._without_rows()

    def _known(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        # What becomes text, beside other files of the same table, stays as it is written.
        numbers = {name: dtype for name, dtype in self._evidence.numbers.items() if types[name] != STRING}
        for piece in ahead(self._pieces()):
            yield self._rows.frame(piece, numbers)

    def _without_rows(self) -> SourceError:
        return SourceError(
            "this file has a header, but no rows",
            where=self._file.name,
            received=f"the columns {', '.join(self._names)}",
        )
