"""Project: a folder with a recipe and a store. Everything the command line and the server work on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rowsmith.errors import NotFoundError
from rowsmith.recipe import RECIPE_FILE, Recipe

if TYPE_CHECKING:
    from rowsmith.ingestion.feeds import FeedStore
    from rowsmith.ingestion.keeping.protocol import PartStore
    from rowsmith.ingestion.snapshot import SnapshotStore
    from rowsmith.model import TrainedModel
    from rowsmith.monitoring.log import PredictionLog
    from rowsmith.monitoring.log_archive import LogArchive
    from rowsmith.monitoring.log_gap import Gap
    from rowsmith.monitoring.log_privacy import Privacy
    from rowsmith.registry.traffic import Traffic
    from rowsmith.registry.versions import Registry, Version
    from rowsmith.storage.database import Database

SCHEMA_FILE = "schema.toml"
STORE = ".rowsmith"
CACHE_MB = 20_000
OWNER_CHARACTERS = 16


@dataclass(frozen=True)
class Project:
    """A project folder. Opening one creates nothing; the store appears with the first thing kept in it.

    `source_date_epoch`, seconds since 1970, stands for now in everything that is kept, for repeatable builds.
    `environment` is where ${VARIABLE} in the recipe is looked up; `internal_addresses` are what the recipe's source may
    lead to though they are internal.
    """

    root: Path
    recipe: Recipe
    store: Path
    database_url: str
    source_date_epoch: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    internal_addresses: tuple[str, ...] = ()
    trusted_keys: tuple[Path, ...] = ()
    """Public keys, one of which has to vouch for a version before it is loaded; none is no such demand."""
    secret_files: tuple[Path, ...] = ()
    """Files and folders beside the project's own that ${file:PATH} in the recipe may read."""
    snapshots_at: str = ""
    """An address in object storage for snapshots; a folder in the store when empty."""
    cache_mb: int = CACHE_MB
    tracking_uri: str = ""
    """An MLflow tracking server that gets a copy of each version, and of who is champion; none when empty."""

    def now(self) -> datetime:
        """The time that is written down."""
        if self.source_date_epoch is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(self.source_date_epoch, UTC)

    @property
    def schema_path(self) -> Path:
        return self.root / SCHEMA_FILE

    @property
    def journals(self) -> Path:
        """Where servers keep the newest entries of the prediction log."""
        return self.store / "journals"

    @property
    def pseudonym_key(self) -> Path:
        """What pseudonyms in the prediction log are made with; there once one was made."""
        return self.store / "secrets" / "pseudonyms.key"

    @cached_property
    def snapshots(self) -> SnapshotStore:
        from rowsmith.ingestion.snapshot import SnapshotStore

        return SnapshotStore(self._parts(), now=self.now)

    def _parts(self) -> PartStore:
        if not self.snapshots_at:
            from rowsmith.ingestion.keeping.folder import FolderStore

            return FolderStore(self.store / "snapshots")
        from rowsmith.ingestion.keeping.bucket_store import open_bucket_store

        return open_bucket_store(self.snapshots_at, self.store / "cache", cache_mb=self.cache_mb, owner=self._owner)

    def _owner(self) -> str:
        """Who needs a snapshot: whoever works with one registry is one owner."""
        from sqlalchemy import make_url

        from rowsmith.storage.secret_files import secret_file

        if self.database_url.startswith("sqlite"):
            return secret_file(self.store / "secrets" / "owner.key").hex()[:OWNER_CHARACTERS]
        name = make_url(self.database_url).set(password=None).render_as_string()
        return hashlib.sha256(name.encode()).hexdigest()[:OWNER_CHARACTERS]

    @cached_property
    def feeds(self) -> FeedStore:
        from rowsmith.ingestion.feeds import FeedStore

        return FeedStore(self.store / "feeds")

    @cached_property
    def database(self) -> Database:
        from rowsmith.storage.database import open_database

        if self.database_url.startswith("sqlite"):
            self.store.mkdir(parents=True, exist_ok=True)
        return open_database(self.database_url)

    @cached_property
    def registry(self) -> Registry:
        from rowsmith.registry.versions import Registry

        return Registry(self.database, self.store / "versions", now=self.now)

    @cached_property
    def traffic(self) -> Traffic:
        from rowsmith.registry.traffic import Traffic

        return Traffic(self.database, now=self.now)

    @cached_property
    def log(self) -> PredictionLog:
        return self.open_log()

    def open_log(self, gap: Gap | None = None) -> PredictionLog:
        """The prediction log; with a `gap`, one that counts what it cannot keep instead of raising an error."""
        from rowsmith.monitoring.log import PredictionLog

        return PredictionLog(
            self.database,
            journals=self.journals,
            archive=self.log_archive,
            privacy=self._privacy(),
            gap=gap,
        )

    @cached_property
    def log_archive(self) -> LogArchive:
        from rowsmith.monitoring.log_archive import LogArchive

        return LogArchive(self.database, self.store / "log")

    def _privacy(self) -> Privacy | None:
        """What the log does with the personal columns of the recipe; the key is made at first use."""
        from rowsmith.monitoring.log_privacy import Privacy
        from rowsmith.storage.secret_files import secret_file

        columns = self.recipe.columns
        if not columns.personal:
            return None
        return Privacy(frozenset(columns.personal), columns.personal_in_log, lambda: secret_file(self.pseudonym_key))

    @property
    def is_empty(self) -> bool:
        """Nothing was ever kept here."""
        return self.database_url.startswith("sqlite") and not self.store.exists()

    def with_recipe(self, recipe: Recipe) -> Project:
        return replace(self, recipe=recipe)

    def version(self, ref: str | int = "champion", name: str | None = None) -> Version:
        """A version of this project's model by number, `champion` or `latest`. Raises NotFoundError."""
        if self.is_empty:
            raise NotFoundError("there is no model here yet", where=str(self.root), next_step=NO_MODEL_YET)
        return self.registry.get(name or self.recipe.name, ref)

    def model(self, ref: str | int = "champion", name: str | None = None) -> TrainedModel:
        """A version, loaded. Raises NotFoundError, ArtifactError."""
        from rowsmith.workflows.artifact import load
        from rowsmith.workflows.sign import require_trust

        found = self.version(ref, name)
        require_trust(self, found)
        return load(self.registry.folder(found) / "model")


