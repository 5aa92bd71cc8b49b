"""Pieces of a CSV file as frames. Numbers are parsed at once where a column is known to be of plain ones so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from rowsmith.conform.plain import FLOAT64, STRING
from rowsmith.ingestion.sources.formats.delimited_dialect import Dialect
from rowsmith.ingestion.sources.formats.delimited_records import Records, without_empty_text
from rowsmith.ingestion.sources.formats.delimited_types import are_exact

# No compressed file begins with one of these.
NO_MARKS = frozenset(b"0123456789-+.,;\t'\"")


class Rows:
    """Makes frames of pieces of one file, whose columns are `names`."""

    def __init__(self, dialect: Dialect, names: Sequence[str]) -> None:
        self._dialect, self._names = dialect, list(names)

    def frame(self, piece: Records | pl.DataFrame, numbers: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """Columns of `numbers` have that type, unless a value in this piece is not plainly one; all others are text.

        An empty field is null. A number has the value that its text would be cast to.
        """
        if isinstance(piece, pl.DataFrame):
            return piece
        wanted = {
            name: numbers[name]
            for place, name in enumerate(self._names)
            if name in numbers and place not in piece.odd
        }  # fmt: skip
        if wanted:
            try:
                frame = self._parsed(piece, wanted)
            except pl.exceptions.PolarsError:
                wanted = {}
            else:
                doubtful = [name for name, dtype in wanted.items() if dtype == FLOAT64 and not are_exact(frame[name])]
                if not doubtful:
                    return frame
                wanted = {name: dtype for name, dtype in wanted.items() if name not in doubtful}
        return self._parsed(piece, wanted)

    def _parsed(self, records: Records, numbers: Mapping[str, pl.DataType]) -> pl.DataFrame:
        # Bytes that happen to begin like a compressed file ("x^") would be unpacked; a first line keeps polars from it.
        is_plain = records.data[0] in NO_MARKS
        frame = pl.read_csv(
            records.data if is_plain else b"-\n" + records.data,
            skip_lines=0 if is_plain else 1,
            has_header=False,
            schema={name: numbers.get(name, STRING) for name in self._names},
            separator=self._dialect.separator,
            quote_char=self._dialect.quote if records.quoted else None,
        )
        return without_empty_text(frame) if records.quoted else frame
