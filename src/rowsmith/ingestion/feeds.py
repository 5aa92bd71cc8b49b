"""Feeds: for each source that is read again and again, its newest snapshot and the mark of how far it was read.

A feed is a file under `feeds/`, written in one step after its snapshot was published. A run that dies before leaves the
mark where it was, and the next one reads the same rows again, which come to the same snapshot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rowsmith.errors import StorageError
from rowsmith.ingestion.incoming import locked
from rowsmith.storage.files import write_atomically
from rowsmith.types import JsonObject


@dataclass(frozen=True)
class Feed:
    """`mark` is what the source said at the end of its last complete reading.

    `edge` is the hash of the rows that it will give again if nothing is new: those from the mark on, less the lookback.
    """

    source: str
    snapshot: str
    mark: JsonObject | None
    read: str
    edge: str | None = None


class FeedStore:
    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, key: str) -> Feed | None:
        """Raises StorageError for a file that cannot be read."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            return Feed(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as problem:
            raise StorageError(
                f"the mark of this source cannot be read: {problem}",
                where=str(path),
                next_step="remove this file: the source is then read as for the first time",
            ) from problem

    def put(self, key: str, feed: Feed) -> None:
        write_atomically(self._path(key), json.dumps(asdict(feed), ensure_ascii=False, indent=1))

    def remove(self, key: str) -> None:
        """Forget a feed: its source is read as for the first time then."""
        self._path(key).unlink(missing_ok=True)

    def list(self) -> tuple[Feed, ...]:
        return tuple(feed for key in self.names() if (feed := self.get(key)))

    def names(self) -> Sequence[str]:
        return sorted(path.stem for path in self._root.glob("*.json"))

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """One reader of a source at a time; another one waits, and then finds nothing new."""
        with locked(self._root / f"{key}.lock"):
            yield

    def _path(self, key: str) -> Path:
        return self._root / f"{key}.json"


def feed_key(source: str, options: JsonObject) -> str:
    """The name of a feed: where is read, and how. `source` and `options` hold no secrets."""
    text = json.dumps([source, options], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
