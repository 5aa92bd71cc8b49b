"""Formats: how the bytes of a file become a table. A new one is a file that follows `Format`, and a line here."""

from __future__ import annotations

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.formats.arrow import ArrowFile, ArrowStream
from rowsmith.ingestion.sources.formats.delimited import Delimited
from rowsmith.ingestion.sources.formats.excel import Excel
from rowsmith.ingestion.sources.formats.fixed_width import FixedWidth
from rowsmith.ingestion.sources.formats.json_document import JsonDocument
from rowsmith.ingestion.sources.formats.json_lines import JsonLines
from rowsmith.ingestion.sources.formats.parquet import Parquet
from rowsmith.ingestion.sources.formats.protocol import Format
from rowsmith.ingestion.sources.formats.sniff import choose_format
from rowsmith.ingestion.sources.formats.statistics import Statistics
from rowsmith.ingestion.sources.formats.zip_member import ZipMember
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Guessed, Table
from rowsmith.recipe_data import DataSection

__all__ = ["FORMATS", "Format", "known_extensions", "open_file"]

PLAIN: tuple[Format, ...] = (
    Parquet(),
    ArrowFile(),
    ArrowStream(),
    Excel(),
    Statistics(),
    JsonLines(),
    JsonDocument(),
    FixedWidth(),
    Delimited(),
)
FORMATS: tuple[Format, ...] = (*PLAIN, ZipMember(PLAIN))


def known_extensions() -> tuple[str, ...]:
    return tuple(sorted(extension for kind in FORMATS for extension in kind.extensions))


def open_file(file: LocalFile, options: DataSection, *, may_guess: bool = False) -> Table:
    """`may_guess` is that of `Context`.

    Raises SourceError for an empty file, and for one whose content is not what its name says.
    """
    if file.size == 0:
        raise SourceError("this file is empty", where=file.name)
    table = _chosen(file, options).open(file, options)
    if isinstance(table, Guessed) and not may_guess:
        table.settle()
    return table


def _chosen(file: LocalFile, options: DataSection) -> Format:
    kind = choose_format(file, FORMATS)
    # Of a text only the recipe knows that its columns are of fixed width, whatever it is called.
    return FixedWidth() if kind.is_text and options.fixed_width else kind
