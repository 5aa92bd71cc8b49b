"""The records of a CSV file as batches of text columns, in bounded memory, with broken rows named.

Chunks of bytes are cut at the ends of records and handed to polars. That is exact as long as quotes stand only around
fields, which is checked; from the first chunk where they do not, Python's csv module reads on, slower.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.formats.delimited_dialect import Dialect
from rowsmith.ingestion.sources.local_file import LocalFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK_BYTES = 1 << 23
MAX_RECORD_BYTES = 1 << 26
ROWS_OF_SLOW_BATCH = 50_000
NEWLINE, RETURN = 10, 13
Positions = npt.NDArray[np.int64]


class _QuotesAstray(Exception):
    """Quotes that do not stand around fields."""


def read_text_batches(file: LocalFile, dialect: Dialect, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Frames of String columns; an empty field is null. Blank lines are skipped where there are several columns.

    Raises SourceError naming line and row for a record with too few or too many fields, or an unclosed quote.
    """
    with file.open() as content:
        reader = _Reader(file.name, dialect, names, content)
        yield from reader.batches()


class _Reader:
    def __init__(self, where: str, dialect: Dialect, names: Sequence[str], content: BinaryIO) -> None:
        self.where, self.dialect, self.names, self.content = where, dialect, list(names), content
        self.lines = 0
        self.rows = 0
        self.header_pending = dialect.header

    def batches(self) -> Iterator[pl.DataFrame]:
        rest = b""
        while True:
            fresh = self.content.read(CHUNK_BYTES)
            data = rest + fresh
            if not data:
                return
            try:
                frame, used = self._fast(data, at_end=not fresh)
            except _QuotesAstray:
                yield from self._slow(data)
                return
            if not used and len(data) > MAX_RECORD_BYTES:
                yield from self._slow(data)
                return
            if frame is not None and frame.height:
                yield frame
            rest = data[used:]
            if not fresh:
                return

    def _fast(self, data: bytes, *, at_end: bool) -> tuple[pl.DataFrame | None, int]:
        """The whole records at the head of `data`, and how many bytes they are."""
        if at_end and not data.endswith(b"\n"):
            data += b"\n"
        buffer = np.frombuffer(data, dtype=np.uint8)
        quote = ord(self.dialect.quote)
        quotes = np.flatnonzero(buffer == quote) if self.dialect.quote.encode() in data else np.empty(0, np.int64)
        newlines = np.flatnonzero(buffer == NEWLINE)
        ends = _outside(newlines, quotes)
        if at_end and len(quotes) % 2:
            raise _QuotesAstray
        if not len(ends):
            return None, 0
        used = int(ends[-1]) + 1
        quotes = quotes[: np.searchsorted(quotes, used)]
        separator = ord(self.dialect.separator)
        _check_quotes(buffer, quotes, quote, separator)
        separators = _outside(np.flatnonzero(buffer[:used] == separator), quotes)
        kept = self._check_records(buffer, ends, separators, newlines)
        self.lines += int(np.searchsorted(newlines, used))
        return self._parse(data[:used] if kept is None else kept, quoted=len(quotes) > 0), used

    def _check_records(
        self, buffer: npt.NDArray[np.uint8], ends: Positions, separators: Positions, newlines: Positions
    ) -> bytes | None:
        """The bytes without header and blank lines, None where there are none of these. Raises for a broken row."""
        starts = np.concatenate([[0], ends[:-1] + 1])
        bounds = np.searchsorted(separators, np.concatenate([[0], ends]))
        fields = np.diff(bounds) + 1
        lengths = ends - starts
        blank = (lengths == 0) | ((lengths == 1) & (buffer[starts] == RETURN))
        if len(self.names) == 1:
            blank &= False
        dropped = blank.copy()
        if self.header_pending:
            header = int(np.argmin(blank))
            if blank[header]:
                return b""
            dropped[: header + 1] = True
            self.header_pending = False
        wrong = np.flatnonzero((fields != len(self.names)) & ~dropped)
        if len(wrong):
            first = int(wrong[0])
            row = self.rows + int(np.count_nonzero(~dropped[:first])) + 1
            line = self.lines + int(np.searchsorted(newlines, starts[first])) + 1
            raise self._ragged(line, row, int(fields[first]))
        self.rows += int(np.count_nonzero(~dropped))
        if not dropped.any():
            return None
        mask = np.repeat(~dropped, lengths + 1)
        return bytes(buffer[: len(mask)][mask])

    def _parse(self, data: bytes, *, quoted: bool) -> pl.DataFrame | None:
        if not data:
            return None
        # Bytes that happen to begin like a compressed file ("x^") would be unpacked; a first line keeps polars from it.
        frame = pl.read_csv(
            b"-\n" + data,
            skip_lines=1,
            has_header=False,
            schema={name: pl.String() for name in self.names},
            separator=self.dialect.separator,
            quote_char=self.dialect.quote if quoted else None,
        )
        return _without_empty_text(frame) if quoted else frame

    def _slow(self, data: bytes) -> Iterator[pl.DataFrame]:
        text = io.TextIOWrapper(io.BufferedReader(_Joined(data, self.content)), encoding="utf-8", newline="")
        reader = csv.reader(
            text, delimiter=self.dialect.separator, quotechar=self.dialect.quote, skipinitialspace=True, strict=True
        )
        records: list[list[str]] = []
        before = 0
        try:
            for record in reader:
                line, before = self.lines + before + 1, reader.line_num
                if not record and len(self.names) > 1:
                    continue
                if self.header_pending:
                    self.header_pending = False
                    continue
                self.rows += 1
                record = record or [""]
                if len(record) != len(self.names):
                    raise self._ragged(line, self.rows, len(record))
                records.append(record)
                if len(records) == ROWS_OF_SLOW_BATCH:
                    yield self._frame(records)
                    records = []
        except csv.Error as problem:
            raise SourceError(
                f"the quotes of this row do not match: {problem}",
                where=f"{self.where}, line {self.lines + before + 1} (row {self.rows + 1})",
                next_step=f"a {self.dialect.quote} inside a quoted field is written twice",
            ) from problem
        if records:
            yield self._frame(records)

    def _frame(self, records: list[list[str]]) -> pl.DataFrame:
        columns = zip(*records, strict=True)
        series = [pl.Series(name, column, dtype=pl.String) for name, column in zip(self.names, columns, strict=True)]
        return _without_empty_text(pl.DataFrame(series))

    def _ragged(self, line: int, row: int, fields: int) -> SourceError:
        expected = len(self.names)
        return SourceError(
            f"this row has {fields} fields, but there are {expected} columns",
            where=f"{self.where}, line {line} (row {row})",
            allowed=f"{expected} fields, cut by {self.dialect.separator!r}",
            next_step="mend the row; a field that holds the separator is wrapped in quotes",
        )


class _Joined(io.RawIOBase):
    """Bytes at hand, then the rest of a file."""

    def __init__(self, data: bytes, rest: IO[bytes]) -> None:
        self._data, self._rest = io.BytesIO(data), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        chunk = self._data.read(len(view)) or self._rest.read(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)


def _outside(positions: Positions, quotes: Positions) -> Positions:
    """Those that do not stand between an opening and a closing quote."""
    if not len(quotes):
        return positions
    outside: Positions = positions[np.searchsorted(quotes, positions) % 2 == 0]
    return outside


def _check_quotes(buffer: npt.NDArray[np.uint8], quotes: Positions, quote: int, separator: int) -> None:
    """An opening quote follows the start of a field, a closing one its end; a doubled one closes and opens."""
    if not len(quotes):
        return
    opening, closing = quotes[0::2], quotes[1::2]
    before = buffer[np.maximum(opening - 1, 0)]
    after = buffer[closing + 1]
    starts = (opening == 0) | np.isin(before, (separator, NEWLINE, quote))
    ends = np.isin(after, (separator, NEWLINE, RETURN, quote))
    if not (starts.all() and ends.all()):
        raise _QuotesAstray


def _without_empty_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
