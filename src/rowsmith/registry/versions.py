"""Registry: every model version with its lineage, and which of them is the champion.

A version is a folder `<root>/<name>/<number>` and a row of the database. The folder is filled elsewhere, flushed to
disk and moved into place in one step, and only then the row is written: a crash in between leaves a folder
without a row, which is no version and whose number is skipped. Nothing is ever deleted or renumbered.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select

from rowsmith.errors import ArtifactError, ChampionChanged, NotFoundError, StorageError, UsageError
from rowsmith.registry.ledger import Action, Ledger, LedgerEntry, reigns
from rowsmith.storage import archive, audit
from rowsmith.storage.database import Database
from rowsmith.storage.files import flush_folder, inside, sha256_of_file, writing_to
from rowsmith.storage.tables import versions
from rowsmith.types import JsonObject

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MODEL_FOLDER = "model"
INCOMING = ".incoming-"
ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Version:
    """One model that was kept. `created` is ISO 8601 in UTC.

    `artifact_hash` is the SHA-256 of the model's manifest, which holds those of all its files. `score` is that of
    `metric` on the sealed test part; None where nothing was sealed away. `lineage` is JSON: where the model
    came from (`snapshot` and `recipe`, which are the two fields above, and what provenance.gather found).
    """

    name: str
    number: int
    created: str
    snapshot_id: str
    recipe_hash: str
    artifact_hash: str
    metric: str
    score: float | None
    lineage: JsonObject = field(repr=False)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Registry:
    """The versions of a store. Safe for any number of threads and processes that share database and folder.

    `now` tells the time that is written down; give another clock for repeatable builds.
    """

    def __init__(self, database: Database, root: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._root = root
        self._now = now
        self._ledger = Ledger(database)

    # -- adding --------------------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        write: Callable[[Path], None],
        *,
        lineage: JsonObject,
        metric: str,
        score: float | None,
    ) -> Version:
        """Keep a new version, the next number of `name`.

        `write` fills the folder it is given, at least with `model/`; when it raises, nothing is kept. The keys
        `snapshot` and `recipe` of `lineage` become the fields `snapshot_id` and `recipe_hash`. Raises UsageError (the
        name), ArtifactError (`write` left no model) and StorageError.
        """
        folder = inside(self._root, _checked(name))
        lineage_text = json.dumps(lineage, ensure_ascii=False)
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder)
            incoming = Path(tempfile.mkdtemp(dir=folder, prefix=INCOMING))
        try:
            with writing_to(incoming):
                write(incoming)
            archive.read_manifest(incoming / MODEL_FOLDER)
            artifact_hash = sha256_of_file(incoming / MODEL_FOLDER / archive.MANIFEST)
            with writing_to(folder):
                os.chmod(incoming, folder.stat().st_mode & 0o777)
                flush_folder(incoming)
            with self._database.writing(lock=versions.name) as connection:
                version = Version(
                    name=name,
                    number=self._next_number(connection, folder),
                    created=self._now().astimezone(UTC).isoformat(),
                    snapshot_id=str(lineage.get("snapshot", "")),
                    recipe_hash=str(lineage.get("recipe", "")),
                    artifact_hash=artifact_hash,
                    metric=metric,
                    score=None if score is None or math.isnan(score) else float(score),
                    lineage=json.loads(lineage_text),
                )
                with writing_to(folder):
                    os.rename(incoming, folder / str(version.number))
                    flush_folder(folder, deep=False)
                row = {key: getattr(version, key) for key in version.__slots__}
                connection.execute(insert(versions).values({**row, "lineage": lineage_text}))
            return version
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    @staticmethod
    def _next_number(connection: Connection, folder: Path) -> int:
        """Folders count too: one without a row may be a crash's, or another database's that is not ours to touch."""
        rows = connection.scalars(select(versions.c.number).where(versions.c.name == folder.name))
        with writing_to(folder):
            folders = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
        numbers: tuple[int, ...] = (0, *rows, *folders)
        return max(numbers) + 1

    # -- finding -------------------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        """Names that have a version, sorted. Raises StorageError."""
        with self._database.reading() as connection:
            return tuple(connection.scalars(select(versions.c.name).distinct().order_by(versions.c.name)))

    def list(self, name: str | None = None) -> tuple[Version, ...]:
        """Versions of one name, or all, by name and number. Raises StorageError."""
        query = select(versions).order_by(versions.c.name, versions.c.number)
        if name is not None:
            query = query.where(versions.c.name == name)
        with self._database.reading() as connection:
            return tuple(_version(row) for row in connection.execute(query))

    def get(self, name: str, ref: str | int = "champion") -> Version:
        """The version that `ref` names: `champion`, `latest` or a number. Raises NotFoundError, StorageError."""
        with self._database.reading() as connection:
            return self._get(connection, name, ref)

    def champion(self, name: str) -> Version | None:
        """The version that serves, or None before the first promotion. Raises StorageError."""
        with self._database.reading() as connection:
            number = self._ledger.champion_number(connection, name)
            return None if number is None else self._get(connection, name, number)

    def folder(self, version: Version) -> Path:
        """The folder of a version. Raises StorageError (it is gone) and ArtifactError (it holds another model)."""
        folder = inside(self._root, _checked(version.name), str(version.number))
        manifest = folder / MODEL_FOLDER / archive.MANIFEST
        if not manifest.is_file():
            raise StorageError(
                f"the files of {version.name} version {version.number} are missing",
                where=str(folder),
                next_step="restore the folder from a backup, or check that the store belongs to this database",
            )
        if sha256_of_file(manifest) != version.artifact_hash:
            raise ArtifactError(
                f"the model is not the one that was registered as {version.name} version {version.number}",
                where=str(manifest),
                next_step="restore the folder from a backup; it was not used",
            )
        return folder

    def _get(self, connection: Connection, name: str, ref: str | int) -> Version:
        number = self._number(connection, name, ref)
        row = connection.execute(
            select(versions).where(versions.c.name == name, versions.c.number == number)
        ).one_or_none()
        if row is None:
            raise self._not_found(connection, name, f'"{name}" has no version {ref}')
        return _version(row)

    def _number(self, connection: Connection, name: str, ref: str | int) -> int:
        text = str(ref)
        if text == "champion":
            champion = self._ledger.champion_number(connection, name)
            if champion is None:
                raise self._not_found(connection, name, f'"{name}" has no champion yet', "promote one of them")
            return champion
        if text == "latest":
            return max(self._numbers(connection, name), default=0)
        if text.isascii() and text.isdecimal() and len(text) < 10:
            return int(text)
        raise self._not_found(connection, name, f'"{name}" has no version {ref}')

    @staticmethod
    def _numbers(connection: Connection, name: str) -> tuple[int, ...]:
        return tuple(
            connection.scalars(select(versions.c.number).where(versions.c.name == name).order_by(versions.c.number))
        )

    def _not_found(self, connection: Connection, name: str, what: str, next_step: str = "") -> NotFoundError:
        if numbers := self._numbers(connection, name):
            listed = ", ".join(["champion", "latest", *map(str, numbers)])
            return NotFoundError(what, allowed=listed, next_step=next_step)
        known = ", ".join(connection.scalars(select(versions.c.name).distinct().order_by(versions.c.name)))
        return NotFoundError(
            f'there is no model called "{name}"',
            where=self._database.where,
            allowed=known,
            next_step="" if known else "train one first with: rowsmith run",
        )

    # -- the champion --------------------------------------------------------------------------------------

    def promote(
        self,
        name: str,
        number: int,
        *,
        reason: str,
        actor: str,
        evidence: JsonObject | None = None,
        over: Version | Literal["anyone"] | None = "anyone",
    ) -> LedgerEntry:
        """Make a version the champion and answer the new line of the ledger.

        `over` is the champion that the evidence compares it with, None for no champion. Promoting the champion again
        changes nothing: the line that made it champion is answered. The model's files are looked at first. Raises
        NotFoundError, ArtifactError, StorageError, and ChampionChanged where another than `over` reigns.
        """
        self.folder(self.get(name, number))
        with self._database.writing(lock=Ledger.table) as connection:
            lines = self._ledger.read(connection, name)
            reigning = lines[-1].to_number if lines else None
            if over != "anyone" and reigning not in (number, over.number if over else None):
                raise ChampionChanged(
                    f"version {reigning} became champion in the meantime",
                    where=f"{name} version {number}",
                    next_step="judge it against the new champion: rowsmith promote",
                )
            if lines and lines[-1].to_number == number:
                return lines[-1]
            return self._append(connection, name, lines, "promote", number, actor, reason, evidence)

    def rollback(self, name: str, *, reason: str, actor: str, evidence: JsonObject | None = None) -> LedgerEntry:
        """Restore the champion before the present one (see ledger.py) and answer the new line of the ledger.

        Raises NotFoundError where there is no champion, or none came before; ArtifactError, StorageError.
        """
        with self._database.writing(lock=Ledger.table) as connection:
            lines = self._ledger.read(connection, name)
            if not lines:
                raise self._not_found(connection, name, f'"{name}" has no champion yet', "promote one of them")
            stack = reigns(lines)
            if len(stack) < 2:
                raise NotFoundError(
                    f'no champion of "{name}" came before version {stack[-1]}, so there is none to go back to',
                    next_step="promote another version instead",
                )
            self.folder(self._get(connection, name, stack[-2]))
            return self._append(connection, name, lines, "rollback", stack[-2], actor, reason, evidence)

    def ledger(self, name: str) -> tuple[LedgerEntry, ...]:
        """The lines of a name, oldest first. Raises StorageError."""
        return self._ledger.entries(name)

    def _append(
        self,
        connection: Connection,
        name: str,
        lines: tuple[LedgerEntry, ...],
        action: Action,
        number: int,
        actor: str,
        reason: str,
        evidence: JsonObject | None,
    ) -> LedgerEntry:
        entry = LedgerEntry(
            name=name,
            position=len(lines) + 1,
            action=action,
            from_number=lines[-1].to_number if lines else None,
            to_number=number,
            actor=actor,
            reason=reason,
            evidence=evidence or {},
            created=self._now().astimezone(UTC).isoformat(),
        )
        self._ledger.append(connection, entry)
        details = {"from": entry.from_number, "to": entry.to_number, "reason": entry.reason}
        audit.record(connection, actor=actor, action=action, subject=name, details=details, now=self._now())
        return entry


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise UsageError(
            "this name cannot be used for a model",
            received=repr(name),
            allowed="1 to 64 letters, digits, '_', '.' and '-', the first a letter or digit",
        )
    return name


def _version(row: Row[Any]) -> Version:
    return Version(**{**row._mapping, "lineage": json.loads(row.lineage)})


def _remove_abandoned(folder: Path) -> None:
    """What a process that was killed while it wrote has left, once nobody can be writing there any more."""
    for path in folder.glob(f"{INCOMING}*"):
        # Another process may have finished with it, or removed it, by now.
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
