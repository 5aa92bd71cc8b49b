"""Dataframes: polars, pandas, Arrow and whatever else narwhals knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import narwhals as nw
import polars as pl

from rowsmith.conform.dataframes import describe, to_polars
from rowsmith.conform.plain import plain_frame, plain_type
from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.protocol import Context, Opened
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

ROWS_PER_BATCH = 1 << 17


class DataFrames:
    """Rows at hand. Names that are no text become text; the index of a pandas dataframe is left behind."""

    name = "dataframe"

    def accepts(self, origin: object) -> bool:
        if isinstance(origin, Mapping):
            return True
        if isinstance(origin, list):
            return all(isinstance(row, Mapping) for row in origin)
        return nw.dependencies.is_into_dataframe(origin) or isinstance(origin, pl.LazyFrame)

    def open(self, origin: object, options: DataSection, context: Context) -> Opened:
        table = FrameTable(to_polars(origin), describe(origin))
        return Opened(table, expected_rows=table.rows)


class FrameTable:
    def __init__(self, frame: pl.DataFrame, description: str) -> None:
        if not frame.width:
            raise SourceError(
                "this table has no columns", where=description, next_step="hand over one with columns and rows"
            )
        self.description = description
        self.facts: JsonObject = {"format": "dataframe"}
        self._frame = frame
        self.columns = {name: plain_type(dtype) for name, dtype in frame.schema.items()}

    @property
    def rows(self) -> int:
        return self._frame.height

    def whole(self, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """All rows at once: columns of plain types are not copied."""
        return plain_frame(self._frame, types, where=self.description)

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        for batch in self._frame.iter_slices(ROWS_PER_BATCH):
            yield plain_frame(batch, types, where=self.description)
