"""Cache: files of this machine with parts that are kept elsewhere, so that they are fetched once.

parts/<sha256>.parquet   looked at by their hash before they are used, and fetched again where it is another
manifests/<id>.json      which never change, so that a snapshot can be named while the store does not answer
incoming/, lock          as in a folder of snapshots
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from rowsmith.ingestion.incoming import filled, locked, remove_abandoned
from rowsmith.ingestion.keeping.protocol import file_of, files_in, is_intact
from rowsmith.ingestion.parts import Part
from rowsmith.storage.files import write_atomically

# What was used within this time stays, whatever the limit: a reading may still be at it.
IN_USE_SECONDS = 3600.0


class PartCache:
    """At most `limit` bytes of parts, the longest unused going first; a snapshot that is larger stays while in use."""

    def __init__(self, root: Path, limit: int) -> None:
        self.root = root
        self._limit = limit
        self._parts = root / "parts"
        self._manifests = root / "manifests"
        self._incoming = root / "incoming"
        self._lock = root / "lock"
        if self._incoming.is_dir() and any(self._incoming.iterdir()):
            with locked(self._lock):
                remove_abandoned(self._incoming)

    @contextmanager
    def filling(self) -> Iterator[Path]:
        with filled(self._incoming, self._lock) as folder:
            yield folder

    def path(self, part: Part, *, verified: bool) -> Path | None:
        """The file of a part, where it is here; one with other bytes is removed."""
        path = self._parts / file_of(part)
        try:
            if path.stat().st_size == part.bytes and (not verified or is_intact(path, part)):
                os.utime(path)
                return path
            path.unlink()
        except FileNotFoundError:
            pass
        return None

    def take(self, path: Path, part: Part) -> Path:
        """Move a verified file here."""
        self._parts.mkdir(parents=True, exist_ok=True)
        kept = self._parts / file_of(part)
        os.replace(path, kept)
        return kept

    def make_room(self, coming: int, needed: Collection[str] = ()) -> None:
        """Remove the longest unused parts, but none of `needed`, so that so many bytes more stay within the limit."""
        if not self._parts.is_dir():
            return
        entries = []
        for entry in os.scandir(self._parts):
            try:
                entries.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
            except FileNotFoundError:
                continue
        total = sum(size for _, size, _ in entries) + coming
        oldest_in_use = time.time() - IN_USE_SECONDS
        for used, size, path in sorted(entries):
            if total <= self._limit or used > oldest_in_use:
                break
            if os.path.basename(path) in needed:
                continue
            Path(path).unlink(missing_ok=True)
            total -= size

    def forget_parts(self, files: Collection[str]) -> None:
        """Whoever has rows removed wants them gone from here, too."""
        for file in files:
            (self._parts / file).unlink(missing_ok=True)

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._manifests.glob("*.json")) if self._manifests.is_dir() else []

    def text(self, name: str) -> str | None:
        """A whole manifest; a copy that is damaged counts as none."""
        try:
            text = (self._manifests / f"{name}.json").read_text(encoding="utf-8")
            files_in(text)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return text

    def keep_text(self, name: str, text: str) -> None:
        write_atomically(self._manifests / f"{name}.json", text)

    def forget(self, name: str) -> None:
        (self._manifests / f"{name}.json").unlink(missing_ok=True)
