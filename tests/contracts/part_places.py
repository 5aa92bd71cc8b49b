"""Places for snapshots, each as the contract suite needs it: opened by several machines, looked into, and damaged."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rowsmith.ingestion.keeping.bucket_store import open_bucket_store
from rowsmith.ingestion.keeping.folder import FolderStore
from rowsmith.ingestion.snapshot import SnapshotStore

NUMBERS = itertools.count()


class FolderPlace:
    """A folder, which every machine opens as it is."""

    def __init__(self, root: Path) -> None:
        self.root = root / "snapshots"

    def open(self, machine: str = "one") -> SnapshotStore:
        return SnapshotStore(FolderStore(self.root))

    def files(self) -> set[str]:
        """What is kept, without what only keeps order."""
        found = {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()}
        return {name for name in found if name.startswith(("parts/", "manifests/"))}

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        (self.root / name).write_bytes(content)

    def delete(self, name: str) -> None:
        (self.root / name).unlink()


class BucketPlace:
    """A bucket of its own on a server of the tests; each machine has its own copies and its own name."""

    def __init__(self, root: Path, request: pytest.FixtureRequest, server: str = "s3") -> None:
        self.root = root
        self.server = request.getfixturevalue(server)
        patch = request.getfixturevalue("monkeypatch")
        for name, value in self.server.environment.items():
            patch.setenv(name, value)
        self.bucket = f"parts-{next(NUMBERS)}"
        self.objects: Any = self.server.bucket(self.bucket)

    @property
    def address(self) -> str:
        return f"{self.server.scheme}://{self.bucket}/some/where"

    def open(self, machine: str = "one", *, cache_mb: int = 100) -> SnapshotStore:
        kept = open_bucket_store(self.address, self.root / machine, cache_mb=cache_mb, owner=lambda: machine)
        return SnapshotStore(kept)

    def everything(self) -> set[str]:
        import obstore

        pages = obstore.list(self.objects, prefix="some/where")
        return {meta["path"].removeprefix("some/where/") for page in pages for meta in page}

    def files(self) -> set[str]:
        return {name for name in self.everything() if name.startswith(("parts/", "manifests/"))}

    def read(self, name: str) -> bytes:
        import obstore

        return bytes(obstore.get(self.objects, f"some/where/{name}").bytes())

    def write(self, name: str, content: bytes) -> None:
        import obstore

        obstore.put(self.objects, f"some/where/{name}", content)

    def delete(self, name: str) -> None:
        import obstore

        obstore.delete(self.objects, f"some/where/{name}")


Place = FolderPlace | BucketPlace
PLACES: dict[str, Callable[[Path, pytest.FixtureRequest], Place]] = {
    "folder": lambda root, request: FolderPlace(root),
    "bucket": BucketPlace,
    "azure": lambda root, request: BucketPlace(root, request, "azure"),
}
