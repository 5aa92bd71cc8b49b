"""Snapshots in object storage, shared by every machine of a project, with a cache on this one.

manifests/<id>.json      what a snapshot is; created last, by a put that fails where there is one
parts/<sha256>.parquet   rows, named by the hash of the file: writing one twice changes nothing
claims/ writing/ removing/   see `marks`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from rowsmith.errors import StorageError
from rowsmith.ingestion.keeping.bucket import Bucket, Unreachable
from rowsmith.ingestion.keeping.cache import PartCache
from rowsmith.ingestion.keeping.marks import Marks
from rowsmith.ingestion.keeping.protocol import file_of, files_in, missing_meanwhile
from rowsmith.ingestion.parts import Part

MANIFESTS, PARTS = "manifests", "parts"
AT_ONCE = 4
# So many manifests are asked for one by one; of more there is a list.
FEW = 4
REMOVED_AT_ONCE = 1000


class BucketStore:
    """`owner` gives a name to this project among those that use the bucket."""

    def __init__(self, bucket: Bucket, cache: PartCache, owner: Callable[[], str]) -> None:
        self._bucket = bucket
        self._cache = cache
        self._marks = Marks(bucket, owner)
        self.derived = cache.root
        self.where = bucket.shown("")

    def shown(self, name: str) -> str:
        return self._bucket.shown(_manifest(name))

    @contextmanager
    def filling(self) -> Iterator[Path]:
        with self._cache.filling() as folder:
            yield folder

    def publish(self, folder: Path, name: str, text: str, parts: Sequence[Part]) -> bool:
        self._marks.claim(name)
        with self._marks.writing(name, sorted({file_of(part) for part in parts})) as is_fresh:
            while True:
                if self._bucket.has(_manifest(name)):
                    return False
                self._upload(folder, parts)
                if is_fresh():
                    break
            is_new = self._bucket.create(_manifest(name), text.encode())
        if is_new:
            self._take_over(folder, name, text, parts)
        return is_new

    def claim(self, name: str) -> None:
        try:
            self._marks.claim(name)
            is_there = self._bucket.has(_manifest(name))
        except Unreachable:
            return  # Who works with copies meanwhile can tell nobody.
        if not is_there:
            self._marks.disclaim([name], everybody=False)
            raise StorageError(
                "this snapshot was removed meanwhile", where=self.shown(name), next_step="read the source again"
            )

    def names(self) -> list[str]:
        """Without an answer from the bucket those that this machine knows."""
        try:
            names = [found.name.removesuffix(".json") for found in self._bucket.list(MANIFESTS)]
        except Unreachable:
            if known := self._cache.names():
                return known
            raise
        self._forget_all_but(names)
        return names

    def texts(self, names: Sequence[str]) -> dict[str, str]:
        """Without an answer from the bucket those that this machine has a copy of."""
        try:
            present = self._present(names)
            found = self._read(sorted(present))
        except Unreachable:
            if known := {name: text for name in names if (text := self._cache.text(name)) is not None}:
                return known
            raise
        for gone in set(names) - present:
            self._cache.forget(gone)
        return {name: found[name] for name in names if name in found}

    def paths(self, parts: Sequence[Part], *, verified: bool = True) -> list[Path]:
        wanted = {part.sha256: part for part in parts}
        here = {name: self._cache.path(part, verified=verified) for name, part in wanted.items()}
        missing = [wanted[name] for name, path in here.items() if path is None]
        if missing:
            self._cache.make_room(sum(part.bytes for part in missing), {file_of(part) for part in parts})
            with self._cache.filling() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
                fetched = pool.map(lambda part: self._fetch(part, folder), missing)
                here |= dict(zip((part.sha256 for part in missing), fetched, strict=True))
        return [path for part in parts if (path := here[part.sha256]) is not None]

    def recheck(self, part: Part) -> Path:
        with self._cache.filling() as folder:
            return self._fetch(part, folder)

    def needed_elsewhere(self, names: Sequence[str]) -> set[str]:
        return self._marks.claimed_by_others().intersection(names)

    def remove(self, names: Sequence[str], *, even_needed: bool = False) -> None:
        files = sorted(self._files() - self._used(without=names))
        for start in range(0, max(len(files), 1), REMOVED_AT_ONCE):
            self._remove(names if start == 0 else (), files[start : start + REMOVED_AT_ONCE], even_needed)

    def _remove(self, names: Sequence[str], files: Sequence[str], even_needed: bool) -> None:
        with self._marks.removing(names, files) as wanted:
            spared = wanted() | (set() if even_needed else self.needed_elsewhere(names))
            self._marks.disclaim(names, everybody=even_needed)
            going = [name for name in names if name not in spared]
            self._bucket.delete([_manifest(name) for name in going])
            for name in going:
                self._cache.forget(name)
            # The manifests last: a writer takes his mark away once there is one.
            spared = wanted()
            spared |= self._used()
            gone = [file for file in files if file not in spared]
            self._bucket.delete([f"{PARTS}/{file}" for file in gone])
            self._cache.forget_parts(gone)

    def _forget_all_but(self, names: Sequence[str]) -> None:
        """What another machine removed, perhaps since somebody asked to be forgotten, goes from here as well."""
        known = {name: files_in(text) for name in self._cache.names() if (text := self._cache.text(name)) is not None}
        gone = known.keys() - set(names)
        staying = {file for name, files in known.items() if name not in gone for file in files}
        for name in gone:
            self._cache.forget_parts(known[name] - staying)
            self._cache.forget(name)

    def _present(self, names: Sequence[str]) -> set[str]:
        if len(names) > FEW:
            return {found.name.removesuffix(".json") for found in self._bucket.list(MANIFESTS)}.intersection(names)
        return {name for name in names if self._bucket.has(_manifest(name))}

    def _read(self, names: Sequence[str]) -> dict[str, str]:
        """Manifests that were there a moment ago: from the copies, since none ever changes, or from the bucket."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            texts = pool.map(lambda name: self._cache.text(name) or self._fetch_text(name), names)
            return {name: text for name, text in zip(names, texts, strict=True) if text is not None}

    def _fetch_text(self, name: str) -> str | None:
        content = self._bucket.read(_manifest(name))
        if content is None:
            return None
        text = content.decode(errors="replace")
        try:
            files_in(text)
        except (ValueError, KeyError, TypeError):
            # Damaged, which the reader says, and mended perhaps tomorrow: no copy of it stays here.
            return text
        self._cache.keep_text(name, text)
        return text

    def _fetch(self, part: Part, folder: Path) -> Path:
        key, path = f"{PARTS}/{file_of(part)}", folder / file_of(part)
        try:
            found = self._bucket.fetch(key, path)
        except OSError as problem:
            raise StorageError(
                f"there is no room for a copy of this part: {problem.strerror}",
                where=str(folder.parent),
                next_step="make room, or lower ROWSMITH_CACHE_MB",
            ) from problem
        if found is None:
            raise StorageError(
                "a part of this snapshot is missing",
                where=self._bucket.shown(key),
                next_step="restore it from a backup, or read the source again",
            )
        if found != part.sha256:
            raise StorageError(
                "a part of this snapshot was changed after it was written",
                where=self._bucket.shown(key),
                next_step="restore it from a backup, or remove it and read the source again",
            )
        return self._cache.take(path, part)

    def _upload(self, folder: Path, parts: Sequence[Part]) -> None:
        """The parts that are not there yet; those of a parent that somebody removed, too, where a copy is here."""
        present = {found.name: found.bytes for found in self._bucket.list(PARTS)}
        missing = {part.sha256: part for part in parts if present.get(file_of(part)) != part.bytes}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda part: self._upload_one(folder, part), missing.values()))

    def _upload_one(self, folder: Path, part: Part) -> None:
        written = folder / file_of(part)
        path = written if written.exists() else self._cache.path(part, verified=True)
        key = f"{PARTS}/{file_of(part)}"
        if path is None:
            raise missing_meanwhile(self._bucket.shown(key))
        self._bucket.write(key, path)

    def _take_over(self, folder: Path, name: str, text: str, parts: Sequence[Part]) -> None:
        """What was published is read next, most likely."""
        written = [part for part in {part.sha256: part for part in parts}.values() if (folder / file_of(part)).exists()]
        self._cache.make_room(sum(part.bytes for part in written))
        for part in written:
            self._cache.take(folder / file_of(part), part)
        self._cache.keep_text(name, text)

    def _files(self) -> set[str]:
        return {found.name for found in self._bucket.list(PARTS)}

    def _used(self, *, without: Sequence[str] = ()) -> set[str]:
        """The files of all manifests but some; with a damaged one nobody knows, so all are."""
        names = {found.name.removesuffix(".json") for found in self._bucket.list(MANIFESTS)} - set(without)
        try:
            return {file for text in self._read(sorted(names)).values() for file in files_in(text)}
        except (ValueError, KeyError, TypeError):
            return self._files()


def open_bucket_store(address: str, cache: Path, *, cache_mb: int, owner: Callable[[], str]) -> BucketStore:
    """The store at s3://bucket/prefix, gs://... or az://... Raises StorageError, RecipeError without the library."""
    from rowsmith.ingestion.sources.objects.keys import Place

    return BucketStore(Bucket(Place.of(address)), PartCache(cache, cache_mb * 1_000_000), owner)


def _manifest(name: str) -> str:
    return f"{MANIFESTS}/{name}.json"
