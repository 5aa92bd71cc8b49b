"""A member of a ZIP archive: the only table in it, or the one that `member` names."""

from __future__ import annotations

import difflib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfileobj
from typing import IO

from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources.formats.protocol import Format
from rowsmith.ingestion.sources.formats.sniff import choose_format
from rowsmith.ingestion.sources.local_file import CHUNK_BYTES, LocalFile, decompressed, rewritten
from rowsmith.ingestion.sources.protocol import Table
from rowsmith.recipe_data import DataSection

ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
MAX_LISTED = 10
MAX_RATIO = 1_000
"""How much larger than the archive a member may be: text packs to a hundredth, a trap to a ten-thousandth."""


class ZipMember:
    """Stands after the formats whose files are ZIP archives themselves. `inside` are those of the members."""

    name = "zip"
    title = "ZIP"
    extensions = (".zip",)
    is_text = False

    def __init__(self, inside: Sequence[Format]) -> None:
        self._inside = inside

    def recognises(self, head: bytes) -> bool:
        return head.startswith((ZIP, EMPTY_ZIP))

    def open(self, file: LocalFile, options: DataSection) -> Table:
        try:
            with zipfile.ZipFile(file.path) as archive:
                entry = self._chosen(archive, file, options.member)
                member = _extracted(archive, entry, file)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as problem:
            raise SourceError(
                f"this ZIP file is damaged or cut off: {problem}", where=file.name, next_step="fetch or pack it again"
            ) from problem
        if member.size == 0:
            raise SourceError("this member of the archive is empty", where=member.name)
        member = decompressed(member)
        return choose_format(member, self._inside).open(member, options)

    def _chosen(self, archive: zipfile.ZipFile, file: LocalFile, wanted: str | None) -> zipfile.ZipInfo:
        entries = {entry.filename: entry for entry in archive.infolist() if _may_be_table(entry)}
        if wanted is None and len(entries) > 1:
            known = {extension for kind in self._inside for extension in kind.extensions}
            entries = {
                name: entry for name, entry in entries.items() if LocalFile.at(Path(name)).extension in known
            } or entries
        if wanted is None and len(entries) == 1:
            return next(iter(entries.values()))
        if wanted in entries:
            return entries[wanted]
        names = list(entries)
        shown = ", ".join(names[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")
        if wanted is None:
            raise RecipeError(
                f"this archive holds {len(names)} files" if names else "this archive holds no file",
                where=file.name,
                allowed=shown,
                next_step="name one: member under [data]" if names else "",
            )
        close = difflib.get_close_matches(wanted, names, n=1)
        raise SourceError(
            f'this archive has no member "{wanted}"',
            where=file.name,
            allowed=shown or "nothing is in it",
            next_step=f"is it {close[0]}?" if close else "",
        )


def _may_be_table(entry: zipfile.ZipInfo) -> bool:
    """Folders, hidden files and what macOS puts beside a file are none."""
    parts = Path(entry.filename).parts
    return not entry.is_dir() and not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _extracted(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: LocalFile) -> LocalFile:
    name = f"{file.name}/{entry.filename}"
    if entry.flag_bits & 1:
        raise SourceError("this member is protected by a password", where=name, next_step="pack it again without one")
    if entry.file_size > MAX_RATIO * max(entry.compress_size, CHUNK_BYTES):
        raise SourceError(
            "this member unpacks to far more than it is, as traps do",
            where=name,
            received=f"{entry.file_size:,} bytes of {entry.compress_size:,}",
            next_step="unpack it by hand, if it is meant so",
        )

    def copy(target: IO[bytes]) -> None:
        with archive.open(entry) as content:
            copyfileobj(content, target, CHUNK_BYTES)

    named = LocalFile.at(Path(entry.filename))
    return rewritten(file, copy, name=name, extension=named.extension)
