"""Store: a bucket that can be listed and read; its errors become ours here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rowsmith.errors import RecipeError, SourceError, StorageError
from rowsmith.ingestion.sources.http.guard import Guard
from rowsmith.ingestion.sources.local_file import LocalFile, TemporaryFile
from rowsmith.ingestion.sources.objects.keys import Place
from rowsmith.ingestion.sources.protocol import Context
from rowsmith.recipe_data import StorageSection

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED = re.compile(r"status code: 40[13]\b")
EXTRA = "rowsmith[cloud]"
CHUNK_BYTES = 8 << 20
RETRIES = 4
PATIENCE = timedelta(seconds=60)
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


@dataclass(frozen=True)
class Kept:
    """One object as the list of a bucket has it. `tag` changes with its content."""

    key: str
    size: int
    tag: str
    changed: str


class Store:
    """`place` names it in messages. Raises SourceError, RecipeError."""

    def __init__(self, place: Place, options: StorageSection, context: Context) -> None:
        self.place = place
        self._obstore = _library()
        with self._translated(place.shown("")):
            self._store = self._opened(options, context)

    def list(self, prefix: str) -> list[Kept]:
        """Every object whose key begins with a prefix that ends at a folder, in order."""
        with self._translated(self.place.shown(prefix)):
            pages = self._obstore.list(self._store, prefix=prefix or None)
            return sorted((_kept(meta) for page in pages for meta in page), key=lambda kept: kept.key)

    def find(self, key: str) -> Kept | None:
        with self._translated(self.place.shown(key)):
            try:
                return _kept(self._obstore.head(self._store, key))
            except FileNotFoundError:
                return None

    def tail(self, kept: Kept, length: int) -> bytes:
        """The last bytes of an object."""
        start = max(kept.size - length, 0)
        with self._translated(self.place.shown(kept.key)):
            return bytes(self._obstore.get_range(self._store, kept.key, start=start, end=kept.size))

    def content(self, kept: Kept) -> bytes:
        """The very content that was listed, in memory."""
        name = self.place.shown(kept.key)
        with self._translated(name):
            content = bytes(self._answer(kept).bytes())
        if len(content) != kept.size:
            raise _changed(name)
        return content

    def fetch(self, kept: Kept) -> LocalFile:
        """The same as a copy on this disk."""
        name = self.place.shown(kept.key)
        keeper = TemporaryFile()
        received = 0
        with self._translated(name), _room(keeper), keeper.path.open("wb") as file:
            for chunk in self._answer(kept).stream(min_chunk_size=CHUNK_BYTES):
                received += file.write(chunk)
        if received != kept.size:
            raise _changed(name)
        named = LocalFile.at(keeper.path.with_name(kept.key.rpartition("/")[2]))
        return LocalFile(name, keeper.path, named.extension, keeper=keeper)

    def _answer(self, kept: Kept) -> Any:
        options = {"if_match": kept.tag} if kept.tag else {}
        return self._obstore.get(self._store, kept.key, options=options)

    def _opened(self, options: StorageSection, context: Context) -> Any:
        stores, scheme, bucket = self._obstore.store, self.place.scheme, self.place.bucket
        patience = {"max_retries": RETRIES, "retry_timeout": PATIENCE}
        if scheme == "s3":
            config, client = _s3(options, context)
            return stores.S3Store(bucket, config=config, client_options=client, retry_config=patience)
        if scheme == "gs":
            config = {"skip_signature": True} if options.anonymous else {}
            if options.endpoint:
                config["base_url"] = _endpoint(options.endpoint, context)
            client = _plain(options.endpoint)
            return stores.GCSStore(bucket, config=config, client_options=client, retry_config=patience)
        config, client = _azure(options, context)
        return stores.AzureStore(bucket, config=config, client_options=client, retry_config=patience)

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        errors = self._obstore.exceptions
        try:
            yield
        except (errors.PermissionDeniedError, errors.UnauthenticatedError) as problem:
            raise self._not_allowed(name, problem) from problem
        except (errors.NotFoundError, FileNotFoundError) as problem:
            raise SourceError(
                "there is no such bucket or object",
                where=name,
                received=_first_line(problem),
                next_step="look at the name, and at region and endpoint under [data.storage]",
            ) from problem
        except errors.PreconditionError as problem:
            raise _changed(name) from problem
        except (errors.BaseError, ValueError) as problem:
            if REFUSED.search(str(problem)):  # a refused list is called no more than an error
                raise self._not_allowed(name, problem) from problem
            raise SourceError(
                f"object storage does not answer: {_first_line(problem)}",
                where=name,
                next_step=f"look at endpoint and region under [data.storage], and at {CREDENTIALS[self.place.scheme]}",
            ) from problem

    def _not_allowed(self, name: str, problem: Exception) -> SourceError:
        return SourceError(
            "this may not be read with these credentials",
            where=name,
            received=_first_line(problem),
            next_step=f"set {CREDENTIALS[self.place.scheme]} to ones that may list and read it, "
            "or anonymous = true under [data.storage] if it is public",
        )


def _library() -> Any:
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as problem:
        raise RecipeError(
            "object storage is read with a package that is not installed", next_step=f"pip install '{EXTRA}'"
        ) from problem
    return obstore


def _s3(options: StorageSection, context: Context) -> tuple[dict[str, Any], dict[str, Any]]:
    fill = context.secrets.fill
    config: dict[str, Any] = {}
    if options.region:
        config["region"] = options.region
    if options.endpoint:
        config["endpoint"] = _endpoint(options.endpoint, context)
    if options.key_id:
        config["access_key_id"] = fill(options.key_id, where="data.storage.key_id")
    if options.secret_key:
        config["secret_access_key"] = fill(options.secret_key, where="data.storage.secret_key")
    if options.anonymous:
        config["skip_signature"] = True
    return config, _plain(options.endpoint)


def _azure(options: StorageSection, context: Context) -> tuple[dict[str, Any], dict[str, Any]]:
    config: dict[str, Any] = {}
    if options.key_id:
        config["account_name"] = context.secrets.fill(options.key_id, where="data.storage.key_id")
    if options.secret_key:
        config["account_key"] = context.secrets.fill(options.secret_key, where="data.storage.secret_key")
    if options.endpoint:
        config["endpoint"] = _endpoint(options.endpoint, context)
    if options.anonymous:
        config["skip_signature"] = True
    return config, _plain(options.endpoint)


def _endpoint(text: str, context: Context) -> str:
    """An address of a recipe, which does not lead to internal hosts (see `http.guard`)."""
    endpoint = context.secrets.fill(text, where="data.storage.endpoint")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RecipeError(
            "this is no endpoint", where="data.storage.endpoint", received=endpoint, allowed="http://... or https://..."
        )
    Guard(context.internal).addresses(parts.hostname, parts.port or 443)
    return endpoint


def _plain(endpoint: str | None) -> dict[str, Any]:
    """Only an endpoint that says so is talked to without encryption: that of the recipe, or of the environment."""
    return {"allow_http": True} if endpoint is None or endpoint.startswith("http://") else {}


def _kept(meta: Mapping[str, Any]) -> Kept:
    return Kept(meta["path"], meta["size"], meta.get("e_tag") or "", meta["last_modified"].isoformat())


@contextmanager
def _room(keeper: TemporaryFile) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if problem.errno is None:
            raise
        raise StorageError(
            f"there is no room for what is fetched: {problem.strerror}",
            where=str(keeper.path.parent),
            next_step="set TMPDIR to a folder with more room; nothing was kept",
        ) from problem


def _changed(name: str) -> SourceError:
    return SourceError(
        "this object changed while it was read",
        where=name,
        next_step="try again when whoever writes it is done; nothing was kept",
    )


def _first_line(problem: BaseException) -> str:
    """The beginning of what the library says, which goes on with its own structures."""
    return str(problem).partition("\n")[0][:300]
