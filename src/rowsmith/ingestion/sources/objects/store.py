"""Store: a bucket that can be listed and read; its errors become ours here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rowsmith.errors import SourceError, StorageError
from rowsmith.ingestion.sources.local_file import LocalFile, TemporaryFile
from rowsmith.ingestion.sources.objects.connection import CREDENTIALS, Fault, fault_of, library, opened, said
from rowsmith.ingestion.sources.objects.keys import Place
from rowsmith.ingestion.sources.protocol import Context
from rowsmith.recipe_data import StorageSection

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Kept:
    """One object as the list of a bucket has it. `tag` changes with its content."""

    key: str
    size: int
    tag: str
    changed: str


class Store:
    """`place` names it in messages. Raises SourceError, RecipeError."""

    def __init__(self, place: Place, options: StorageSection, context: Context) -> None:
        self.place = place
        self._obstore = library()
        with self._translated(place.shown("")):
            self._store = opened(place, options, context)

    def list(self, prefix: str) -> list[Kept]:
        """Every object whose key begins with a prefix that ends at a folder, in order."""
        with self._translated(self.place.shown(prefix)):
            pages = self._obstore.list(self._store, prefix=prefix or None)
            return sorted((_kept(meta) for page in pages for meta in page), key=lambda kept: kept.key)

    def find(self, key: str) -> Kept | None:
        with self._translated(self.place.shown(key)):
            try:
                return _kept(self._obstore.head(self._store, key))
            except FileNotFoundError:
                return None

    def tail(self, kept: Kept, length: int) -> bytes:
        """The last bytes of an object."""
        start = max(kept.size - length, 0)
        with self._translated(self.place.shown(kept.key)):
            return bytes(self._obstore.get_range(self._store, kept.key, start=start, end=kept.size))

    def fetch(self, kept: Kept) -> LocalFile:
        """The very content that was listed, as a copy on this disk."""
        name = self.place.shown(kept.key)
        keeper = TemporaryFile()
        received = 0
        with self._translated(name), _room(keeper), keeper.path.open("wb") as file:
            for chunk in self._answer(kept).stream(min_chunk_size=CHUNK_BYTES):
                received += file.write(chunk)
        if received != kept.size:
            raise changed(name)
        named = LocalFile.at(keeper.path.with_name(kept.key.rpartition("/")[2]))
        return LocalFile(name, keeper.path, named.extension, keeper=keeper)

    def _answer(self, kept: Kept) -> Any:
        options = {"if_match": kept.tag} if kept.tag else {}
        return self._obstore.get(self._store, kept.key, options=options)

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as problem:
            fault = fault_of(problem)
            if fault is None:
                raise
            raise self._error(fault, name, problem) from problem

    def _error(self, fault: Fault, name: str, problem: Exception) -> SourceError:
        credentials = CREDENTIALS[self.place.scheme]
        if fault is Fault.REFUSED:
            return SourceError(
                "this may not be read with these credentials",
                where=name,
                received=said(problem),
                next_step=f"set {credentials} to ones that may list and read it, "
                "or anonymous = true under [data.storage] if it is public",
            )
        if fault is Fault.ABSENT:
            return SourceError(
                "there is no such bucket or object",
                where=name,
                received=said(problem),
                next_step="look at the name, and at region and endpoint under [data.storage]",
            )
        if fault is Fault.CHANGED:
            return changed(name)
        does = "does not answer" if fault is Fault.UNREACHABLE else "answers with an error"
        return SourceError(
            f"object storage {does}: {said(problem)}",
            where=name,
            next_step=f"look at endpoint and region under [data.storage], and at {credentials}",
        )


def _kept(meta: Mapping[str, Any]) -> Kept:
    # Azure quotes a tag in the answer about one object, but not in a list; what asks for it has to.
    tag = (meta.get("e_tag") or "").strip('"')
    return Kept(meta["path"], meta["size"], f'"{tag}"' if tag else "", meta["last_modified"].isoformat())


@contextmanager
def _room(keeper: TemporaryFile) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if problem.errno is None:
            raise
        raise StorageError(
            f"there is no room for what is fetched: {problem.strerror}",
            where=str(keeper.path.parent),
            next_step="set TMPDIR to a folder with more room; nothing was kept",
        ) from problem


def changed(name: str) -> SourceError:
    return SourceError(
        "this object changed while it was read",
        where=name,
        next_step="try again when whoever writes it is done; nothing was kept",
    )
