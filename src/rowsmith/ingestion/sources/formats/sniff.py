"""Which format a file has: the content decides, and a name that says something else is refused."""

from __future__ import annotations

from collections.abc import Sequence

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.formats.protocol import Format
from rowsmith.ingestion.sources.local_file import LocalFile

# What files that are no tables begin with, and what to do about it.
FOREIGN = (
    (b"%PDF", "a PDF document", "export the table as CSV"),
    (b"\x89PNG", "a picture", ""),
    (b"\xff\xd8\xff", "a picture", ""),
    (b"GIF8", "a picture", ""),
    (b"SQLite format 3\x00", "an SQLite database", "export the table as CSV or Parquet"),
    (b"\x89HDF", "an HDF5 file", "export the table as Parquet"),
    (b"\x80\x02", "a pickle", "pickles run code and are never read; save the table as Parquet"),
    (b"\x80\x03", "a pickle", "pickles run code and are never read; save the table as Parquet"),
    (b"\x80\x04", "a pickle", "pickles run code and are never read; save the table as Parquet"),
    (b"\x80\x05", "a pickle", "pickles run code and are never read; save the table as Parquet"),
    (b"RDX3", "an R data file", "save the table as CSV with write.csv"),
    (b"BZh", "a bzip2 file", "unpack it, or pack it as gzip or zstd"),
    (b"\xfd7zXZ\x00", "an xz file", "unpack it, or pack it as gzip or zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"FEA1", "a Feather file of version 1", "save it again as Feather version 2"),
    (b"\x7fELF", "a program", ""),
)
MARKS_OF_WIDE_TEXT = (b"\xff\xfe", b"\xfe\xff")
MAX_NULS_OF_WIDE_TEXT = 0.6


def choose_format(file: LocalFile, formats: Sequence[Format]) -> Format:
    """Raises SourceError for an unknown extension, and where name and content contradict each other."""
    head = file.head()
    named = next((kind for kind in formats if file.extension in kind.extensions), None)
    marked = next((kind for kind in formats if not kind.is_text and kind.recognises(head)), None)
    if marked is not None:
        if named is None or named is marked or (not named.is_text and named.recognises(head)):
            return marked
        raise _contradiction(
            file, f"{_article(marked.title)} {marked.title} file", f"rename it to end in {marked.extensions[0]}"
        )
    for mark, what, next_step in FOREIGN:
        if head.startswith(mark):
            raise _contradiction(file, what, next_step)
    if named is not None and not named.is_text:
        raise SourceError(
            f"this is not {_article(named.title)} {named.title} file, though its name ends in {file.extension}",
            where=file.name,
            received=f"a file that begins with {head[:8]!r}",
            next_step=f"write it again as {named.title}; it may be damaged, or of another format",
        )
    if looks_binary(head):
        raise _contradiction(file, "a binary file of an unknown kind", "")
    if named is None and file.extension:
        extensions = sorted(extension for kind in formats for extension in kind.extensions)
        raise SourceError(
            "the format of this file is unknown",
            where=file.name,
            received=f"the extension {file.extension}",
            allowed=", ".join(extensions) + ", each also with .gz or .zst",
            next_step="rename the file to say what it is",
        )
    return named or next(kind for kind in formats if kind.is_text and kind.recognises(head))


def looks_binary(head: bytes) -> bool:
    """Text has no NUL bytes, unless it is UTF-16."""
    if b"\0" not in head or head.startswith(MARKS_OF_WIDE_TEXT):
        return False
    return not is_wide_text(head)


def is_wide_text(head: bytes) -> str:
    """Which UTF-16 this is without its mark, if it is mostly Western text: every other byte is NUL, and no other."""
    even, odd = head[::2], head[1::2]
    if b"\0" not in even and odd.count(0) > MAX_NULS_OF_WIDE_TEXT * len(odd):
        return "utf-16-le"
    if b"\0" not in odd and even.count(0) > MAX_NULS_OF_WIDE_TEXT * len(even):
        return "utf-16-be"
    return ""


def _contradiction(file: LocalFile, what: str, next_step: str) -> SourceError:
    called = f", though its name ends in {file.extension}" if file.extension else ""
    return SourceError(f"this is {what}{called}", where=file.name, next_step=next_step)


def _article(title: str) -> str:
    return "an" if title[0] in "AEIOU" else "a"
