"""Excel workbooks (xlsx, xlsm, xlsb, xls) and OpenDocument sheets, read by calamine."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl

from rowsmith.conform.plain import FLOAT64, INT64, plain_frame, plain_type
from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.formats.names import settle_names
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Table
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

if TYPE_CHECKING:
    import fastexcel

ZIP = b"PK\x03\x04"
# What the first entries of a workbook's zip archive are called.
INSIDE_ZIP = (
    b"[Content_Types].xml",
    b"xl/",
    b"_rels/",
    b"docProps/",
    b"application/vnd.oasis.opendocument.spreadsheet",
)
COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
LARGEST_EXACT = 2.0**53
# About eight million cells, of which each takes some eighty bytes in memory.
MAX_UNPACKED_BYTES = 256_000_000


class Excel:
    name = "excel"
    title = "Excel"
    extensions = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
    is_text = False

    def recognises(self, head: bytes) -> bool:
        if head.startswith(ZIP):
            return any(name in head for name in INSIDE_ZIP)
        return head.startswith(COMPOUND)

    def open(self, file: LocalFile, options: DataSection) -> Table:
        import fastexcel

        if file.head().startswith(COMPOUND) and ENCRYPTED in file.path.read_bytes():
            raise SourceError(
                "this workbook is protected by a password", where=file.name, next_step="save it without one"
            )
        _require_size(file)
        with _translated(file):
            workbook = fastexcel.read_excel(file.path)
        sheet = options.sheet if options.sheet is not None else workbook.sheet_names[0]
        if sheet not in workbook.sheet_names:
            raise SourceError(
                f'this workbook has no sheet "{sheet}"', where=file.name, allowed=", ".join(workbook.sheet_names)
            )
        return ExcelTable(file, sheet, *_read_sheet(file, workbook, sheet, options.header is not False))


def _require_size(file: LocalFile) -> None:
    """A workbook is read whole, and a small archive may unpack to more than the memory holds. Raises SourceError."""
    if not zipfile.is_zipfile(file.path):
        return
    with zipfile.ZipFile(file.path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_UNPACKED_BYTES:
        raise SourceError(
            "this workbook is too large to be read whole",
            where=file.name,
            received=f"{unpacked / 1e6:,.0f} MB unpacked",
            allowed=f"{MAX_UNPACKED_BYTES / 1e6:,.0f} MB",
            next_step="save the sheet as CSV or Parquet, which are read in parts",
        )


class ExcelTable:
    """A sheet is read whole: the format has no parts."""

    def __init__(self, file: LocalFile, sheet: str, frame: pl.DataFrame, header: bool) -> None:
        self._file = file
        self._frame = frame
        self.columns = {name: plain_type(dtype) for name, dtype in frame.schema.items()}
        self.facts: JsonObject = {"format": "excel", "sheet": sheet, "header": header}

    @property
    def description(self) -> str:
        return self._file.name

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        yield plain_frame(self._frame, types, where=self._file.name)


def _read_sheet(
    file: LocalFile, workbook: fastexcel.ExcelReader, sheet: str, header: bool
) -> tuple[pl.DataFrame, bool]:
    where = f'{file.name}, sheet "{sheet}"'
    with _translated(file):
        first = workbook.load_sheet(sheet, header_row=None, n_rows=1, dtypes="string").to_polars()
    if not first.width:
        raise SourceError("this sheet is empty", where=where)
    raw = [value or "" for value in first.row(0)] if header else [""] * first.width
    names = settle_names(raw, where=f"{where}, row 1")
    with _translated(file):
        # The whole sheet decides on the types, whatever its length.
        content = workbook.load_sheet(
            sheet,
            header_row=None,
            skip_rows=1 if header else 0,
            column_names=names,
            schema_sample_rows=None,
            skip_whitespace_tail_rows=True,
        )
        frame = content.to_polars()
    if not frame.height:
        raise SourceError(
            "this sheet has a header, but no rows", where=where, received=f"the columns {', '.join(names)}"
        )
    return frame.with_columns(_whole_numbers(frame)), header


def _whole_numbers(frame: pl.DataFrame) -> list[pl.Series]:
    """Excel knows no integers: columns of whole numbers become Int64."""
    whole = []
    for series in frame.select(pl.col(FLOAT64)):
        values = series.drop_nulls()
        if len(values) and ((values == values.round()) & (values.abs() < LARGEST_EXACT)).all():
            whole.append(series.cast(INT64))
    return whole


@contextmanager
def _translated(file: LocalFile) -> Iterator[None]:
    import fastexcel

    try:
        yield
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError) as problem:
        raise SourceError(
            f"this workbook cannot be read: {str(problem).splitlines()[0]}",
            where=file.name,
            next_step="open it in a spreadsheet program and save it again as .xlsx, or export it as CSV",
        ) from problem
