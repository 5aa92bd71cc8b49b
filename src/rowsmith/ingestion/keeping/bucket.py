"""Bucket: the few things that snapshots ask of object storage, with its errors told as ours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rowsmith.errors import StorageError
from rowsmith.ingestion.sources.objects.connection import CREDENTIALS, Fault, fault_of, library, opened, said
from rowsmith.ingestion.sources.objects.keys import Place
from rowsmith.ingestion.sources.protocol import Context
from rowsmith.recipe_data import StorageSection

CHUNK_BYTES = 8 << 20
# Smaller objects go up in one request, of which nothing stays when it is cut off; larger ones in pieces.
ONE_REQUEST_BYTES = 32 << 20
LISTED_AT_ONCE = 1000
DELETED_AT_ONCE = 8


class Unreachable(StorageError):
    """Nobody answers: what this machine has a copy of can still be used."""


@dataclass(frozen=True)
class Found:
    """An object in a list: the last part of its key, how large it is, and when it was written by the store's clock."""

    name: str
    bytes: int
    written: datetime


class Bucket:
    """`place.key` is the prefix under which everything lies. Raises StorageError, RecipeError without the library."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._prefix = place.key.strip("/")
        self._library = library()
        with self._translated(""):
            # Where it is, and who asks, is in the environment: no recipe has a say in it.
            self._store = opened(place, StorageSection(), Context())

    def shown(self, key: str) -> str:
        return self._place.shown(self._key(key))

    def list(self, folder: str) -> list[Found]:
        """The objects below a folder, by name."""
        start = self._key(folder)
        with self._translated(folder):
            pages = self._library.list(self._store, prefix=start, chunk_size=LISTED_AT_ONCE)
            found = [
                Found(meta["path"].removeprefix(f"{start}/"), meta["size"], meta["last_modified"])
                for page in pages
                for meta in page
            ]
        return sorted(found, key=lambda item: item.name)

    def has(self, key: str) -> bool:
        with self._translated(key):
            try:
                self._library.head(self._store, self._key(key))
            except FileNotFoundError:
                return False
        return True

    def read(self, key: str) -> bytes | None:
        """The content of a small object; None where there is none."""
        with self._translated(key):
            try:
                return bytes(self._library.get(self._store, self._key(key)).bytes())
            except FileNotFoundError:
                return None

    def write(self, key: str, content: bytes | Path) -> None:
        """An object, in place of one that is there."""
        pieces = isinstance(content, Path) and content.stat().st_size > ONE_REQUEST_BYTES
        with self._translated(key):
            self._library.put(self._store, self._key(key), content, use_multipart=pieces, max_concurrency=2)

    def create(self, key: str, content: bytes) -> bool:
        """An object, unless there is one: then False. Of two at once one comes first."""
        with self._translated(key):
            try:
                self._library.put(self._store, self._key(key), content, mode="create")
            except self._library.exceptions.AlreadyExistsError:
                return False
        return True

    def fetch(self, key: str, path: Path) -> str | None:
        """Write an object into a file; the hash of what came, None where there is no such object."""
        digest = hashlib.sha256()
        with self._translated(key):
            try:
                answer = self._library.get(self._store, self._key(key))
            except FileNotFoundError:
                return None
            with path.open("wb") as file:
                for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
        return digest.hexdigest()

    def delete(self, keys: Sequence[str]) -> None:
        """Objects that may be gone already."""
        with ThreadPoolExecutor(DELETED_AT_ONCE) as pool:
            list(pool.map(self._delete, keys))

    def _delete(self, key: str) -> None:
        with self._translated(key), suppress(FileNotFoundError):
            self._library.delete(self._store, self._key(key))

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except Exception as problem:
            fault = None if isinstance(problem, OSError) and problem.errno is not None else fault_of(problem)
            if fault is None:
                raise
            # Not `from problem`: in what is hidden here a signature may stand.
            raise self._error(fault, key, problem) from None

    def _error(self, fault: Fault, key: str, problem: Exception) -> StorageError:
        where, received, credentials = self.shown(key), said(problem), CREDENTIALS[self._place.scheme]
        if fault is Fault.REFUSED:
            return StorageError(
                "the store of snapshots may not be used with these credentials",
                where=where,
                received=received,
                next_step=f"set {credentials} to ones that may list, read, write and delete there; nothing was kept",
            )
        if fault is Fault.ABSENT:
            return StorageError(
                "there is no such bucket for snapshots",
                where=where,
                received=received,
                next_step="make it, or name another one in ROWSMITH_SNAPSHOTS; nothing was kept",
            )
        if fault is Fault.UNREACHABLE:
            return Unreachable(
                f"the store of snapshots does not answer: {received}",
                where=where,
                next_step="look at the network and the endpoint, and run the same again; nothing was kept",
            )
        return StorageError(
            f"the store of snapshots answers with an error: {received}",
            where=where,
            next_step=f"look at endpoint and region, and at {credentials}; nothing was kept",
        )
