"""Snapshots in a folder of this machine, or one that it shares.

manifests/<id>.json      what a snapshot is; written last, in one step, so it is all there or not at all
parts/<sha256>.parquet   rows, named by the hash of the file; an append shares the parts of its parent
incoming/                parts that are being written; what a killed program left is removed on the next opening
lock                     held while a snapshot is published, and while leftovers are removed
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rowsmith.errors import StorageError
from rowsmith.ingestion.incoming import filled, locked, remove_abandoned
from rowsmith.ingestion.keeping.protocol import file_of, files_in, is_intact, missing_meanwhile
from rowsmith.ingestion.parts import Part
from rowsmith.storage.files import write_atomically


class FolderStore:
    """Removes what killed programs left when it is opened."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.derived = root
        self.where = str(root)
        self._manifests = root / "manifests"
        self._parts = root / "parts"
        self._incoming = root / "incoming"
        self._lock = root / "lock"
        self._remove_leftovers()

    def shown(self, name: str) -> str:
        return str(self._manifests / f"{name}.json")

    @contextmanager
    def filling(self) -> Iterator[Path]:
        with filled(self._incoming, self._lock) as folder:
            yield folder

    def publish(self, folder: Path, name: str, text: str, parts: Sequence[Part]) -> bool:
        with locked(self._lock):
            manifest = self._manifests / f"{name}.json"
            if manifest.exists():
                return False
            self._parts.mkdir(parents=True, exist_ok=True)
            for part in parts:
                written, kept = folder / file_of(part), self._parts / file_of(part)
                if written.exists():
                    os.replace(written, kept)
                elif not kept.exists():
                    raise missing_meanwhile(str(kept))
            write_atomically(manifest, text)
        return True

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._manifests.glob("*.json")) if self._manifests.is_dir() else []

    def texts(self, names: Sequence[str]) -> dict[str, str]:
        found = {}
        for name in names:
            try:
                found[name] = (self._manifests / f"{name}.json").read_text(encoding="utf-8")
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as problem:
                raise StorageError(
                    f"the manifest of this snapshot cannot be read: {problem}", where=self.shown(name)
                ) from problem
        return found

    def paths(self, parts: Sequence[Part], *, verified: bool = True) -> list[Path]:
        return [self.recheck(part) if verified else self._parts / file_of(part) for part in parts]

    def recheck(self, part: Part) -> Path:
        path = self._parts / file_of(part)
        if not path.is_file():
            raise StorageError(
                "a part of this snapshot is missing", where=str(path), next_step="restore it from a backup"
            )
        if not is_intact(path, part):
            raise StorageError(
                "a part of this snapshot was changed after it was written",
                where=str(path),
                next_step="restore it from a backup, or remove it and read the source again",
            )
        return path

    def claim(self, name: str) -> None:
        """A folder belongs to one project, which knows by itself what it needs."""
        if name not in self.texts([name]):
            raise StorageError("this snapshot was removed meanwhile", where=self.shown(name))

    def needed_elsewhere(self, names: Sequence[str]) -> set[str]:
        return set()

    def remove(self, names: Sequence[str], *, even_needed: bool = False) -> None:
        if not self.root.is_dir():
            return
        with _translated(self.root), locked(self._lock):
            for name in names:
                (self._manifests / f"{name}.json").unlink(missing_ok=True)
            self._remove_unused_parts()

    def _remove_leftovers(self) -> None:
        """What a program that was killed while it wrote has left, without disturbing one that still writes."""
        if not self._incoming.is_dir() or not any(self._incoming.iterdir()):
            return
        with _translated(self.root), locked(self._lock):
            if remove_abandoned(self._incoming) and self._parts.is_dir():
                self._remove_unused_parts()

    def _remove_unused_parts(self) -> None:
        """Call it while holding the lock."""
        try:
            used = {file for text in self.texts(self.names()).values() for file in files_in(text)}
        except (StorageError, ValueError, KeyError, TypeError):
            # With a damaged manifest nobody knows which parts are used.
            return
        for path in self._parts.iterdir() if self._parts.is_dir() else ():
            if path.name not in used:
                path.unlink()
        for path in self._manifests.glob(".*"):
            path.unlink()


@contextmanager
def _translated(root: Path) -> Iterator[None]:
    """Errors of the disk as StorageError."""
    try:
        yield
    except OSError as problem:
        raise StorageError(f"the store of snapshots failed: {problem}", where=str(root)) from problem
