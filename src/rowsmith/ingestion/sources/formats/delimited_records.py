"""The records of a CSV file in pieces, in bounded memory, with broken rows named.

Chunks of bytes are cut at the ends of records. That is exact as long as quotes stand only around fields, which is
checked; from the first chunk where they do not, Python's csv module reads on, slower. Chunks where all is as it should
be are looked through by `_records.c`, where it was compiled; NumPy does the rest.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.formats.delimited_dialect import Dialect
from rowsmith.ingestion.sources.local_file import LocalFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

try:
    from rowsmith.ingestion.sources.formats._records import whole_records
except ImportError:
    is_compiled = False
else:
    is_compiled = True

CHUNK_BYTES = 1 << 23
FIRST_BYTES = 1 << 20
"""The first chunk is small: nothing is known of its columns, so all of it is read as text."""
END_BYTES = 1 << 16
KEPT_BYTES = (1 << 25) - (1 << 13)
BLOCK_BYTES = 1 << 18
"""What is looked at at a time fits in the cache of a processor."""
MAX_RECORD_BYTES = 1 << 26
ROWS_OF_SLOW_BATCH = 50_000
NEWLINE, RETURN = 10, 13
TAB, BLANK, PLUS, MINUS, ZERO, NINE = 9, 32, 43, 45, 48, 57
Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class _QuotesAstray(Exception):
    """Quotes that do not stand around fields."""


@dataclass(frozen=True)
class Records:
    """Whole records as bytes, without header and blank lines, and what is known of them.

    `odd` are the places of columns where a value begins with a blank, a plus, or a zero before another digit: numbers
    that are not written plainly.
    """

    data: bytes
    quoted: bool
    odd: frozenset[int]


def no_check(chunk: bytes) -> None:
    """For a file that was looked through before."""


def cut_records(
    file: LocalFile, dialect: Dialect, names: Sequence[str], check: Callable[[bytes], None] = no_check
) -> Generator[Records | pl.DataFrame]:
    """Pieces of a file in order; a frame (of String columns) where the csv module had to read.

    `check` is shown all bytes before they are used, and an empty chunk at their end. Raises SourceError naming line and
    row for a record with too few or too many fields, or an unclosed quote, and whatever `check` raises.
    """
    _keep_memory()
    with file.open() as content:
        yield from _Cutter(file.name, dialect, names, content, check).pieces()


def _keep_memory() -> None:
    """Have the C library keep the memory of a chunk for the next one, rather than return it and fault it in again.

    glibc keeps twice as much as the largest piece that was returned, of up to 32 MB (mallopt(3), M_MMAP_THRESHOLD); a
    piece that nobody writes to costs nothing.
    """
    bytes(KEPT_BYTES)


class _Cutter:
    def __init__(
        self, where: str, dialect: Dialect, names: Sequence[str], content: BinaryIO, check: Callable[[bytes], None]
    ) -> None:
        self.where, self.dialect, self.names, self.content = where, dialect, list(names), content
        self._check = check
        self._quote = ord(dialect.quote)
        self._size = min(FIRST_BYTES, CHUNK_BYTES)
        self.lines = 0
        self.rows = 0
        self.header_pending = dialect.header

    def pieces(self) -> Iterator[Records | pl.DataFrame]:
        rest = b""
        while True:
            fresh = self._read()
            self._check(fresh)
            data = rest + fresh if rest else fresh
            if not data:
                return
            try:
                records, used = self._cut(data, at_end=not fresh)
            except _QuotesAstray:
                yield from self._slow(data)
                return
            if not used and len(data) > MAX_RECORD_BYTES:
                yield from self._slow(data)
                return
            if records is not None:
                yield records
            rest = data[used:]
            if not fresh:
                return

    def _read(self) -> bytes:
        """A chunk that ends with a line, where lines are not long: what is left over would have to be copied."""
        size, self._size = self._size, CHUNK_BYTES
        start = self.content.tell()
        before = self.content.seek(start + max(size - END_BYTES, 0))
        end = self.content.read(min(END_BYTES, size))
        self.content.seek(start)
        return self.content.read(before + end.rfind(b"\n") + 1 - start if b"\n" in end else size)

    def _cut(self, data: bytes, *, at_end: bool) -> tuple[Records | None, int]:
        """The whole records at the head of `data`, and how many bytes they are."""
        if at_end and not data.endswith(b"\n"):
            data += b"\n"
        if is_compiled and not self.header_pending:
            separator, width = ord(self.dialect.separator), len(self.names)
            found = whole_records(data, separator, self._quote, width)
            if found is not None and found[0] and not (at_end and found[0] < len(data)):
                used, rows, lines, has_quotes, odd = found
                self.lines += lines
                self.rows += rows
                places = frozenset(place for place, is_odd in enumerate(odd) if is_odd)
                return Records(data[:used], bool(has_quotes), places), used
        return self._cut_by_numpy(data, at_end=at_end)

    def _cut_by_numpy(self, data: bytes, *, at_end: bool) -> tuple[Records | None, int]:
        buffer = np.frombuffer(data, dtype=np.uint8)
        quotes = _positions(buffer, self._quote) if self.dialect.quote.encode() in data else np.empty(0, np.int64)
        cuts = _outside(_positions(buffer, ord(self.dialect.separator), NEWLINE), quotes)
        if at_end and len(quotes) % 2:
            raise _QuotesAstray
        last_fields = np.flatnonzero(buffer[cuts] == NEWLINE)
        if not len(last_fields):
            return None, 0
        cuts = cuts[: last_fields[-1] + 1]
        used = int(cuts[-1]) + 1
        quotes = quotes[: np.searchsorted(quotes, used)]
        _check_quotes(buffer, quotes, self._quote, ord(self.dialect.separator))
        fields = np.diff(last_fields, prepend=-1)
        ends = cuts[last_fields]
        kept = self._kept(buffer, ends, fields)
        self.lines += int(np.count_nonzero(buffer[:used] == NEWLINE)) if len(quotes) else len(ends)
        self.rows += int(np.count_nonzero(kept))
        begins = np.concatenate([[0], cuts[:-1] + 1])
        if not kept.all():
            begins = begins[np.repeat(kept, fields)]
            data = bytes(buffer[:used][np.repeat(kept, np.diff(ends, prepend=-1))])
        elif used < len(data):
            data = data[:used]
        odd = _odd_columns(buffer, begins, len(self.names), self._quote)
        return (Records(data, len(quotes) > 0, odd) if data else None), used

    def _kept(self, buffer: Bytes, ends: Positions, fields: Positions) -> Mask:
        """Which records are neither header nor blank. Raises for a broken one."""
        starts = np.concatenate([[0], ends[:-1] + 1])
        lengths = ends - starts
        blank = (lengths == 0) | ((lengths == 1) & (buffer[starts] == RETURN))
        if len(self.names) == 1:
            blank &= False
        dropped: Mask = blank.copy()
        if self.header_pending:
            header = int(np.argmin(blank))
            # Where all is blank, the header is yet to come.
            if not blank[header]:
                dropped[: header + 1] = True
                self.header_pending = False
        wrong = np.flatnonzero((fields != len(self.names)) & ~dropped)
        if len(wrong):
            first = int(wrong[0])
            row = self.rows + int(np.count_nonzero(~dropped[:first])) + 1
            line = self.lines + int(np.count_nonzero(buffer[: starts[first]] == NEWLINE)) + 1
            raise self._ragged(line, row, int(fields[first]))
        kept: Mask = ~dropped
        return kept

    def _slow(self, data: bytes) -> Iterator[pl.DataFrame]:
        text = io.TextIOWrapper(
            io.BufferedReader(_Joined(data, self.content, self._check)), encoding="utf-8", newline=""
        )
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
        return without_empty_text(pl.DataFrame(series))

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

    def __init__(self, data: bytes, rest: IO[bytes], check: Callable[[bytes], None]) -> None:
        self._data, self._rest, self._check = io.BytesIO(data), rest, check

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        chunk = self._data.read(len(view))
        if not chunk:
            chunk = self._rest.read(len(view))
            self._check(chunk)
        view[: len(chunk)] = chunk
        return len(chunk)


def _outside(positions: Positions, quotes: Positions) -> Positions:
    """Those that do not stand between an opening and a closing quote."""
    if not len(quotes):
        return positions
    outside: Positions = positions[np.searchsorted(quotes, positions) % 2 == 0]
    return outside


def _check_quotes(buffer: Bytes, quotes: Positions, quote: int, separator: int) -> None:
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


def _positions(data: Bytes, *values: int) -> Positions:
    """Where one of these bytes stands."""
    found = np.empty(len(data), dtype=np.bool_)
    for start in range(0, len(data), BLOCK_BYTES):
        block, here = data[start : start + BLOCK_BYTES], found[start : start + BLOCK_BYTES]
        np.equal(block, values[0], out=here)
        for value in values[1:]:
            here |= block == value
    return np.flatnonzero(found)


def _odd_columns(data: Bytes, begins: Positions, width: int, quote: int) -> frozenset[int]:
    """The places of columns with an odd value (see `Records`). `begins` are of all values, `width` to a record."""
    last = len(data) - 1
    first = data[begins]
    quoted = first == quote
    if quoted.any():
        begins = np.minimum(begins + quoted, last)
        first = data[begins]
    odd = (first == BLANK) | (first == TAB) | (first == PLUS)
    maybe = np.flatnonzero((first == ZERO) | (first == MINUS))
    zero = np.minimum(begins[maybe] + (first[maybe] == MINUS), last)
    after = data[np.minimum(zero + 1, last)]
    odd[maybe] = (data[zero] == ZERO) & (after >= ZERO) & (after <= NINE)
    return frozenset(np.unique(np.flatnonzero(odd) % width).tolist())


def without_empty_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Empty texts as missing."""
    return frame.with_columns(pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)))
