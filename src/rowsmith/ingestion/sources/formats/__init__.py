"""Formats: how the bytes of a file become a table. A new one is a file that follows `Format`, and a line here."""

from __future__ import annotations

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.formats.arrow import ArrowFile, ArrowStream
from rowsmith.ingestion.sources.formats.delimited import Delimited
from rowsmith.ingestion.sources.formats.excel import Excel
from rowsmith.ingestion.sources.formats.json_document import JsonDocument
from rowsmith.ingestion.sources.formats.json_lines import JsonLines
from rowsmith.ingestion.sources.formats.parquet import Parquet
from rowsmith.ingestion.sources.formats.protocol import Format
from rowsmith.ingestion.sources.formats.sniff import choose_format
from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Table
from rowsmith.recipe_data import DataSection

__all__ = ["FORMATS", "Format", "known_extensions", "open_file"]

FORMATS: tuple[Format, ...] = (Parquet(), ArrowFile(), ArrowStream(), Excel(), JsonLines(), JsonDocument(), Delimited())


def known_extensions() -> tuple[str, ...]:
    return tuple(sorted(extension for kind in FORMATS for extension in kind.extensions))


def open_file(file: LocalFile, options: DataSection) -> Table:
    """Raises SourceError for an empty file, and for one whose content is not what its name says."""
    if file.size == 0:
        raise SourceError("this file is empty", where=file.name)
    return choose_format(file, FORMATS).open(file, options)
