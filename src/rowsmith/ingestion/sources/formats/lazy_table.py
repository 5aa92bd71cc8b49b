"""LazyTable: a file that polars reads by itself, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

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
        self._rows = 0
        self._unchanged: pl.DataFrame | None = None

    @property
    def facts(self) -> JsonObject:
        return {"format": self._title.lower().replace(" ", "-")}

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        with translated(self.description, self._title):
            self._rows = self._frame.select(pl.len()).collect().item()
        size = min(MAX_ROWS_PER_BATCH, max(1, CELLS_PER_BATCH // len(types)))
        for start in range(0, self._rows, size):
            with translated(self.description, self._title):
                found = self._frame.slice(start, size).collect()
            batch = plain_frame(without_order(found), types, where=self.description)
            self._unchanged = batch if batch is found else None
            yield batch


def without_order(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows without what their file says of their order, which polars believes; the very frame where it says none.

    Where it is not so, the greatest value of a column would be a wrong one.
    """
    is_said = any(any(flags.values()) for flags in frame.flags.values())
    return pl.DataFrame(_Bare(frame)) if is_said else frame


@dataclass(frozen=True)
class _Bare:
    """Columns as Arrow hands them on: their values alone."""

    frame: pl.DataFrame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.frame.__arrow_c_stream__(requested_schema)
