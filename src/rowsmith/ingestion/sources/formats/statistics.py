"""Files of statistics packages: SPSS (.sav, .zsav), Stata (.dta), SAS (.sas7bdat, .xpt), read by pyreadstat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from rowsmith.conform.plain import FLOAT64, INT64, STRING, plain_frame, plain_type
from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Table
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

EXTRA = "rowsmith[statistics]"
SPSS = (b"$FL2", b"$FL3")
STATA = (b"<stata_dta>", *(bytes([release, order, 1]) for release in (113, 114, 115) for order in (1, 2)))
SAS = b"\0" * 12 + b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\0\x09\xc7\x31\x8c\x18\x1f\x10\x11"
SAS_TRANSPORT = b"HEADER RECORD*******LIB"
LARGEST_EXACT = 2.0**53


class Statistics:
    name = "statistics"
    title = "SPSS, Stata or SAS"
    extensions = (".sav", ".zsav", ".dta", ".sas7bdat", ".xpt")
    is_text = False

    def recognises(self, head: bytes) -> bool:
        return _reader(head) is not None

    def open(self, file: LocalFile, options: DataSection) -> Table:
        """A file is read whole. Values that have labels become their labels."""
        try:
            import pyreadstat
        except ImportError as problem:
            raise RecipeError(
                "files of statistics packages are read with a package that is not installed",
                where=file.name,
                next_step=f"pip install '{EXTRA}'",
            ) from problem
        reader = _reader(file.head())
        assert reader is not None
        labels = {} if reader == "read_xport" else {"apply_value_formats": True}
        try:
            frame, facts = getattr(pyreadstat, reader)(
                str(file.path), output_format="polars", encoding=options.encoding, **labels
            )
        except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, ValueError, OSError) as problem:
            raise SourceError(
                f"this {self.title} file is damaged or cut off: {problem}",
                where=file.name,
                next_step="write it again; where its texts are the trouble, say their encoding under [data]",
            ) from problem
        if not frame.width:
            raise SourceError("this file has no columns", where=file.name)
        return StatisticsTable(file, frame, {"format": reader.removeprefix("read_"), "encoding": facts.file_encoding})


class StatisticsTable:
    def __init__(self, file: LocalFile, frame: pl.DataFrame, facts: JsonObject) -> None:
        self.description = file.name
        self.facts = facts
        types = {name: plain_type(dtype) for name, dtype in frame.schema.items()}
        plain = plain_frame(frame, types, where=file.name)
        self._frame = plain.select(_settled(series) for series in plain.iter_columns())
        self.columns = dict(self._frame.schema)

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        yield plain_frame(self._frame, types, where=self.description)


def _reader(head: bytes) -> str | None:
    """The function of pyreadstat for a file that begins so."""
    if head.startswith(SPSS):
        return "read_sav"
    if head.startswith(STATA):
        return "read_dta"
    if head.startswith(SAS):
        return "read_sas7bdat"
    return "read_xport" if head.startswith(SAS_TRANSPORT) else None


def _settled(series: pl.Series) -> pl.Series:
    """These packages keep every number as a float, and know no missing text but the empty one."""
    if series.dtype == STRING:
        return series.replace({"": None})
    if series.dtype != FLOAT64:
        return series
    present = series.drop_nulls()
    whole = len(present) > 0 and bool(((present == present.round()) & (present.abs() < LARGEST_EXACT)).all())
    return series.cast(INT64) if whole else series
