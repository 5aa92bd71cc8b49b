"""Text: which encoding a file has, and the file as UTF-8.

A byte-order mark decides; else UTF-8, when every byte fits; else Windows-1252, when the bytes beyond ASCII are the
letters and signs of Western languages where these stand in writing; else an error that names the first bad byte.
"""

from __future__ import annotations

import codecs
import io
from dataclasses import replace
from typing import IO

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources.formats.sniff import is_wide_text
from rowsmith.ingestion.sources.local_file import CHUNK_BYTES, LocalFile, rewritten

UTF8 = "utf-8"
WESTERN = "cp1252"
MARKS = ((codecs.BOM_UTF8, UTF8), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
WESTERN_LETTERS = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜàáâãäåæçèéêëìíîïñòóôõöøùúûüßŒœŠšŽžŸ")
# Currencies, quotation marks, dashes, fractions: what stands between the letters and the unprintable in Windows-1252.
WESTERN_SIGNS = frozenset(
    bytes([0x80, 0x82, *range(0x84, 0x88), 0x89, 0x8B, *range(0x91, 0x98), 0x99, 0x9B]).decode(WESTERN)
    + bytes(
        [*range(0xA0, 0xA4), 0xA5, 0xA7, *range(0xA9, 0xAC), *range(0xAE, 0xB6), 0xB7, *range(0xB9, 0xC0), 0xD7]
    ).decode(WESTERN)
)
MIN_LETTERS_IN_WORDS = 0.8


def as_utf8(file: LocalFile, encoding: str | None = None) -> tuple[LocalFile, str]:
    """The file as valid UTF-8 with lines that end in a line feed, and the encoding that it had.

    Raises SourceError naming byte and line where the bytes do not fit, RecipeError for an encoding nobody knows.
    """
    file, encoding = _declared(file, encoding)
    fault = None if encoding and encoding != UTF8 else _first_fault(file)
    encoding = encoding or _detected(file, fault)
    if encoding != UTF8:
        return _transcoded(file, encoding), encoding
    if fault is not None:
        raise _not_utf8(file, fault)
    return (_transcoded(file, UTF8) if _has_old_line_ends(file.head()) else file), UTF8


def likely_utf8(file: LocalFile, encoding: str | None = None) -> LocalFile | None:
    """What `as_utf8` makes of a file if all of it is UTF-8, as its beginning is; None where that is unlikely.

    `Utf8Check` tells whether it is. Raises SourceError for a binary file.
    """
    file, encoding = _declared(file, encoding)
    if encoding not in (None, UTF8) or _has_old_line_ends(file.head()):
        return None
    with file.open() as content:
        return None if Utf8Check(file).fault(content.read(CHUNK_BYTES)) else file


def _declared(file: LocalFile, encoding: str | None) -> tuple[LocalFile, str | None]:
    """The file from after its mark on, and the encoding that was given, or that its head says; None where none is."""
    head = file.head()
    for mark, marked in MARKS:
        if head.startswith(mark) and (encoding is None or _same(encoding, marked)):
            encoding = marked
            if marked == UTF8:
                file = replace(file, start=len(mark))
    encoding = encoding or is_wide_text(head)
    return file, _canonical(encoding, file) if encoding else None


def _same(one: str, other: str) -> bool:
    try:
        return codecs.lookup(one).name.startswith(codecs.lookup(other).name)
    except LookupError:
        return False


def _canonical(encoding: str, file: LocalFile) -> str:
    try:
        return codecs.lookup(encoding).name.removesuffix("-sig")
    except LookupError as problem:
        raise RecipeError(
            f"there is no encoding {encoding!r}",
            where=file.name,
            allowed="one that Python knows, such as utf-8, utf-16, cp1252 or latin-1",
        ) from problem


def _detected(file: LocalFile, fault: _Fault | None) -> str:
    """UTF-8, unless its first offending byte comes before any other beyond ASCII and the file reads as Western."""
    if fault is None or not fault.ascii_before:
        return UTF8
    return WESTERN if _reads_as_western(file) else UTF8


class _Fault:
    """The first byte that is not UTF-8: where, and whether all before it is ASCII."""

    def __init__(self, byte: int, line: int, value: int, ascii_before: bool) -> None:
        self.byte, self.line, self.value, self.ascii_before = byte, line, value, ascii_before


class Utf8Check:
    """Looks at the bytes of a file, chunk after chunk in their order."""

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(UTF8)()
        self._done, self._ascii_before = 0, True

    def fault(self, chunk: bytes) -> _Fault | None:
        """What is not UTF-8 in this chunk; an empty one is the end. Raises SourceError for a zero byte."""
        kept = self._decoder.getstate()[0]
        is_ascii = chunk.isascii()
        # Most text is ASCII, and need not be decoded to know that it can be.
        if not is_ascii or kept or not chunk:
            try:
                self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as problem:
                data = kept + chunk
                byte = self._done - len(kept) + problem.start
                before = self._ascii_before and data[: problem.start].isascii()
                return _Fault(byte, _line_of(self._file, byte), data[problem.start], before)
        _refuse_nul(chunk, self._done, self._file)
        self._ascii_before = self._ascii_before and is_ascii
        self._done += len(chunk)
        return None


def _first_fault(file: LocalFile) -> _Fault | None:
    check = Utf8Check(file)
    with file.open() as content:
        while chunk := content.read(CHUNK_BYTES):
            if fault := check.fault(chunk):
                return fault
    return check.fault(b"")


def _line_of(file: LocalFile, byte: int) -> int:
    lines, left = 1, byte
    with file.open() as content:
        while left and (chunk := content.read(min(CHUNK_BYTES, left))):
            lines += chunk.count(b"\n")
            left -= len(chunk)
    return lines


def _refuse_nul(chunk: bytes, done: int, file: LocalFile) -> None:
    if b"\0" in chunk:
        byte = done + chunk.index(b"\0")
        raise SourceError(
            f"this is a binary file, though its name ends in {file.extension or 'nothing'}",
            where=file.name,
            received=f"a zero byte at byte {byte}",
            next_step="a text file has none; export the table again",
        )


def _not_utf8(file: LocalFile, fault: _Fault) -> SourceError:
    return SourceError(
        "this file is not valid UTF-8",
        where=f"{file.name}, line {fault.line}",
        received=f"the byte 0x{fault.value:02x} at byte {fault.byte}",
        next_step='save it as UTF-8, or name its encoding: [data] encoding = "cp1252"',
    )


def _reads_as_western(file: LocalFile) -> bool:
    """Whether the characters beyond ASCII are common in Western languages, and stand by letters, digits or blanks."""
    letters = in_words = 0
    before = ""
    with file.open() as content:
        while chunk := content.read(CHUNK_BYTES):
            try:
                text = before + chunk.decode(WESTERN)
            except UnicodeDecodeError:
                return False
            for place, char in enumerate(text[:-1] if len(chunk) == CHUNK_BYTES else text):
                if char.isascii():
                    continue
                around = text[max(place - 1, 0) : place] + text[place + 1 : place + 2]
                if char in WESTERN_LETTERS:
                    letters += 1
                    in_words += any(other.isalpha() and other.isascii() for other in around)
                elif char not in WESTERN_SIGNS or not any(other.isalnum() or other == " " for other in around):
                    return False
            before = text[-2:] if len(chunk) == CHUNK_BYTES else ""
    return in_words >= MIN_LETTERS_IN_WORDS * letters


def _has_old_line_ends(head: bytes) -> bool:
    """Lines that end in a carriage return alone."""
    return b"\r" in head and b"\n" not in head


def _transcoded(file: LocalFile, encoding: str) -> LocalFile:
    def copy(target: IO[bytes]) -> None:
        with file.open() as content:
            lines = io.TextIOWrapper(
                content, encoding=encoding, newline=None if _has_old_line_ends(file.head()) else ""
            )
            while text := lines.read(CHUNK_BYTES):
                if "\0" in text:
                    raise SourceError(f"this is no text in {encoding}: it has zero characters", where=file.name)
                target.write(text.encode())

    try:
        return rewritten(file, copy)
    except UnicodeError as problem:
        raise SourceError(f"this file is not valid {encoding}: {problem}", where=file.name) from problem
