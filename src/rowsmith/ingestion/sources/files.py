"""Files: a path, a folder or glob of parts, standard input, or an open binary file."""

from __future__ import annotations

import difflib
import glob
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

from rowsmith.conform.plain import common_type
from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.address import scheme_of, shown
from rowsmith.ingestion.sources.formats import known_extensions, open_file
from rowsmith.ingestion.sources.local_file import LocalFile, decompressed, spooled
from rowsmith.ingestion.sources.protocol import Context, Opened, Original, Table, original_of
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject

STANDARD_INPUT = "-"
GLOB_CHARACTERS = frozenset("*?[")
MAX_NAMES_LISTED = 8


class Files:
    """Rows kept in files, in one of the formats of `formats/`."""

    name = "files"

    def accepts(self, origin: object) -> bool:
        return isinstance(origin, str | Path) or callable(getattr(origin, "read", None))

    def open(self, origin: object, options: DataSection, context: Context) -> Opened | None:
        """Several parts are one table: ordered by name, all with the same columns.

        The mark is what the disk says of each file. Files that came since it are new; where one of the old changed,
        all of it is.
        """
        if not isinstance(origin, str | Path) or origin == STANDARD_INPUT or _is_stream(Path(origin).expanduser()):
            return Opened(_open_any(origin, options))
        if address := scheme_of(str(origin)):
            raise _unknown_address(str(origin), address)
        path = Path(origin).expanduser()
        parts = [path] if path.is_file() else _parts(path)
        mark: JsonObject = {"files": {part.as_posix(): _stat(part) for part in parts}}
        fresh = since_mark(list(mark["files"]), mark, context.since)
        if not fresh:
            return None
        tables = [_open_path(Path(part), options, may_guess=context.may_guess) for part in fresh]
        table = tables[0] if len(parts) == 1 else Parts(str(origin), tables)
        return Opened(table, mark=lambda: mark, only_new=len(fresh) < len(parts))


def since_mark(names: Sequence[str], mark: JsonObject, since: JsonObject | None) -> list[str]:
    """The names that are not in an earlier mark; all of them where one that is was changed or removed."""
    known = (since or {}).get("files", {})
    now = mark["files"]
    if any(now.get(name) != stat for name, stat in known.items()):
        return list(names)
    return [name for name in names if name not in known]


def _stat(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _is_stream(path: Path) -> bool:
    """A pipe, such as the shell's <(command)."""
    return path.exists() and not path.is_dir() and not path.is_file()


def _open_any(origin: object, options: DataSection) -> Table:
    if origin == STANDARD_INPUT:
        if sys.stdin is None:
            raise SourceError("standard input is closed", next_step="pipe a table into it, or name a file")
        return _open_stream(sys.stdin.buffer, "standard input", options)
    if isinstance(origin, str | Path):
        with Path(origin).expanduser().open("rb") as stream:
            return _open_stream(stream, str(origin), options)
    name = getattr(origin, "name", None)
    return _open_stream(cast(BinaryIO, origin), name if isinstance(name, str) else "open file", options)


def _unknown_address(origin: str, scheme: str) -> SourceError:
    return SourceError(
        f"addresses that begin with {scheme}:// are not read",
        where=shown(origin),
        next_step="name a file, or download it first",
    )


def _open_path(path: Path, options: DataSection, *, may_guess: bool) -> Table:
    return open_file(decompressed(LocalFile.at(path)), options, may_guess=may_guess)


def _open_stream(stream: BinaryIO, name: str, options: DataSection) -> Table:
    return open_file(decompressed(spooled(stream, name)), options)


def _parts(path: Path) -> list[Path]:
    """The files that a folder or glob stands for, ordered by name; hidden ones and those like _SUCCESS are none."""
    if path.is_dir():
        found = [part for part in path.iterdir() if part.is_file()]
        nothing = "there are no files in this folder"
    elif GLOB_CHARACTERS.intersection(str(path)):
        found = [Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file()]
        nothing = "no file matches this pattern"
    else:
        raise _no_such_file(path)
    parts = sorted((part for part in found if not part.name.startswith((".", "_"))), key=lambda part: part.as_posix())
    if not parts:
        raise SourceError(nothing, where=str(path), allowed=f"files that end in {', '.join(known_extensions())}")
    return parts


def _no_such_file(path: Path) -> SourceError:
    folder = path.parent
    if not folder.is_dir():
        return SourceError("there is no such folder", where=str(folder))
    names = sorted(item.name for item in folder.iterdir() if not item.name.startswith("."))
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.7)
    if close:
        hint = "names like it: " + ", ".join(str(folder / name) for name in close)
    else:
        shown = ", ".join(names[:MAX_NAMES_LISTED]) + (", ..." if len(names) > MAX_NAMES_LISTED else "")
        hint = f"the folder holds: {shown or 'nothing'}"
    return SourceError("there is no such file", where=str(path), next_step=hint)


class Parts:
    """Several files of one table. A column takes the narrowest type that holds the values of every part."""

    def __init__(self, description: str, tables: Sequence[Table]) -> None:
        first, *others = tables
        for table in others:
            _require_same_columns(first, table)
        self.description = description
        self._tables = tables
        self._current: Table | None = None
        self.columns = {name: common_type([table.columns[name] for table in tables]) for name in first.columns}

    @property
    def facts(self) -> JsonObject:
        return {**self._tables[0].facts, "parts": [table.description for table in self._tables]}

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        for table in self._tables:
            self._current = table
            yield from table.batches(types)

    def original_of(self, batch: pl.DataFrame) -> Original | None:
        return original_of(self._current, batch)


def _require_same_columns(first: Table, other: Table) -> None:
    missing = [name for name in first.columns if name not in other.columns]
    added = [name for name in other.columns if name not in first.columns]
    if not missing and not added:
        return
    differences = [
        f"it lacks {_quoted(missing)}" if missing else "",
        f"it has {_quoted(added)} besides" if added else "",
    ]
    raise SourceError(
        f"the parts of a table have the same columns, but this one differs from {first.description}",
        where=other.description,
        received="; ".join(text for text in differences if text),
        allowed=f"the columns {_quoted(first.columns)}",
        next_step="read these files one by one, or make their columns the same",
    )


def _quoted(names: object) -> str:
    return ", ".join(f'"{name}"' for name in cast(Sequence[str], names))
