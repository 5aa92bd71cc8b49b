"""Settings: WHERE this installation runs. The only reader of the environment; read by cli and serving alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rowsmith.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Setting:
    """A name, the environment variable, a default and a sentence. The documentation is made from this list."""

    name: str
    variable: str
    default: Any
    convert: Callable[[str], Any]
    sentence: str


def _flag(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("true or false")


def _one_of(*words: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(" or ".join(words))
        return text.lower()

    return convert


def _bucket(text: str) -> str:
    if text and not re.fullmatch(r"(s3|gs|az)://[^/@?#]+(/[^?#]*)?", text):
        raise ValueError("s3://bucket/folder, gs://bucket/folder or az://container/folder, without a login")
    return text.rstrip("/")


def _positive(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise ValueError("a whole number above 0")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("a whole number of at least 0")
    return number


def _threads(text: str) -> int:
    """OpenMP allows one number for each level of nesting; the outermost counts here."""
    number = int(text.split(",")[0])
    if number < 0:
        raise ValueError("a whole number of at least 0")
    return number


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "store",
        "ROWSMITH_STORE",
        ".rowsmith",
        str,
        "The folder that keeps snapshots, versions and the database, relative to the project.",
    ),
    Setting(
        "database_url",
        "ROWSMITH_DATABASE_URL",
        "",
        str,
        "An SQLAlchemy URL, such as postgresql+psycopg://user@host/name; a SQLite file in the store when empty.",
    ),
    Setting(
        "snapshots",
        "ROWSMITH_SNAPSHOTS",
        "",
        _bucket,
        "A place in object storage that keeps the snapshots of this project, for every machine that works on it: "
        "s3://bucket/folder, gs://bucket/folder or az://container/folder; a folder in the store when empty.",
    ),
    Setting(
        "cache_mb",
        "ROWSMITH_CACHE_MB",
        20_000,
        _positive,
        "Megabytes that copies of parts of such snapshots may take in the store; what was used within an hour stays.",
    ),
    Setting("host", "ROWSMITH_HOST", "127.0.0.1", str, "The address the server listens on."),
    Setting("port", "PORT", 8000, _positive, "The port the server listens on."),
    Setting(
        "require_keys",
        "ROWSMITH_REQUIRE_KEYS",
        False,
        _flag,
        "Whether a key is asked for on this machine's own addresses, too; on all others it always is.",
    ),
    Setting(
        "rate_limit",
        "ROWSMITH_RATE_LIMIT",
        0,
        _count,
        "Requests a minute that a key may make where it has no limit of its own; 0 is no limit.",
    ),
    Setting(
        "tls_cert",
        "ROWSMITH_TLS_CERT",
        "",
        str,
        "A file with the certificate chain (PEM); the server then speaks HTTPS.",
    ),
    Setting(
        "tls_key", "ROWSMITH_TLS_KEY", "", str, "The file with the certificate's private key (PEM, without a password)."
    ),
    Setting(
        "cors_origins",
        "ROWSMITH_CORS_ORIGINS",
        (),
        lambda text: tuple(text.split()),
        "Sites whose pages may use the API from a browser (https://app.example), separated by spaces; none when empty.",
    ),
    Setting(
        "trusted_keys",
        "ROWSMITH_TRUSTED_KEYS",
        (),
        lambda text: tuple(text.split(os.pathsep)) if text else (),
        "Files with public keys, joined as PATH is; a version that none of them vouches for (rowsmith sign) is neither "
        "loaded nor promoted.",
    ),
    Setting(
        "trusted_proxies",
        "ROWSMITH_TRUSTED_PROXIES",
        0,
        _count,
        "How many proxies stand in front of the server, whose X-Forwarded headers are then believed.",
    ),
    Setting("workers", "ROWSMITH_WORKERS", 2, _positive, "Server processes."),
    Setting("max_body_mb", "ROWSMITH_MAX_BODY_MB", 16, _positive, "The largest request body of the API, in megabytes."),
    Setting(
        "body_seconds",
        "ROWSMITH_BODY_SECONDS",
        20,
        _positive,
        "Seconds after which a connection is cut off on which a request body comes slower than 500 bytes a second.",
    ),
    Setting(
        "max_upload_mb",
        "ROWSMITH_MAX_UPLOAD_MB",
        200,
        _positive,
        "The largest file that a job takes, in megabytes.",
    ),
    Setting(
        "job_folders",
        "ROWSMITH_JOB_FOLDERS",
        (),
        lambda text: tuple(part for part in text.split(os.pathsep) if part),
        "Folders of this machine whose files may be scored by a job that names one, separated as in PATH.",
    ),
    Setting(
        "job_memory_mb",
        "ROWSMITH_JOB_MEMORY_MB",
        4096,
        _positive,
        "Memory that the process of a job may take, in megabytes (on Linux); a file that needs more fails, and nothing "
        "else does.",
    ),
    Setting("job_hours", "ROWSMITH_JOB_HOURS", 24, _positive, "Hours for which the result of a job is kept."),
    Setting("max_rows", "ROWSMITH_MAX_ROWS", 10_000, _positive, "The most rows in one API request."),
    Setting(
        "models_mb",
        "ROWSMITH_MODELS_MB",
        500,
        _positive,
        "What the models that a server process has loaded may take, in megabytes of their files; the longest unused "
        "ones go first, and never the project's own.",
    ),
    Setting(
        "idle_minutes",
        "ROWSMITH_IDLE_MINUTES",
        30,
        _positive,
        "How long a model other than the project's own stays loaded while nobody asks for it.",
    ),
    Setting(
        "log_predictions",
        "ROWSMITH_LOG_PREDICTIONS",
        True,
        _flag,
        "Whether served predictions are kept for monitoring.",
    ),
    Setting(
        "log_format",
        "ROWSMITH_LOG_FORMAT",
        "text",
        _one_of("text", "json"),
        "How the server writes its log, without personal data: text or json (a document a line).",
    ),
    Setting(
        "log_level",
        "ROWSMITH_LOG_LEVEL",
        "warning",
        _one_of("debug", "info", "warning", "error"),
        "From which level on the server logs; info has a line for each request.",
    ),
    Setting(
        "otlp_endpoint",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        str,
        "An OpenTelemetry collector that gets a trace of each request, over HTTP, such as http://127.0.0.1:4318.",
    ),
    Setting(
        "log_failure",
        "ROWSMITH_LOG_FAILURE",
        "refuse",
        _one_of("refuse", "go-on"),
        "What happens to a prediction that the log cannot keep: `refuse` answers 503, `go-on` answers it and counts "
        "the gap in the metrics, at /health, on the monitoring page and in the audit.",
    ),
    Setting(
        "log_compact_days",
        "ROWSMITH_LOG_COMPACT_DAYS",
        30,
        _count,
        "After so many days the inputs and answers of the log are moved into Parquet files in the store; 0 is never.",
    ),
    Setting(
        "log_keep_days",
        "ROWSMITH_LOG_KEEP_DAYS",
        0,
        _count,
        "After so many days logged predictions are removed for good, outcomes included; 0 is never.",
    ),
    Setting(
        "alerts",
        "ROWSMITH_ALERTS",
        (),
        lambda text: tuple(text.split()),
        "Whom `rowsmith monitor` tells about news, and a server of a canary that it took back, separated by spaces: "
        "log, file:PATH, https://... (a webhook), smtp://host?from=...&to=... (an e-mail).",
    ),
    Setting(
        "internal_addresses",
        "ROWSMITH_INTERNAL_ADDRESSES",
        (),
        lambda text: tuple(text.split()),
        "Internal hosts and networks (localhost, 10.1.0.0/16), separated by spaces, that the address in a recipe may "
        "lead to; * for all. An address on the command line may lead anywhere.",
    ),
    Setting(
        "secret_files",
        "ROWSMITH_SECRET_FILES",
        (),
        lambda text: tuple(part for part in text.split(os.pathsep) if part),
        "Files and folders outside of the project (/run/secrets) that ${file:PATH} in a recipe may read, joined as in "
        "PATH.",
    ),
    Setting(
        "mlflow_tracking_uri",
        "MLFLOW_TRACKING_URI",
        "",
        str,
        "An MLflow tracking server that gets a copy of each run and version, the alias `champion` on the reigning one.",
    ),
    Setting("cores", "OMP_NUM_THREADS", 0, _threads, "Processor cores for training; 0 means all that are available."),
    Setting("no_color", "NO_COLOR", False, lambda text: text != "", "Plain output without colours when set."),
    Setting(
        "debug", "ROWSMITH_DEBUG", False, _flag, "Whether the command line shows where in the code an error came from."
    ),
    Setting(
        "source_date_epoch",
        "SOURCE_DATE_EPOCH",
        None,
        int,
        "Seconds since 1970 that stand for now in everything that is written, for repeatable builds.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    store: str = ".rowsmith"
    database_url: str = ""
    snapshots: str = ""
    cache_mb: int = 20_000
    host: str = "127.0.0.1"
    port: int = 8000
    require_keys: bool = False
    rate_limit: int = 0
    tls_cert: str = ""
    tls_key: str = ""
    cors_origins: tuple[str, ...] = ()
    trusted_keys: tuple[str, ...] = ()
    trusted_proxies: int = 0
    workers: int = 2
    max_body_mb: int = 16
    body_seconds: int = 20
    max_upload_mb: int = 200
    job_folders: tuple[str, ...] = ()
    job_memory_mb: int = 4096
    job_hours: int = 24
    max_rows: int = 10_000
    models_mb: int = 500
    idle_minutes: int = 30
    log_predictions: bool = True
    log_format: str = "text"
    log_level: str = "warning"
    otlp_endpoint: str = ""
    log_failure: str = "refuse"
    log_compact_days: int = 30
    log_keep_days: int = 0
    alerts: tuple[str, ...] = ()
    internal_addresses: tuple[str, ...] = ()
    secret_files: tuple[str, ...] = ()
    mlflow_tracking_uri: str = ""
    cores: int = 0
    no_color: bool = False
    debug: bool = False
    source_date_epoch: int | None = None


def environment() -> Mapping[str, str]:
    """All of it: secrets have names that the user chooses, and are looked up by those who are handed it."""
    return dict(os.environ)


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Raises SettingsError that names the variable, what it held and what is allowed."""
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = environment.get(setting.variable)
        if text is None:
            continue
        try:
            values[setting.name] = setting.convert(text)
        except ValueError as problem:
            raise SettingsError(
                f"the environment variable {setting.variable} cannot be used",
                received=repr(text),
                allowed=str(problem),
                next_step=setting.sentence,
            ) from problem
    return Settings(**values)
