"""LazyTable: a file that polars reads by itself, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import polars as pl

from rowsmith.conform.plain import plain_frame
from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.local_file import TemporaryFile
from rowsmith.types import JsonObject

CELLS_PER_BATCH = 1 << 22
# So many rows polars puts into a row group, which is decoded as a whole.
MAX_ROWS_PER_BATCH = 1 << 18


@contextmanager
def translated(name: str, title: str) -> Iterator[None]:
    """Errors of polars, also panics of a reader on damaged bytes, as SourceError."""
    try:
        yield
    except pl.exceptions.DuplicateError as problem:
        raise SourceError(
            f"two columns have the same name: {problem}",
            where=name,
            next_step="give each column a name of its own",
        ) from problem
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise SourceError(
            f"this {title} file is damaged or cut off: {reason}", where=name, next_step="fetch or write it again"
        ) from problem


class LazyTable:
    """`keeper` keeps a temporary file alive that the frame reads."""

    def __init__(
        self,
        name: str,
        title: str,
        frame: pl.LazyFrame,
        columns: Mapping[str, pl.DataType],
        keeper: TemporaryFile | None = None,
    ) -> None:
        if not columns:
            raise SourceError(f"this {title} file has no columns", where=name)
        self.description = name
        self._title = title
        self._frame = frame
        self.columns = columns
        self._keeper = keeper

    @property
    def facts(self) -> JsonObject:
        return {"format": self._title.lower().replace(" ", "-")}

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        with translated(self.description, self._title):
            rows = self._frame.select(pl.len()).collect().item()
        size = min(MAX_ROWS_PER_BATCH, max(1, CELLS_PER_BATCH // len(types)))
        for start in range(0, rows, size):
            with translated(self.description, self._title):
                batch = self._frame.slice(start, size).collect()
            yield plain_frame(batch, types, where=self.description)
