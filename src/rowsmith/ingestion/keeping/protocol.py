"""What keeps snapshots: parts, named by the hash of their bytes, and manifests, named by the id of their snapshot.

A manifest comes last and in one step, so that a snapshot is all there or not at all; what is there never changes.
Several programs may use one store at the same time. Every fault is a StorageError with a next step.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from rowsmith.errors import StorageError
from rowsmith.ingestion.parts import Part
from rowsmith.storage.files import sha256_of_file


class PartStore(Protocol):
    """A place for snapshots."""

    @property
    def derived(self) -> Path:
        """A folder of this machine for what others found out about a snapshot, which can be found out again."""
        ...

    @property
    def where(self) -> str:
        """The place, for people."""
        ...

    def shown(self, name: str) -> str:
        """Where a manifest is, for people."""
        ...

    def filling(self) -> AbstractContextManager[Path]:
        """A folder for new parts, each under its own hash; gone when the block ends."""
        ...

    def publish(self, folder: Path, name: str, text: str, parts: Sequence[Part]) -> bool:
        """Keep a manifest, and with it those of its parts that lie in `folder`; False where it is there already.

        All or nothing. Raises StorageError, also where a part that lies elsewhere was removed meanwhile.
        """
        ...

    def names(self) -> list[str]:
        """Of the manifests, in order."""
        ...

    def texts(self, names: Sequence[str]) -> dict[str, str]:
        """Those of these manifests that are there."""
        ...

    def paths(self, parts: Sequence[Part], *, verified: bool = True) -> list[Path]:
        """Files of this machine with these parts; `verified` has the hash of each compared with its name.

        Raises StorageError for a part that is missing or was changed.
        """
        ...

    def recheck(self, part: Part) -> Path:
        """A file with a part just as it is kept, and no copy that was made before, verified. Raises StorageError."""
        ...

    def claim(self, name: str) -> None:
        """Have a manifest stay that others published: this project needs it. Raises StorageError if it went."""
        ...

    def needed_elsewhere(self, names: Sequence[str]) -> set[str]:
        """Those that another project, or another machine with a registry of its own, has a claim to."""
        ...

    def remove(self, names: Sequence[str], *, even_needed: bool = False) -> None:
        """Forget manifests, and remove parts that no other has, and whatever killed programs left.

        What is needed elsewhere stays, unless `even_needed`.
        """
        ...


def file_of(part: Part) -> str:
    """The name of a part's file."""
    return f"{part.sha256}.parquet"


def files_in(text: str) -> set[str]:
    """The names of the files that a manifest needs. Raises ValueError, KeyError, TypeError for a damaged one."""
    return {f"{part['sha256']}.parquet" for part in json.loads(text)["parts"]}


def is_intact(path: Path, part: Part) -> bool:
    """Whether a file holds the very bytes of a part."""
    return path.stat().st_size == part.bytes and sha256_of_file(path) == part.sha256


def missing_meanwhile(where: str) -> StorageError:
    return StorageError(
        "a part that this snapshot shares with another was removed meanwhile",
        where=where,
        next_step="run the same again",
    )
