"""Marks: how writers and removers of one bucket keep out of each other's way, where nobody can hold a lock.

    claims/<id>/<owner>    a project needs this snapshot: nobody else's removal takes it
    writing/<token>        the parts of a snapshot that is about to be published
    removing/<token>       manifests and parts that are about to be removed

Who writes puts his mark before he looks at the marks of removers; who removes puts his before he looks at those of
writers, and at the manifests last. Since a bucket shows what was written to whoever asks later, at least one of two
sees the other: a writer waits until the remover is done, and then brings what is missing; a remover leaves what a
writer wants. The marks of killed programs are told by their age, by the clock of the store.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from rowsmith.errors import StorageError
from rowsmith.ingestion.keeping.bucket import Bucket

CLAIMS, WRITING, REMOVING = "claims", "writing", "removing"
WRITER_LIFE = timedelta(days=1)
REMOVER_LIFE = timedelta(minutes=2)
PAUSE_SECONDS = 0.5


class Marks:
    """`owner` gives the name that this project claims its snapshots under."""

    def __init__(self, bucket: Bucket, owner: Callable[[], str]) -> None:
        self._bucket = bucket
        self._owner = owner

    def claim(self, name: str) -> None:
        self._bucket.write(f"{CLAIMS}/{name}/{self._owner()}", b"")

    def claimed_by_others(self) -> set[str]:
        claims = (found.name.split("/") for found in self._bucket.list(CLAIMS))
        return {claim[0] for claim in claims if claim[-1] != self._owner()}

    def disclaim(self, names: Sequence[str], *, everybody: bool) -> None:
        claims = [found.name for found in self._bucket.list(CLAIMS)]
        gone = [
            claim
            for claim in claims
            if claim.partition("/")[0] in names and (everybody or claim.endswith(f"/{self._owner()}"))
        ]
        self._bucket.delete([f"{CLAIMS}/{claim}" for claim in gone])

    @contextmanager
    def writing(self, name: str, files: Sequence[str]) -> Iterator[Callable[[], bool]]:
        """While a snapshot is published: nobody removes it or its parts. What comes out says whether that is so still;
        it is false once the mark has grown old, and renewed by then."""
        key, text = f"{WRITING}/{uuid.uuid4().hex}", json.dumps({"snapshots": [name], "files": list(files)}).encode()
        begin = self._marked(key, text, {name, *files})

        def is_fresh() -> bool:
            nonlocal begin
            if time.monotonic() - begin < WRITER_LIFE.total_seconds() / 2:
                return True
            begin = self._marked(key, text, {name, *files})
            return False

        try:
            yield is_fresh
        finally:
            with suppress(StorageError):
                self._bucket.delete([key])

    @contextmanager
    def removing(self, names: Sequence[str], files: Sequence[str]) -> Iterator[Callable[[], set[str]]]:
        """While manifests and parts are removed. What comes out gives the files that writers want to stay."""
        key, text = f"{REMOVING}/{uuid.uuid4().hex}", json.dumps({"snapshots": list(names), "files": list(files)})
        self._bucket.write(key, text.encode())
        begin = time.monotonic()

        def wanted() -> set[str]:
            found = self._wanted(key)
            if found is None or time.monotonic() - begin > REMOVER_LIFE.total_seconds() / 2:
                # By now somebody may take this mark for one that was left behind.
                raise StorageError("the store of snapshots is too slow for a removal", next_step="run the same again")
            return found

        try:
            yield wanted
        finally:
            with suppress(StorageError):
                self._bucket.delete([key])

    def _marked(self, key: str, text: bytes, mine: set[str]) -> float:
        """When the mark was put, after nobody removes any of these any more."""
        begin = time.monotonic()
        self._bucket.write(key, text)
        while self._is_removed(mine):
            if time.monotonic() - begin > 2 * REMOVER_LIFE.total_seconds():
                raise StorageError(
                    "somebody removes parts of this snapshot, and does not come to an end",
                    where=self._bucket.shown(REMOVING),
                    next_step="run the same again in a few minutes",
                )
            time.sleep(PAUSE_SECONDS)
        return begin

    def _is_removed(self, mine: set[str]) -> bool:
        marks = self._bucket.list(REMOVING)
        if not marks:
            return False
        now = self._now()
        for mark in marks:
            key = f"{REMOVING}/{mark.name}"
            if now - mark.written > REMOVER_LIFE:
                self._bucket.delete([key])
            elif mine & self._named(key):
                return True
        return False

    def _wanted(self, own: str) -> set[str] | None:
        """The files that living writers name; the marks of dead ones go. None where one's own mark is gone."""
        now = next((mark.written for mark in self._bucket.list(REMOVING) if own.endswith(mark.name)), None)
        if now is None:
            return None
        found: set[str] = set()
        for mark in self._bucket.list(WRITING):
            key = f"{WRITING}/{mark.name}"
            if now - mark.written > WRITER_LIFE:
                self._bucket.delete([key])
            else:
                found |= self._named(key)
        return found

    def _named(self, key: str) -> set[str]:
        """The snapshots and files of a mark; nothing where it is gone meanwhile."""
        content = self._bucket.read(key)
        if content is None:
            return set()
        data = json.loads(content)
        return {*data["snapshots"], *data["files"]}

    def _now(self) -> datetime:
        """By the clock of the store."""
        key = f"clock/{uuid.uuid4().hex}"
        self._bucket.write(key, b"")
        try:
            return next(found.written for found in self._bucket.list("clock") if key.endswith(found.name))
        finally:
            self._bucket.delete([key])