NO_MODEL_YET = "train one with: rowsmith run DATA --target COLUMN"


def open_project(
    path: str | Path = ".",
    *,
    config: str | Path | None = None,
    store: str | Path = STORE,
    database_url: str = "",
    source_date_epoch: int | None = None,
    trusted_keys: Sequence[str | Path] = (),
    environment: Mapping[str, str] | None = None,
    internal_addresses: Sequence[str] = (),
    secret_files: Sequence[str | Path] = (),
    snapshots_at: str = "",
    cache_mb: int = CACHE_MB,
    tracking_uri: str = "",
) -> Project:
    """The project in a folder. Its recipe is `config`, or `rowsmith.toml` where there is one, or the defaults.

    `store` is relative to the folder. `database_url` is an SQLAlchemy URL; a SQLite file in the store when empty.
    `environment` (os.environ, say) is where ${VARIABLE} in the recipe is looked up; ${file:PATH} reads files of
    the folder, and those of `secret_files`. `snapshots_at` is an address in
    object storage that keeps the snapshots; a folder in the store when empty, and at most `cache_mb` of copies of them.
    `tracking_uri` names an MLflow tracking server that gets a copy of each version.
    Raises NotFoundError for a folder or recipe that does not exist, RecipeError for one that makes no sense.
    """
    root = Path(path).resolve()
    if not root.is_dir():
        raise NotFoundError(
            "there is no such project folder", received=str(path), next_step="make one with: rowsmith init NAME"
        )
    recipe_path = Path(config) if config else root / RECIPE_FILE
    if config and not recipe_path.is_file():
        raise NotFoundError("there is no such recipe", received=str(config))
    recipe = Recipe.read(recipe_path) if recipe_path.is_file() else Recipe()
    folder = root / store
    url = database_url or f"sqlite:///{folder / 'rowsmith.db'}"
    return Project(
        root,
        recipe,
        folder,
        url,
        source_date_epoch,
        environment or {},
        tuple(internal_addresses),
        tuple(Path(key).absolute() for key in trusted_keys),
        tuple(Path(file).absolute() for file in secret_files),
        snapshots_at,
        cache_mb,
        tracking_uri,
    )
