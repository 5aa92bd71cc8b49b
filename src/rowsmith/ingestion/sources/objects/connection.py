"""Connection: a bucket opened by its address, and what the library's errors mean."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from rowsmith.errors import RecipeError
from rowsmith.ingestion.sources.address import HIDDEN, SECRET_PARAMETER
from rowsmith.ingestion.sources.http.guard import Guard
from rowsmith.ingestion.sources.objects.keys import Place
from rowsmith.ingestion.sources.protocol import Context
from rowsmith.recipe_data import StorageSection

EXTRA = "rowsmith[cloud]"
RETRIES = 4
PATIENCE = timedelta(seconds=60)
TIMEOUT = timedelta(minutes=2)
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
REFUSED = re.compile(r"status code: 40[13]\b|status: 40[13]\b")
# What is said before anything is asked of the bucket: no credentials, or none that can be used.
UNUSABLE = re.compile(
    r"token request.*status code: 4\d\d|service account file|Invalid Access Key|Account must be specified", re.I
)
ABSENT = re.compile(r"status code: 404\b")
UNREACHABLE = re.compile(r"error sending request|HTTP error|client error|dns error|timed out|Connection refused", re.I)
MAX_SHOWN = 300


class Fault(Enum):
    """What is wrong when a bucket does not do as it was asked."""

    REFUSED = "these credentials may not"
    ABSENT = "there is no such bucket or object"
    CHANGED = "it is no longer what it was"
    EXISTS = "there is one already"
    UNREACHABLE = "nobody answers"
    OTHER = "the store answers with an error"


def library() -> Any:
    """The package that speaks with all of them. Raises RecipeError where it is not installed."""
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as problem:
        raise RecipeError(
            "object storage needs a package that is not installed", next_step=f"pip install '{EXTRA}'"
        ) from problem
    return obstore


def opened(place: Place, options: StorageSection, context: Context) -> Any:
    """A bucket, not asked for anything yet. What `options` do not say comes from the usual environment variables."""
    stores = library().store
    patience = {"max_retries": RETRIES, "retry_timeout": PATIENCE}
    client: dict[str, Any] = {"timeout": TIMEOUT}
    # Only an endpoint that says so is talked to without encryption: that of the recipe, or of the environment.
    if options.endpoint is None or options.endpoint.startswith("http://"):
        client["allow_http"] = True
    kind, config = {
        "s3": (stores.S3Store, _s3),
        "gs": (stores.GCSStore, _google),
        "az": (stores.AzureStore, _azure),
    }[place.scheme]
    return kind(place.bucket, config=config(options, context), client_options=client, retry_config=patience)


def fault_of(problem: BaseException) -> Fault | None:
    """What an exception means; None for one that does not come from the library."""
    errors = library().exceptions
    if isinstance(problem, errors.PermissionDeniedError | errors.UnauthenticatedError):
        return Fault.REFUSED
    if isinstance(problem, errors.NotFoundError | FileNotFoundError):
        return Fault.ABSENT
    if isinstance(problem, errors.PreconditionError):
        return Fault.CHANGED
    if isinstance(problem, errors.AlreadyExistsError):
        return Fault.EXISTS
    if not isinstance(problem, errors.BaseError | ValueError):
        return None
    text = str(problem)
    # Of a list both are called no more than an error.
    if REFUSED.search(text) or UNUSABLE.search(text):
        return Fault.REFUSED
    if ABSENT.search(text):
        return Fault.ABSENT
    return Fault.UNREACHABLE if UNREACHABLE.search(text) else Fault.OTHER


def said(problem: BaseException) -> str:
    """The beginning of what the library says, which goes on with its own structures; signatures are not told."""
    return SECRET_PARAMETER.sub(rf"\g<1>{HIDDEN}", str(problem).partition("\n")[0])[:MAX_SHOWN]


def _s3(options: StorageSection, context: Context) -> dict[str, Any]:
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
    return config


def _google(options: StorageSection, context: Context) -> dict[str, Any]:
    if options.key_id:
        raise RecipeError(
            "Google Cloud Storage is not opened with the id of a key",
            where="data.storage.key_id",
            next_step="leave it out; secret_key takes the JSON of a service account",
        )
    config: dict[str, Any] = {"skip_signature": True} if options.anonymous else {}
    if options.endpoint:
        config["base_url"] = _endpoint(options.endpoint, context)
    if options.secret_key:
        config["service_account_key"] = context.secrets.fill(options.secret_key, where="data.storage.secret_key")
    return config


def _azure(options: StorageSection, context: Context) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if options.key_id:
        config["account_name"] = context.secrets.fill(options.key_id, where="data.storage.key_id")
    if options.secret_key:
        config["account_key"] = context.secrets.fill(options.secret_key, where="data.storage.secret_key")
    if options.endpoint:
        config["endpoint"] = _endpoint(options.endpoint, context)
    if options.anonymous:
        config["skip_signature"] = True
    return config


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
